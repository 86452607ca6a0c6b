"""XML documents, by lxml: a tree of elements to bytes, and bytes to a tree.

Whatever text stands in a tree, a parser gives the same text back, line ends and tabs included; characters that XML 1.0
does not know come out as U+FFFD. lxml is imported when the first document is made or read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from regenstore.export.sidecar.legal_text import xml_legal

Element: TypeAlias = Any
"""An element of lxml's."""


def new(tag: str, spaces: Mapping[Any, str] | None = None, **attributes: str) -> Element:
    """A document's first element. ``spaces``: the namespaces that it declares, by prefix; None is for names without."""
    from lxml import etree

    return etree.Element(tag, _legal(attributes), nsmap=spaces)


def child(parent: Element, tag: str, text: str = "", **attributes: str) -> Element:
    """A new last element in a parent."""
    from lxml import etree

    made = etree.SubElement(parent, tag, _legal(attributes))
    made.text = xml_legal(text)[0] or None
    return made


def _legal(attributes: Mapping[str, str]) -> dict[str, str]:
    return {name: xml_legal(text)[0] for name, text in attributes.items()}


def to_bytes(root: Element, doctype: str = "", indent: str = "  ") -> bytes:
    """The document in UTF-8, one element per line, ``indent`` per level."""
    from lxml import etree

    etree.indent(root, space=indent)
    head = '<?xml version="1.0" encoding="UTF-8"?>\n' + (f"<!DOCTYPE {doctype}>\n" if doctype else "")
    return head.encode() + bytes(etree.tostring(root, encoding="UTF-8", xml_declaration=False)) + b"\n"


def parse(data: bytes) -> Element:
    """The tree of a document, without comments and processing instructions; nothing else is opened for it. Raises
    ValueError for what is no XML, declares or uses entities, or brings a document type of its own."""
    from lxml import etree

    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, remove_comments=True, remove_pis=True
    )
    try:
        root = etree.fromstring(data, parser)
    except etree.XMLSyntaxError as error:
        raise ValueError(f"no XML: {error}") from None
    declared = root.getroottree().docinfo.internalDTD
    own = declared is not None and (*declared.iterentities(), *declared.iterelements())
    if own or next(root.iter(etree.Entity), None) is not None:
        raise ValueError("no XML to trust: it declares entities or a document type of its own")
    return root
