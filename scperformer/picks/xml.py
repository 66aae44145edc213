"""XML that may be hostile: no entities are expanded, nothing else is fetched or opened."""

from __future__ import annotations

from typing import Any

from lxml import etree


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
