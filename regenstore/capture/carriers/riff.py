"""RIFF and IFF: the chunks of WebP, WAV, AVI and AIFF that hold EXIF, XMP, C2PA, ID3, and a WAV's own texts.

Structure: WebP container specification; RIFF (Microsoft, 1991); EBU Tech 3285 (``bext``) and 3306 (RF64); AIFF 1.3.
"""

from __future__ import annotations

from collections.abc import Iterator

from regenstore.capture.carriers import exif
from regenstore.capture.carriers.bounded_file import BoundedFile, unsigned, unsigned_le
from regenstore.capture.carriers.text import decoded, until_nul
from regenstore.capture.embedded import Embedded

_DESCRIPTION = 256
"""The length of the first field of ``bext``."""


def pieces(file: BoundedFile) -> Iterator[Embedded]:
    """What the chunks of a file hold that begins with ``RIFF``, ``RF64`` or ``FORM``."""
    number = unsigned if file.look(0, 4) == b"FORM" else unsigned_le
    at, long_data = 12, 0
    while len(head := file.look(at, 8)) == 8:
        kind, length = head[:4], number(head[4:])
        start = at + 8
        if kind == b"ds64":  # RF64 gives the length of the sound here
            long_data = unsigned_le(file.look(start, 16)[8:16])
        elif kind == b"data" and length == 0xFFFFFFFF and long_data:
            length = long_data
        elif kind == b"EXIF":
            yield from exif.pieces(file, start)
        elif kind in (b"id3 ", b"ID3 "):
            from regenstore.capture.carriers import id3

            yield from id3.pieces(file, start)
        elif kind == b"LIST" and file.look(start, 4) == b"INFO":
            yield from _info(file, start + 4, start + length)
        elif kind in _TEXTS and (data := file.piece(start, length)) is not None:
            yield _TEXTS[kind](data)
        at = start + length + length % 2


def _info(file: BoundedFile, at: int, end: int) -> Iterator[Embedded]:
    while at + 8 <= end and len(head := file.look(at, 8)) == 8:
        length = unsigned_le(head[4:])
        if (data := file.piece(at + 8, length)) is not None:
            yield Embedded("riff", decoded(head[:4]), decoded(until_nul(data)[0]))
        at += 8 + length + length % 2


def _xmp(data: bytes) -> Embedded:
    return Embedded("xmp", "packet", decoded(data.rstrip(b"\0")))


def _c2pa(data: bytes) -> Embedded:
    return Embedded("c2pa", "manifest", data)


def _broadcast(data: bytes) -> Embedded:
    return Embedded("riff", "bext", decoded(until_nul(data[:_DESCRIPTION])[0]))


def _aiff(data: bytes) -> Embedded:
    return Embedded("riff", "ANNO", decoded(until_nul(data)[0]))


_TEXTS = {b"ANNO": _aiff, b"XMP ": _xmp, b"_PMX": _xmp, b"C2PA": _c2pa, b"bext": _broadcast}
