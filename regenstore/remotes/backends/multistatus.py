"""Parse WebDAV listings (the answer to PROPFIND) as they arrive, with lxml, without DTDs and entities."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from lxml import etree

ASK = (
    b'<?xml version="1.0" encoding="utf-8"?>\n<propfind xmlns="DAV:"><prop>'
    b"<resourcetype/><getcontentlength/><getlastmodified/><getetag/></prop></propfind>"
)
"""The properties that are requested of each entry."""
_LONGEST = 1 << 16
_BETWEEN = 1 << 20
"""Largest number of bytes between two entries."""
_PIECE = 64 << 10


@dataclass
class DavEntry:
    """A resource: its href as the server spells it, and the texts of its properties."""

    href: str = ""
    folder: bool = False
    size: str = ""
    etag: str = ""
    modified: str = ""


_FIELDS = {
    "{DAV:}href": "href",
    "{DAV:}getcontentlength": "size",
    "{DAV:}getetag": "etag",
    "{DAV:}getlastmodified": "modified",
}


def entries(blocks: Iterable[bytes], most: int = 1 << 22) -> Iterator[DavEntry]:
    """Yield the entries of a multistatus document. Raises ValueError if it is not one, is cut off, or is endless:
    more than ``most`` entries, or too much data between them."""
    parser = etree.XMLPullParser(
        ("end",), tag="{DAV:}response", resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False
    )
    count = since = 0
    try:
        for block in blocks:
            for at in range(0, len(block), _PIECE):
                piece = block[at : at + _PIECE]
                parser.feed(piece)
                since += len(piece)
                for _, response in parser.read_events():
                    if not count:
                        _refuse_doctype(response)
                    count, since = count + 1, 0
                    yield _entry(response)
                    _drop(response)
                if count > most or since > _BETWEEN:
                    raise ValueError("the listing does not end")
        _refuse_doctype(parser.close())
    except etree.LxmlError as error:
        raise ValueError(f"the listing is not XML: {error}") from None


def _refuse_doctype(element: Any) -> None:
    if element.getroottree().docinfo.doctype:
        raise ValueError("the listing has a document type, which is not allowed")


def _drop(response: Any) -> None:
    """Free the parsed part of the document."""
    response.clear()
    parent = response.getparent()
    if parent is not None:
        del parent[: parent.index(response)]


def _entry(response: Any) -> DavEntry:
    found = DavEntry()
    for element in response.iter(*_FIELDS, "{DAV:}collection"):
        if element.tag == "{DAV:}collection":
            found.folder = True
            continue
        text = element.text or ""
        if len(text) > _LONGEST:
            raise ValueError("a property in the listing is too long")
        # A property that the server lacks comes empty, in a second propstat.
        if text.strip():
            setattr(found, _FIELDS[element.tag], text.strip())
    return found
