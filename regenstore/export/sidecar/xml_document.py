"""XML documents: a tree of elements to bytes, and bytes to a tree.

All quoting of the XML writers is done here: whatever text stands in a tree, the document is well-formed, and
a parser gives the same text back, line ends and tabs included; characters that XML 1.0 does not know come out
as U+FFFD.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from regenstore.export.sidecar.legal_text import xml_attribute, xml_escape, xml_legal


def to_bytes(root: Element, doctype: str = "") -> bytes:
    """The document in UTF-8, one element per line, two spaces per level."""
    head = '<?xml version="1.0" encoding="UTF-8"?>\n' + (f"<!DOCTYPE {doctype}>\n" if doctype else "")
    return (head + "".join(_lines(root, ""))).encode()


def child(parent: Element, tag: str, text: str = "", **attributes: str) -> Element:
    """A new last element in a parent."""
    made = ElementTree.SubElement(parent, tag, attributes)
    made.text = text or None
    return made


def _lines(element: Element, indent: str) -> Iterator[str]:
    attributes = "".join(f' {name}="{xml_attribute(xml_legal(text)[0])}"' for name, text in element.items())
    start = f"{indent}<{element.tag}{attributes}"
    if len(element):
        yield f"{start}>\n"
        for inner in element:
            yield from _lines(inner, indent + "  ")
        yield f"{indent}</{element.tag}>\n"
    elif element.text:
        yield f"{start}>{xml_escape(xml_legal(element.text)[0])}</{element.tag}>\n"
    else:
        yield f"{start}/>\n"


def parse(data: bytes) -> Element:
    """The tree of a document. Raises ValueError for what is no XML, or declares entities."""
    if b"<!ENTITY" in data or re.search(rb"<!DOCTYPE[^>]*\[", data):
        raise ValueError("no XML to trust: it declares entities")
    try:
        return ElementTree.fromstring(data)  # noqa: S314  entities are refused above
    except ElementTree.ParseError as error:
        raise ValueError(f"no XML: {error}") from None
