"""The properties of an XMP packet, flat.

Structure: XMP part 1 (ISO 16684-1), section 7: RDF of simple values, arrays and structures.
"""

from __future__ import annotations

from collections.abc import Mapping

_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_XML = "http://www.w3.org/XML/1998/namespace"
_PREFIXES = {
    "http://ns.adobe.com/xap/1.0/": "xmp",
    "http://ns.adobe.com/xap/1.0/mm/": "xmpMM",
    "http://ns.adobe.com/xap/1.0/rights/": "xmpRights",
    "http://ns.adobe.com/exif/1.0/": "exif",
    "http://ns.adobe.com/tiff/1.0/": "tiff",
    "http://ns.adobe.com/photoshop/1.0/": "photoshop",
    "http://purl.org/dc/elements/1.1/": "dc",
    "http://iptc.org/std/Iptc4xmpExt/2008-02-29/": "Iptc4xmpExt",
    "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/": "Iptc4xmpCore",
    "http://purl.org/dc/terms/": "dcterms",
}
"""Usual prefixes of namespaces; for others the packet's own prefix is used."""
_MAX_ELEMENTS, _MAX_PROPERTIES, _MAX_DEPTH = 20_000, 4096, 64


def properties(packet: str) -> Mapping[str, str | list[str]]:
    """Return the properties of a packet by ``prefix:name``: text for simple values and the first of alternatives, a
    list for bags, sequences and repeated values; fields of structures by ``prefix:name/prefix:name``.

    Never raises: a packet that is not XML, too large, or that declares a document type (entities are never expanded)
    gives what precedes the fault.
    """
    from xml.parsers import expat  # slow to import, and seldom needed

    reading = _Reading()
    parser = expat.ParserCreate("utf-8", " ")
    parser.namespace_prefixes = True
    parser.buffer_text = True
    parser.StartElementHandler, parser.EndElementHandler = reading.start, reading.end
    parser.CharacterDataHandler = reading.texts.append
    parser.StartDoctypeDeclHandler = reading.refuse
    try:
        parser.Parse(packet.strip("\0\ufeff \r\n\t").encode("utf-8", "replace"), True)
    except (expat.ExpatError, _Refused):
        pass
    return reading.found


class _Refused(Exception):
    pass


class _Reading:
    """What was read so far. ``path`` has a name for every open element, empty for those of RDF's own."""

    def __init__(self) -> None:
        self.found: dict[str, str | list[str]] = {}
        self.texts: list[str] = []
        self._path: list[str] = []
        self._inside = 0
        """How many elements are open inside RDF."""
        self._elements = 0
        self._is_leaf = False
        self._listed: dict[str, str] = {}
        """Property -> the kind of its array."""

    def refuse(self, *declaration: object) -> None:
        raise _Refused

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._elements += 1
        uri, local, shown = _resolved(name)
        if self._elements > _MAX_ELEMENTS or len(self._path) >= _MAX_DEPTH:
            raise _Refused
        if self._inside or (uri == _RDF and local == "RDF"):
            self._inside += 1
        if uri == _RDF and local in ("Bag", "Seq", "Alt"):
            self._listed[self._key()] = local
        self._path.append("" if uri == _RDF or not self._inside else shown)
        self.texts.clear()
        self._is_leaf = self._inside > 1
        for each, value in attributes.items() if self._inside else ():
            uri, local, shown = _resolved(each)
            if uri == _RDF and local == "resource":
                self._add(self._key(), value)
            elif uri and uri not in (_RDF, _XML):
                self._add("/".join(filter(None, (self._key(), shown))), value)

    def end(self, name: str) -> None:
        if self._is_leaf and (key := self._key()) and (text := "".join(self.texts)):
            self._add(key, text)
        self._is_leaf = False
        self._path.pop()
        self.texts.clear()
        self._inside -= self._inside > 0

    def _key(self) -> str:
        return "/".join(filter(None, self._path))

    def _add(self, key: str, value: str) -> None:
        known = self.found.get(key)
        if known is None and len(self.found) >= _MAX_PROPERTIES:
            raise _Refused
        kind = self._listed.get(key)
        if isinstance(known, list):
            known.append(value)
        elif known is None:
            self.found[key] = [value] if kind in ("Bag", "Seq") else value
        elif kind != "Alt":
            self.found[key] = [known, value]


def _resolved(name: str) -> tuple[str, str, str]:
    """Namespace, local name, and the name with its prefix."""
    uri, _, rest = name.rpartition(" ") if name.count(" ") == 1 else name.partition(" ")
    local, _, prefix = rest.partition(" ")
    prefix = _PREFIXES.get(uri, prefix)
    return uri, local, f"{prefix}:{local}" if prefix else local
