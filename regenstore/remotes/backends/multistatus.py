"""Reading what a WebDAV server lists: the answer to PROPFIND, as it comes, without DTDs and entities."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from xml.parsers import expat

ASK = (
    b'<?xml version="1.0" encoding="utf-8"?>\n<propfind xmlns="DAV:"><prop>'
    b"<resourcetype/><getcontentlength/><getlastmodified/><getetag/></prop></propfind>"
)
"""What is asked for of each entry."""
_LONGEST = 1 << 16
_BETWEEN = 1 << 20
"""Bytes from one entry to the next."""


@dataclass
class DavEntry:
    """One resource: where it is, as the server spells it, and the texts of its properties."""

    href: str = ""
    folder: bool = False
    size: str = ""
    etag: str = ""
    modified: str = ""


_FIELDS = {"href": "href", "getcontentlength": "size", "getetag": "etag", "getlastmodified": "modified"}


def entries(blocks: Iterable[bytes], most: int = 1 << 22) -> Iterator[DavEntry]:
    """The entries of a multistatus document. Raises ValueError where it is none, is cut off, or does not end: it has
    more than ``most`` entries, or too much that is none."""
    reader = _Reader()
    count = since = 0
    for block in blocks:
        reader.feed(block)
        since += len(block)
        for entry in reader.taken():
            count, since = count + 1, 0
            yield entry
        if count > most or since > _BETWEEN:
            raise ValueError("the listing does not come to an end")
    reader.feed(b"", last=True)
    yield from reader.taken()


class _Reader:
    def __init__(self) -> None:
        self._parser = expat.ParserCreate(namespace_separator=" ")
        self._parser.StartDoctypeDeclHandler = self._refuse
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._text
        self._parser.buffer_text = True
        self._entry: DavEntry | None = None
        self._text_of: list[str] | None = None
        self._long = 0
        self._found: list[DavEntry] = []

    def feed(self, block: bytes, last: bool = False) -> None:
        try:
            self._parser.Parse(block, last)
        except expat.ExpatError as error:
            raise ValueError(f"the listing is not XML: {error}") from None

    def taken(self) -> list[DavEntry]:
        found, self._found = self._found, []
        return found

    def _refuse(self, *declaration: object) -> None:
        raise ValueError("the listing has a document type, which is refused")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        space, _, local = name.rpartition(" ")
        if space != "DAV:":
            return
        if local == "response":
            self._entry = DavEntry()
        elif local in _FIELDS:
            self._text_of, self._long = [], 0
        elif local == "collection" and self._entry is not None:
            self._entry.folder = True

    def _text(self, text: str) -> None:
        if self._text_of is not None:
            self._long += len(text)
            if self._long > _LONGEST:
                raise ValueError("the listing has a property that is too long")
            self._text_of.append(text)

    def _end(self, name: str) -> None:
        space, _, local = name.rpartition(" ")
        if space != "DAV:" or self._entry is None:
            return
        if local == "response":
            self._found.append(self._entry)
            self._entry = None
        elif local in _FIELDS and self._text_of is not None:
            text = "".join(self._text_of).strip()
            # A property that the server does not have comes empty, in a second propstat.
            if text:
                setattr(self._entry, _FIELDS[local], text)
            self._text_of = None
