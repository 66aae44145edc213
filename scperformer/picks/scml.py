"""SCML, SeisComP's XML: picks and their ``snr`` amplitudes.

The elements carry no namespace and take that of the document around them. They serve
notifier messages too: there class names are capitalised (`tag`) and a pick's comments
travel by themselves.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from lxml import etree

from scperformer.picks import documents
from scperformer.picks.documents import METHOD, Element, add, clean, markup
from scperformer.picks.style import Style
from scperformer.types import ALL_PHASES, Phase, Pick, format_time

FOOT = b"  </EventParameters>\n</seiscomp>\n"
AMPLITUDE_TYPE = "snr"

# Where the pipeline looks for the peak of the signal, relative to the pick.
SNR_WINDOW_S = (0.0, 1.5)

read = documents.read_document


def head(picks: Sequence[Pick], style: Style) -> bytes:
    """Return the beginning of a document with picks and amplitudes under EventParameters."""
    del picks
    return opening(style.scml_version) + b"  <EventParameters>\n"


def body(pick: Pick, style: Style) -> bytes:
    """Return a pick and, if it has one, its amplitude."""
    text = markup(pick_element(pick, style), depth=2)
    amplitude = amplitude_element(pick, style)
    return text if amplitude is None else text + markup(amplitude, depth=2)


def pick_element(
    pick: Pick, style: Style, *, tag: str = "pick", with_comments: bool = True
) -> Element:
    """Make a pick; for a notifier with the tag ``Pick`` and without comments."""
    element = etree.Element(tag, clean({"publicID": pick.public_id}))
    documents.add_values(
        element, pick, style, _codes(pick), filter_id=pick.filter_id, method_id=METHOD
    )
    if with_comments:
        element.extend(comment_elements(pick, style))
    return element


def namespace(version: str) -> str:
    """Return the XML namespace of a schema version."""
    if version == "0.14":
        return f"http://geofon.gfz.de/ns/seiscomp-schema/{version}"
    return f"http://geofon.gfz-potsdam.de/ns/seiscomp3-schema/{version}"


def opening(version: str) -> bytes:
    """Return what documents and messages of a schema version begin with."""
    root = f'<seiscomp xmlns="{namespace(version)}" version="{version}">\n'
    return documents.XML_DECLARATION + root.encode()


def has_amplitude(pick: Pick, phases: frozenset[Phase] = ALL_PHASES) -> bool:
    """Whether a pick comes with an ``snr`` amplitude: one of these phases, with a finite SNR."""
    return pick.phase in phases and math.isfinite(pick.snr)


def amplitude_element(pick: Pick, style: Style, *, tag: str = "amplitude") -> Element | None:
    """Make the pick's ``snr`` amplitude; None if it has none (see `has_amplitude`)."""
    if not has_amplitude(pick, style.amplitude_phases):
        return None
    public_id = f"{pick.public_id}.{AMPLITUDE_TYPE}"
    element = etree.Element(tag, clean({"publicID": public_id}))
    add(element, "type", AMPLITUDE_TYPE)
    add(add(element, "amplitude"), "value", f"{pick.snr:.6g}")
    window = add(element, "timeWindow")
    add(window, "reference", format_time(pick.time_ns))
    add(window, "begin", documents.number(SNR_WINDOW_S[0], 3))
    add(window, "end", documents.number(SNR_WINDOW_S[1], 3))
    add(element, "snr", f"{pick.snr:.6g}")
    add(element, "pickID", pick.public_id)
    add(element, "waveformID", **_codes(pick))
    if pick.filter_id:
        add(element, "filterID", pick.filter_id)
    add(element, "methodID", METHOD)
    documents.add_creation_info(element, style)
    return element


def comment_elements(pick: Pick, style: Style, *, tag: str = "comment") -> list[Element]:
    """Make the pick's comments: probability, model and decision delay."""
    elements = []
    for name, text in documents.comments(pick, precision=style.precision).items():
        element = etree.Element(tag)
        add(element, "text", text)
        add(element, "id", name)
        elements.append(element)
    return elements


def _codes(pick: Pick) -> dict[str, str]:
    codes = documents.stream_codes(pick.seed_id)
    return {name: code for name, code in codes.items() if code or name != "locationCode"}
