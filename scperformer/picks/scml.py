"""SCML, SeisComP's XML: picks and their ``snr`` amplitudes.

The elements carry no namespace and take that of the document around them. They serve
notifier messages too: there class names are capitalised (`tag`) and a pick's comments
travel by themselves.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import BinaryIO

from lxml import etree

from scperformer.errors import ConfigurationError
from scperformer.picks.documents import (
    METHOD,
    XML_DECLARATION,
    Element,
    Provenance,
    add,
    add_creation_info,
    add_time,
    clean,
    comments,
    markup,
    number,
)
from scperformer.types import ALL_PHASES, Phase, Pick, SeedId, format_time

VERSIONS = ("0.7", "0.8", "0.9", "0.10", "0.11", "0.12", "0.13", "0.14")
AMPLITUDE_TYPE = "snr"

# Where the pipeline looks for the peak of the signal, relative to the pick.
SNR_WINDOW_S = (0.0, 1.5)


def namespace(version: str) -> str:
    """Return the XML namespace of a schema version.

    Raises:
        ConfigurationError: an unknown version.
    """
    if version not in VERSIONS:
        known = ", ".join(VERSIONS)
        raise ConfigurationError(f"SCML schema version: got {version!r}; wanted one of {known}")
    if version == "0.14":
        return f"http://geofon.gfz.de/ns/seiscomp-schema/{version}"
    return f"http://geofon.gfz-potsdam.de/ns/seiscomp3-schema/{version}"


def write_document(
    file: BinaryIO,
    picks: Sequence[Pick],
    *,
    provenance: Provenance,
    version: str,
    precision: int,
    amplitude_phases: frozenset[Phase] = ALL_PHASES,
) -> None:
    """Write a document with picks and amplitudes directly under EventParameters.

    Args:
        file: where to.
        picks: in the order wanted.
        provenance: agency, author and creation time.
        version: schema version.
        precision: digits of probabilities.
        amplitude_phases: phases whose picks come with an amplitude.

    Raises:
        ConfigurationError: an unknown schema version.
    """
    opening = f'<seiscomp xmlns="{namespace(version)}" version="{version}">\n  <EventParameters>\n'
    file.write(XML_DECLARATION + opening.encode())
    for pick in picks:
        file.write(markup(pick_element(pick, provenance, precision=precision), depth=2))
        amplitude = amplitude_element(pick, provenance, phases=amplitude_phases)
        if amplitude is not None:
            file.write(markup(amplitude, depth=2))
    file.write(b"  </EventParameters>\n</seiscomp>\n")


def pick_element(
    pick: Pick,
    provenance: Provenance,
    *,
    precision: int,
    tag: str = "pick",
    with_comments: bool = True,
) -> Element:
    """Make a pick; for a notifier with the tag ``Pick`` and without comments."""
    element = etree.Element(tag, clean({"publicID": pick.public_id}))
    add_time(element, pick)
    _add_waveform_id(element, pick.seed_id)
    if pick.filter_id:
        add(element, "filterID", pick.filter_id)
    add(element, "methodID", METHOD)
    add(element, "onset", pick.onset)
    add(element, "phaseHint", pick.phase)
    if pick.polarity is not None:
        add(element, "polarity", pick.polarity)
    add(element, "evaluationMode", "automatic")
    add_creation_info(element, provenance)
    if with_comments:
        element.extend(comment_elements(pick, precision=precision))
    return element


def has_amplitude(pick: Pick, phases: frozenset[Phase] = ALL_PHASES) -> bool:
    """Whether a pick comes with an ``snr`` amplitude: one of these phases, with a finite SNR."""
    return pick.phase in phases and math.isfinite(pick.snr)


def amplitude_element(
    pick: Pick,
    provenance: Provenance,
    *,
    phases: frozenset[Phase] = ALL_PHASES,
    tag: str = "amplitude",
) -> Element | None:
    """Make the pick's ``snr`` amplitude; None if it has none (see `has_amplitude`)."""
    if not has_amplitude(pick, phases):
        return None
    public_id = f"{pick.public_id}.{AMPLITUDE_TYPE}"
    element = etree.Element(tag, clean({"publicID": public_id}))
    add(element, "type", AMPLITUDE_TYPE)
    add(add(element, "amplitude"), "value", f"{pick.snr:.6g}")
    window = add(element, "timeWindow")
    add(window, "reference", format_time(pick.time_ns))
    add(window, "begin", number(SNR_WINDOW_S[0], 3))
    add(window, "end", number(SNR_WINDOW_S[1], 3))
    add(element, "snr", f"{pick.snr:.6g}")
    add(element, "pickID", pick.public_id)
    _add_waveform_id(element, pick.seed_id)
    if pick.filter_id:
        add(element, "filterID", pick.filter_id)
    add(element, "methodID", METHOD)
    add_creation_info(element, provenance)
    return element


def comment_elements(pick: Pick, *, precision: int, tag: str = "comment") -> list[Element]:
    """Make the pick's comments: probability, model and decision delay."""
    elements = []
    for name, text in comments(pick, precision=precision).items():
        element = etree.Element(tag)
        add(element, "text", text)
        add(element, "id", name)
        elements.append(element)
    return elements


def _add_waveform_id(parent: Element, seed_id: SeedId) -> None:
    codes = {"networkCode": seed_id.network, "stationCode": seed_id.station}
    codes |= {"locationCode": seed_id.location} if seed_id.location else {}
    add(parent, "waveformID", **codes, channelCode=seed_id.channel)
