"""Build, serialise and parse XML documents with lxml.

Any text in a tree survives serialising and parsing, line ends and tabs included; characters that XML 1.0 does not allow
become U+FFFD. lxml is imported when the first document is made or read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from regenstore.export.sidecar.legal_text import xml_legal

Element: TypeAlias = Any
"""An lxml element."""


def new(tag: str, spaces: Mapping[Any, str] | None = None, **attributes: str) -> Element:
    """Create a document's root element. ``spaces``: the namespaces to declare, by prefix; None for the default one."""
    from lxml import etree

    return etree.Element(tag, _legal(attributes), nsmap=spaces)


def child(parent: Element, tag: str, text: str = "", **attributes: str) -> Element:
    """Append a new element to a parent."""
    from lxml import etree

    made = etree.SubElement(parent, tag, _legal(attributes))
    made.text = xml_legal(text)[0] or None
    return made


def _legal(attributes: Mapping[str, str]) -> dict[str, str]:
    return {name: xml_legal(text)[0] for name, text in attributes.items()}


def to_bytes(root: Element, doctype: str = "", indent: str = "  ") -> bytes:
    """Serialise a document in UTF-8, one element per line, ``indent`` per level."""
    from lxml import etree

    etree.indent(root, space=indent)
    head = '<?xml version="1.0" encoding="UTF-8"?>\n' + (f"<!DOCTYPE {doctype}>\n" if doctype else "")
    return head.encode() + bytes(etree.tostring(root, encoding="UTF-8", xml_declaration=False)) + b"\n"


def parse(data: bytes) -> Element:
    """Parse a document, without comments and processing instructions; nothing else is opened for it. Raises
    ValueError for invalid XML, and for documents that declare or use entities or have their own document type."""
    from lxml import etree

    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, remove_comments=True, remove_pis=True
    )
    try:
        root = etree.fromstring(data, parser)
    except etree.XMLSyntaxError as error:
        raise ValueError(f"not valid XML: {error}") from None
    declared = root.getroottree().docinfo.internalDTD
    own = declared is not None and (*declared.iterentities(), *declared.iterelements())
    if own or next(root.iter(etree.Entity), None) is not None:
        raise ValueError("refused: it declares entities or its own document type")
    return root
