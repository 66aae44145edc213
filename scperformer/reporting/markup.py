"""Elements of a page, which is both HTML and well-formed XML; text is escaped when written."""

from __future__ import annotations

from itertools import count
from typing import Any

from lxml import etree

from scperformer.picks.documents import xml_text

Element = Any
"""An element of lxml."""

Content = Element | str

_MAY_END_AT_ONCE = {"meta", "rect", "line", "circle", "path"}
_DOCTYPE = b"<!DOCTYPE html>\n"


def tag(name: str, /, *content: Content | None, **attributes: str) -> Element:
    """Make an element of text and other elements; None is left out.

    Attributes are named as in HTML with ``_`` for ``-``; one that Python keeps for itself
    has a ``_`` at its end. Characters that XML cannot hold are left out.
    """
    named = {
        key.rstrip("_").replace("_", "-"): xml_text(value) for key, value in attributes.items()
    }
    element = etree.Element(name, named)
    for item in content:
        add(element, item)
    return element


def add(element: Element, item: Content | None) -> None:
    """Put text or an element at the end of another's content."""
    if item is None:
        return
    if not isinstance(item, str):
        element.append(item)
    elif len(element):
        element[-1].tail = (element[-1].tail or "") + xml_text(item)
    else:
        element.text = (element.text or "") + xml_text(item)


def described(svg: Element, title: str, description: str) -> Element:
    """Give a drawing a title and a description for those who do not see it."""
    svg.set("role", "img")
    svg.insert(0, tag("desc", description))
    svg.insert(0, tag("title", title))
    return svg


def to_bytes(page: Element) -> bytes:
    """Write a page as UTF-8."""
    _number(page)
    for element in page.iter():
        if element.text is None and not len(element) and element.tag not in _MAY_END_AT_ONCE:
            element.text = ""
    text: bytes = etree.tostring(page, encoding="UTF-8", xml_declaration=False)
    return _DOCTYPE + text + b"\n"


def _number(page: Element) -> None:
    """Let drawings name their titles and descriptions by ids."""
    numbers = count(1)
    for svg in page.iter("svg"):
        names = []
        for child in svg:
            if child.tag in ("title", "desc"):
                child.set("id", f"d{next(numbers)}")
                names.append(child.get("id"))
        if names:
            svg.set("aria-labelledby", " ".join(names))
