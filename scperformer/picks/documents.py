"""What SCML and QuakeML documents have in common."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lxml import etree

from scperformer.picks.columns import floored
from scperformer.types import Pick, format_time

METHOD = "scperformer"
XML_DECLARATION = b'<?xml version="1.0" encoding="UTF-8"?>\n'

Element = Any

_LEAST_DIGITS = 4

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Who made a document, and when.

    Attributes:
        agency: agency id, may be empty.
        author: author.
        created_ns: creation time.
    """

    agency: str
    author: str
    created_ns: int


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


def add_time(parent: Element, pick: Pick) -> None:
    """Append a pick's time and, if it is known, its uncertainty."""
    quantity = add(parent, "time")
    add(quantity, "value", format_time(pick.time_ns))
    if math.isfinite(pick.uncertainty_s):
        add(quantity, "uncertainty", number(pick.uncertainty_s, 6))


def add_creation_info(parent: Element, provenance: Provenance) -> None:
    """Append who made an element, and when."""
    info = add(parent, "creationInfo")
    if provenance.agency:
        add(info, "agencyID", provenance.agency)
    add(info, "author", provenance.author)
    add(info, "creationTime", format_time(provenance.created_ns))


def comments(pick: Pick, *, precision: int) -> dict[str, str]:
    """Return what documents say of a pick in comments, by comment id.

    Args:
        pick: the pick.
        precision: digits of the probability, at least 4, rounded down.
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
