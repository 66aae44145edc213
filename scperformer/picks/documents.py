"""What SCML and QuakeML documents have in common, which is also all that is read of them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lxml import etree

from scperformer.errors import InputError
from scperformer.picks.columns import (
    DAMAGED,
    WANTED,
    Others,
    floored,
    phase_of,
    polarity_of,
    read_number,
)
from scperformer.picks.style import Style
from scperformer.types import Pick, SeedId, format_time, parse_time

METHOD = "scperformer"
XML_DECLARATION = b'<?xml version="1.0" encoding="UTF-8"?>\n'

Element = Any
Codes = Mapping[str, str]

_LEAST_DIGITS = 4
_CODES = ("networkCode", "stationCode", "locationCode", "channelCode")
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def read_xml(data: bytes) -> Any:
    """Parse a document; return its root element.

    Entities stay what they are, so that a few lines cannot become gigabytes; external ones
    are not opened; trees deeper than libxml2's limits are refused.

    Raises:
        ValueError: it is no XML, or has a document type.
    """
    parser = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        root = etree.fromstring(data, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise ValueError(str(error)) from None
    if root.getroottree().docinfo.internalDTD is not None:
        raise ValueError("it has a document type; wanted none")
    return root


def read_xml_file(path: Path, wanted: str) -> Any:
    """Parse a file; return its root element.

    Raises:
        InputError: it is no XML, or has a document type.
        OSError: it cannot be read.
    """
    try:
        return read_xml(path.read_bytes())
    except ValueError as error:
        raise InputError(f"{path}: no XML that can be read ({error}); {wanted}") from error


def read_plain(path: Path, wanted: str) -> Any:
    """Parse a file as `read_xml_file` does, and take the namespaces from its tags."""
    root = read_xml_file(path, wanted)
    for element in root.iter("{*}*"):
        element.tag = element.tag.rpartition("}")[2]
    return root


def markup(element: Element, *, depth: int) -> bytes:
    """Write an element out, indented as the child of `depth` others.

    Elements carry no namespace of their own: they take the document's.
    """
    etree.indent(element, level=depth)
    text: bytes = etree.tostring(element, encoding="UTF-8", xml_declaration=False)
    return b"  " * depth + text + b"\n"


def add(parent: Element, tag: str, text: str | None = None, **attributes: str) -> Element:
    """Append a child to an element and return it."""
    child = etree.SubElement(parent, tag, clean(attributes))
    if text is not None:
        child.text = xml_text(text)
    return child


def clean(attributes: Mapping[str, str]) -> dict[str, str]:
    """Leave out of attributes the characters that XML cannot hold."""
    return {name: xml_text(value) for name, value in attributes.items()}


def add_values(
    element: Element, pick: Pick, style: Style, codes: Codes, *, filter_id: str, method_id: str
) -> None:
    """Append to a pick's element what both say of it, comments left out.

    `codes` are the attributes of its waveform id, as `stream_codes` gives them.
    """
    time = add(element, "time")
    add(time, "value", format_time(pick.time_ns))
    if math.isfinite(pick.uncertainty_s):
        add(time, "uncertainty", number(pick.uncertainty_s, 6))
    add(element, "waveformID", **codes)
    if pick.filter_id:
        add(element, "filterID", filter_id)
    add(element, "methodID", method_id)
    if pick.onset is not None:
        add(element, "onset", pick.onset)
    add(element, "phaseHint", pick.phase)
    if pick.polarity is not None:
        add(element, "polarity", pick.polarity)
    add(element, "evaluationMode", "automatic")
    add_creation_info(element, style)


def stream_codes(seed_id: SeedId) -> dict[str, str]:
    """Return a channel as the attributes of a waveform id."""
    codes = (seed_id.network, seed_id.station, seed_id.location, seed_id.channel)
    return dict(zip(_CODES, codes, strict=True))


def add_creation_info(parent: Element, style: Style) -> None:
    """Append who made an element, and when."""
    info = add(parent, "creationInfo")
    if style.agency:
        add(info, "agencyID", style.agency)
    add(info, "author", style.author)
    add(info, "creationTime", format_time(style.created_ns))


def comments(pick: Pick, *, precision: int) -> dict[str, str]:
    """Return what documents say of a pick in comments, by comment id.

    The probability has `precision` digits, at least 4, and is rounded down.
    """
    return {
        "probability": floored(pick.probability, max(precision, _LEAST_DIGITS)),
        "model": f"{pick.model} {pick.model_sha256[:12]}".strip(),
        "decision_delay": f"{number(pick.decision_delay_s, 3)} s",
    }


def number(value: float, digits: int) -> str:
    """Write a number with at most so many decimals, as short as may be."""
    if not math.isfinite(value):
        return "NaN"
    return f"{value:.{digits}f}".rstrip("0").rstrip(".")


def xml_text(text: str) -> str:
    """Leave out the characters that XML cannot hold."""
    return _NOT_XML.sub("", text)


def read_document(path: Path, others: Others) -> Iterator[Pick]:
    """Read the picks of SCML or QuakeML, whatever the suffix; rejected ones are left out.

    Raises:
        InputError: it is neither, or has a pick that cannot be read.
        OSError: it cannot be read.
    """
    root = read_plain(path, WANTED)
    if root.tag not in ("quakeml", "seiscomp"):
        raise InputError(f"{path}: root element {root.tag!r}; {WANTED}")
    arrivals = _arrivals(root)
    for n, element in enumerate(root.iter("pick"), 1):
        try:
            pick = _pick_of_element(element, arrivals, others)
        except DAMAGED as error:
            raise InputError(f"{path}, pick {n}: {error!r}; {WANTED}") from error
        if pick is not None:
            yield pick


def _arrivals(root: Element) -> dict[str, tuple[str, str]]:
    """Return (phase, event) by pick id, as origins name them."""
    events = {
        reference.text: event.get("publicID", "")
        for event in root.iter("event")
        for reference in event.iter("originReference", "preferredOriginID")
    }
    found: dict[str, tuple[str, str]] = {}
    for origin in root.iter("origin"):
        origin_id = origin.get("publicID", "")
        parent = origin.getparent()
        inside = parent.get("publicID", "") if parent.tag == "event" else ""
        event = inside or events.get(origin_id) or origin_id
        for arrival in origin.iter("arrival"):
            pick_id = arrival.findtext("pickID")
            if pick_id:
                found.setdefault(pick_id, (arrival.findtext("phase") or "", event))
    return found


def _pick_of_element(
    element: Element, arrivals: Mapping[str, tuple[str, str]], others: Others
) -> Pick | None:
    if element.findtext("evaluationStatus") == "rejected":
        return None
    named, event = arrivals.get(element.get("publicID", ""), ("", ""))
    phase = phase_of(element.findtext("phaseHint") or named, others)
    if phase is None:
        return None
    stream = element.find("waveformID")
    if stream is None:
        raise ValueError("a pick without waveformID")
    said = {
        (comment.findtext("id") or comment.get("id") or ""): comment.findtext("text") or ""
        for comment in element.iter("comment")
    }
    probability = _commented(said, "probability")
    return Pick(
        time_ns=parse_time(element.findtext("time/value") or ""),
        phase=phase,
        seed_id=SeedId(*(stream.get(name, "") for name in _CODES)),
        probability=1.0 if math.isnan(probability) else probability,
        uncertainty_s=read_number(element.findtext("time/uncertainty")),
        polarity=polarity_of(element.findtext("polarity")),
        decision_delay_s=_commented(said, "decision_delay"),
        event=event,
    )


def _commented(said: Mapping[str, str], name: str) -> float:
    """Find a number in the comment of that id, or in a text ``name: number``."""
    for key, text in said.items():
        if key == name or key.endswith(f"/{name}") or text.startswith(f"{name}:"):
            found = _NUMBER.search(text)
            if found:
                return float(found.group())
    return math.nan
