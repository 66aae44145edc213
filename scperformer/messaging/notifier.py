"""Notifier messages: how SeisComP's modules tell each other of new objects, in XML.

A notifier carries one object without its children, so that each comment of a pick travels
in a notifier of its own that names the pick as its parent. Class names are capitalised.
"""

from __future__ import annotations

from collections.abc import Sequence

from lxml import etree

from scperformer.picks import scml
from scperformer.picks.documents import Element, clean, markup, read_xml
from scperformer.picks.style import SCML_VERSIONS, Style
from scperformer.types import Pick

ROOT_OBJECT = "EventParameters"


def pick_message(pick: Pick, style: Style) -> bytes:
    """Make the message that adds a pick and its comments."""
    element = scml.pick_element(pick, style, tag="Pick", with_comments=False)
    comments = scml.comment_elements(pick, style, tag="Comment")
    notifiers = [_notifier(ROOT_OBJECT, element)]
    notifiers += [_notifier(pick.public_id, comment) for comment in comments]
    return _message(notifiers, style.scml_version)


def amplitude_message(pick: Pick, style: Style) -> bytes | None:
    """Make the message that adds a pick's ``snr`` amplitude; None if there is none."""
    element = scml.amplitude_element(pick, style, tag="Amplitude")
    if element is None:
        return None
    return _message([_notifier(ROOT_OBJECT, element)], style.scml_version)


def marker_message(nonce: str, *, version: str) -> bytes:
    """Make a message without any object that can be told by its nonce."""
    return _message([], version) + f"<!-- {nonce} -->\n".encode()


def public_ids(message: bytes) -> tuple[str, ...]:
    """Return the public ids of the objects in a message; none if it is no such message."""
    try:
        root = read_xml(message)
    except ValueError:
        return ()
    objects = (item for notifier in root.iter("{*}notifier") for item in notifier)
    return tuple(str(item.get("publicID")) for item in objects if "publicID" in item.attrib)


def schema_version(offered: str) -> str:
    """Return the newest schema version that we write and a server reads.

    Args:
        offered: the server's version, ``major.minor``; the oldest is assumed if it
            says something else.
    """
    newest = _numbers(offered)
    readable = [version for version in SCML_VERSIONS if _numbers(version) <= newest]
    return readable[-1] if readable else SCML_VERSIONS[0]


def _numbers(version: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in version.split("."))
    except ValueError:
        return ()


def _notifier(parent_id: str, element: Element) -> Element:
    notifier = etree.Element("notifier", clean({"parentID": parent_id, "operation": "add"}))
    notifier.append(element)
    return notifier


def _message(notifiers: Sequence[Element], version: str) -> bytes:
    body = b"".join(markup(notifier, depth=2) for notifier in notifiers)
    head = scml.opening(version) + b"  <notifier_message>\n"
    return head + body + b"  </notifier_message>\n</seiscomp>\n"
