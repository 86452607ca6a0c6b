"""Merge our XMP with a packet that a medium has already: what is foreign stays, what is missing is added.

Properties of regenstore's own namespace are replaced. Any other property that both have keeps the medium's value;
unordered lists (keywords, people) are united.
"""

from __future__ import annotations

from collections.abc import Iterator

from regenstore.export.sidecar.writers.xmp import NAMESPACES, RDF, document
from regenstore.export.sidecar.xml_document import Element, parse, to_bytes

_RDF, _OURS = f"{{{RDF}}}", f"{{{NAMESPACES['regen']}}}"
_NOT_PROPERTIES = (_RDF, "{http://www.w3.org/XML/1998/namespace}")


def merged(ours: bytes, old: bytes) -> tuple[bytes, tuple[str, ...]]:
    """Merge our XMP document with the packet of a medium; returns the document, and the names of the properties of
    which the medium has and keeps another value. Raises ValueError for a packet that cannot be read."""
    root, mine = parse(ours), parse(old.strip(b"\0"))
    here, there = (_descriptions(each) for each in (root, mine))
    known: dict[str, Element | str] = {}
    for description in there:
        for name in [name for name in description.attrib if name.startswith(_OURS)]:
            del description.attrib[name]
        for element in [each for each in description if each.tag.startswith(_OURS)]:
            description.remove(element)
        known.update((name, text) for name, text in description.items() if not name.startswith(_NOT_PROPERTIES))
        known.update((element.tag, element) for element in description)
    conflicts = []
    for description in here:
        description.set(f"{_RDF}about", there[0].get(f"{_RDF}about", "") if there else "")
        for element in list(description):
            before = known.get(element.tag)
            if before is None:
                continue
            description.remove(element)
            if not _united(before, element) and sorted(_words(before)) != sorted(_words(element)):
                conflicts.append(_shown(element))
    made, properties = document()
    (rdf,) = made
    rdf.remove(properties)
    for description in (*there, *here):
        if len(description) or len(description.attrib) > 1:
            rdf.append(description)
    return to_bytes(made, indent=" "), tuple(conflicts)


def _descriptions(root: Element) -> list[Element]:
    """The elements with a document's properties. Raises ValueError if it is not XMP."""
    rdf = root if root.tag == f"{_RDF}RDF" else root.find(f"{_RDF}RDF")
    if rdf is None:
        raise ValueError("it has no rdf:RDF")
    return list(rdf)


def _united(before: Element | str, element: Element) -> bool:
    """Add the items of an unordered list to the medium's; False if the two are not such lists."""
    bag = None if isinstance(before, str) else before.find(f"{_RDF}Bag")
    more = element.find(f"{_RDF}Bag")
    if bag is None or more is None:
        return False
    had = {item.text for item in bag}
    bag.extend([item for item in more if item.text not in had])
    return True


def _words(value: Element | str) -> Iterator[str]:
    """The texts of a property, in whichever of RDF's notations it is written."""
    if isinstance(value, str):
        yield value.strip()
        return
    for each in value.iter():
        yield from (text.strip() for name, text in each.items() if not name.startswith(_NOT_PROPERTIES))
        if each.text and each.text.strip():
            yield each.text.strip()


def _shown(element: Element) -> str:
    """A property's name as people write it, such as ``dc:title``."""
    return f"{element.prefix}:{element.tag.rpartition('}')[2]}"
