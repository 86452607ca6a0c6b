"""Text of embedded metadata: the encodings that programs really use, and bounded decompression."""

from __future__ import annotations

import zlib

from regenstore.capture.carriers.bounded_file import BoundedFile
from regenstore.capture.embedded import MAX_PIECE

ZLIB, GZIP = zlib.MAX_WBITS, zlib.MAX_WBITS | 16


def decoded(data: bytes) -> str:
    """Text in UTF-8, else in Latin-1: which of the two a field has is often another than its format says."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")


def until_nul(data: bytes) -> tuple[bytes, bytes]:
    """What is before the first NUL, and what is after it."""
    before, _, after = data.partition(b"\0")
    return before, after


def common_case(name: str) -> str:
    """A key in the case in which programs set it: FFmpeg's writers of some formats turn all into capitals."""
    return name.lower() if name.isupper() else name


def utf16(data: bytes, otherwise: str) -> str:
    """UTF-16 in the byte order that its mark or its characters tell, else in the other one given (``little``,
    ``big``): text has few different high bytes, most of them zero."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", "replace").rstrip("\0")
    data = data[: len(data) // 2 * 2]
    big, little = (_as_high_bytes(data[first::2]) for first in (0, 1))
    order = ("big" if big > little else "little") if big != little else otherwise
    return data.decode("utf-16-be" if order == "big" else "utf-16-le", "replace").rstrip("\0")


def _as_high_bytes(data: bytes) -> tuple[int, int]:
    return data.count(0), -len(set(data))


def decompressed(file: BoundedFile, data: bytes, form: int = ZLIB) -> bytes | None:
    """Return the content of a whole zlib or gzip stream; None if it is damaged, cut off or longer than a piece may
    be. Raises LimitReached."""
    stream = zlib.decompressobj(form)
    try:
        found = stream.decompress(data, MAX_PIECE + 1)
    except zlib.error:
        return None
    file.spend(len(found))
    return found if stream.eof and len(found) <= MAX_PIECE else None
