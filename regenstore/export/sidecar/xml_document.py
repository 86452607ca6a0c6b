"""XML documents: a tree of elements to bytes, bytes to a tree, and a grammar that says what may be in it.

All quoting of the XML writers is done here: whatever text stands in a tree, the document is well-formed, and
a parser gives the same text back, line ends and tabs included; characters that XML 1.0 does not know come out
as U+FFFD. A grammar is a table of elements; it stands for a schema language where a subset of a format is all
that is ever written.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from regenstore.export.sidecar.legal_text import xml_attribute, xml_escape, xml_legal

TEXT = r"(?s:.*)"
"""Any text."""


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


@dataclass(frozen=True)
class Model:
    """What one element may have."""

    children: str = ""
    """Pattern over the tags of its children, each followed by a comma: ``note,?(marker,)*``."""
    needs: Mapping[str, str] = field(default_factory=dict)
    """Attributes that have to be there, with the pattern of their value."""
    may: Mapping[str, str] = field(default_factory=dict)
    """Attributes that may be there."""
    text: str = ""
    """Pattern of its text, where it has no children."""


def violations(root: Element, grammar: Mapping[str, Model], start: str) -> Iterator[str]:
    """Where a tree is not as a grammar says, one sentence each; namespaces are part of the tags."""
    if root.tag != start:
        yield f"the document is a {root.tag}, not a {start}"
        return
    for element in root.iter():
        model = grammar.get(element.tag)
        if model is None:
            yield f"<{element.tag}> is not known"
            continue
        inside = "".join(f"{inner.tag}," for inner in element)
        if re.fullmatch(model.children, inside) is None:
            yield f"<{element.tag}> has the wrong content or order: {inside.rstrip(',') or 'nothing'}"
        if not len(element) and re.fullmatch(model.text, element.text or "") is None:
            yield f"<{element.tag}> cannot say {element.text!r}"
        for name in model.needs.keys() - element.keys():
            yield f"<{element.tag}> has no {name}"
        for name, value in element.items():
            pattern = model.needs.get(name, model.may.get(name))
            if pattern is None:
                yield f"<{element.tag}> has no attribute {name}"
            elif re.fullmatch(pattern, value) is None:
                yield f"<{element.tag}> cannot have {name}={value!r}"
