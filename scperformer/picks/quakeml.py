"""QuakeML 1.2. Picks live inside an event there: unassociated ones share one that says so."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from lxml import etree

from scperformer.picks import documents
from scperformer.picks.documents import METHOD, add, markup
from scperformer.picks.style import Style
from scperformer.types import Pick

FOOT = b"    </event>\n  </eventParameters>\n</q:quakeml>\n"
_QUAKEML = "http://quakeml.org/xmlns/quakeml/1.2"
_BED = "http://quakeml.org/xmlns/bed/1.2"
_AUTHORITY = f"smi:local/{METHOD}"
_DESCRIPTION = "Unassociated automatic picks; not an earthquake"
_NOT_IN_ID = re.compile(r"[^A-Za-z0-9\-.*()_~'+?=,;#/]")

read = documents.read_document


def head(picks: Sequence[Pick], style: Style) -> bytes:
    """Return the beginning of a document: one event without origins for all picks.

    Resource ids are made from the picks' public ids: the same picks, the same ids.
    """
    label = f"{picks[0].public_id}/{len(picks)}" if picks else "none"
    opening = (
        f'<q:quakeml xmlns:q="{_QUAKEML}" xmlns="{_BED}">\n'
        f'  <eventParameters publicID="{resource_id("catalog", label)}">\n'
        f'    <event publicID="{resource_id("picks", label)}">\n'
    )
    parts = etree.Element("head")
    add(add(parts, "description"), "text", _DESCRIPTION)
    documents.add_creation_info(parts, style)
    described = b"".join(markup(element, depth=3) for element in list(parts))
    return documents.XML_DECLARATION + opening.encode() + described


def body(pick: Pick, style: Style) -> bytes:
    """Return a pick, with its SNR among the comments."""
    element = etree.Element("pick", {"publicID": resource_id("pick", pick.public_id)})
    documents.add_values(
        element,
        pick,
        style,
        documents.stream_codes(pick.seed_id),
        filter_id=resource_id("filter", pick.filter_id),
        method_id=f"{_AUTHORITY}/picker",
    )
    texts = documents.comments(pick, precision=style.precision)
    texts |= {"snr": f"{pick.snr:.6g}"} if math.isfinite(pick.snr) else {}
    for name, text in texts.items():
        comment = add(element, "comment", id=resource_id("comment", f"{pick.public_id}/{name}"))
        add(comment, "text", f"{name}: {text}")
    return markup(element, depth=3)


def resource_id(kind: str, name: str) -> str:
    """Make a resource identifier; characters that it cannot hold become underscores."""
    return f"{_AUTHORITY}/{kind}/{_NOT_IN_ID.sub('_', name)}"
