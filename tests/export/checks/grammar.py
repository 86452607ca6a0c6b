"""A grammar that says what may be in an XML document, where a subset of a format is all that is ever written.

A grammar is a table of elements; it stands for a schema language.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from regenstore.export.sidecar.xml_document import Element as Element
from regenstore.export.sidecar.xml_document import parse as parse

TEXT = r"(?s:.*)"
"""Any text."""


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
