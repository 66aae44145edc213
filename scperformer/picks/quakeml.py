"""QuakeML 1.2. Picks live inside an event there: unassociated ones share one that says so."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import BinaryIO

from lxml import etree

from scperformer.picks.documents import (
    METHOD,
    XML_DECLARATION,
    Element,
    Provenance,
    add,
    add_creation_info,
    add_time,
    comments,
    markup,
)
from scperformer.types import Pick

_QUAKEML = "http://quakeml.org/xmlns/quakeml/1.2"
_BED = "http://quakeml.org/xmlns/bed/1.2"
_AUTHORITY = f"smi:local/{METHOD}"
_DESCRIPTION = "Unassociated automatic picks; not an earthquake"
_NOT_IN_ID = re.compile(r"[^A-Za-z0-9\-.*()_~'+?=,;#/]")


def write_document(
    file: BinaryIO, picks: Sequence[Pick], *, provenance: Provenance, precision: int
) -> None:
    """Write picks into one event without origins.

    Resource ids are made from the picks' public ids: the same picks, the same ids.

    Args:
        file: where to.
        picks: in the order wanted.
        provenance: agency, author and creation time.
        precision: digits of probabilities.
    """
    label = f"{picks[0].public_id}/{len(picks)}" if picks else "none"
    file.write(XML_DECLARATION)
    file.write(
        f'<q:quakeml xmlns:q="{_QUAKEML}" xmlns="{_BED}">\n'
        f'  <eventParameters publicID="{resource_id("catalog", label)}">\n'
        f'    <event publicID="{resource_id("picks", label)}">\n'.encode()
    )
    head = etree.Element("head")
    add(add(head, "description"), "text", _DESCRIPTION)
    add_creation_info(head, provenance)
    for element in list(head):
        file.write(markup(element, depth=3))
    for pick in picks:
        file.write(markup(pick_element(pick, provenance, precision=precision), depth=3))
    file.write(b"    </event>\n  </eventParameters>\n</q:quakeml>\n")


def pick_element(pick: Pick, provenance: Provenance, *, precision: int) -> Element:
    """Make a pick, with its SNR among the comments."""
    element = etree.Element("pick", {"publicID": resource_id("pick", pick.public_id)})
    add_time(element, pick)
    add(
        element,
        "waveformID",
        networkCode=pick.seed_id.network,
        stationCode=pick.seed_id.station,
        locationCode=pick.seed_id.location,
        channelCode=pick.seed_id.channel,
    )
    if pick.filter_id:
        add(element, "filterID", resource_id("filter", pick.filter_id))
    add(element, "methodID", f"{_AUTHORITY}/picker")
    add(element, "onset", pick.onset)
    add(element, "phaseHint", pick.phase)
    if pick.polarity is not None:
        add(element, "polarity", pick.polarity)
    add(element, "evaluationMode", "automatic")
    add_creation_info(element, provenance)
    texts = comments(pick, precision=precision)
    texts |= {"snr": f"{pick.snr:.6g}"} if math.isfinite(pick.snr) else {}
    for name, text in texts.items():
        comment = add(element, "comment", id=resource_id("comment", f"{pick.public_id}/{name}"))
        add(comment, "text", f"{name}: {text}")
    return element


def resource_id(kind: str, name: str) -> str:
    """Make a resource identifier; characters that it cannot hold become underscores."""
    return f"{_AUTHORITY}/{kind}/{_NOT_IN_ID.sub('_', name)}"
