"""PNG and APNG: chunks of text, EXIF, XMP, C2PA, and ComfyUI's own ``comf``, before and after the pixels.

Structure: PNG, third edition (W3C), sections 5 and 11. CRCs are not checked.
"""

from __future__ import annotations

from collections.abc import Iterator

from regenstore.capture.carriers import exif
from regenstore.capture.carriers.bounded_file import BoundedFile, unsigned
from regenstore.capture.carriers.text import decoded, decompressed, until_nul
from regenstore.capture.embedded import Embedded

XMP_KEYWORD = "XML:com.adobe.xmp"
_PIXELS = (b"IDAT", b"fdAT")
_REPEATED_IN_PIXELS = ("Comment", "parameters")
"""Keywords of those who also hide text in pixels: it is the same, and takes long to read."""
_RAW_PROFILE = "Raw profile type "


def pieces(file: BoundedFile) -> Iterator[Embedded]:
    """What a PNG's chunks hold, in their order; then what the lowest bits of its pixels hold, if no chunk says it."""
    at, first_pixels, has_text = 8, 0, False
    while len(head := file.look(at, 8)) == 8:
        length, kind = unsigned(head[:4]), head[4:]
        if not kind.isalpha() or length >= 1 << 31:
            break
        if kind in _PIXELS:
            first_pixels = first_pixels or at
            at = _last_alike(file, at, head, length + 12)
        elif kind == b"eXIf":
            yield from exif.pieces(file, at + 8)
        elif kind in _READERS and (data := file.piece(at + 8, length)) is not None:
            for piece in _READERS[kind](file, data):
                has_text = has_text or piece.name in _REPEATED_IN_PIXELS
                yield piece
        elif kind == b"IEND":
            break
        at += length + 12
    if first_pixels and not has_text:
        header = file.look(16, 13)
        if header[8:9] == b"\x08" and header[9:10] in (b"\x02", b"\x06") and header[12:13] == b"\0":
            from regenstore.capture.carriers import lowest_bits

            width, height = unsigned(header[:4]), unsigned(header[4:8])
            yield from lowest_bits.pieces(file, first_pixels, width, height, 4 if header[9] == 6 else 3)


def _last_alike(file: BoundedFile, at: int, head: bytes, step: int) -> int:
    """The last of the chunks that follow one another with the same header: encoders cut pixels into equal parts, and
    most of them need no look."""
    hop, grows = 1, True
    while hop:
        if file.look(at + hop * step, 8) == head:
            at += hop * step
        else:
            grows = False
        hop = 2 * hop if grows else hop // 2
    return at


def _plain(file: BoundedFile, data: bytes) -> Iterator[Embedded]:
    keyword, text = until_nul(data)
    yield from _keyed(file, keyword, text)


def _compressed(file: BoundedFile, data: bytes) -> Iterator[Embedded]:
    keyword, rest = until_nul(data)
    if (text := decompressed(file, rest[1:])) is not None:
        yield from _keyed(file, keyword, text)


def _international(file: BoundedFile, data: bytes) -> Iterator[Embedded]:
    keyword, rest = until_nul(data)
    text: bytes | None = until_nul(until_nul(rest[2:])[1])[1]
    if rest[:1] == b"\1":
        text = decompressed(file, text or b"")
    if text is not None:
        yield from _keyed(file, keyword, text)


def _keyed(file: BoundedFile, keyword: bytes, text: bytes) -> Iterator[Embedded]:
    name = decoded(keyword)
    if name == XMP_KEYWORD:
        yield Embedded("xmp", "packet", decoded(text))
    elif name.startswith(_RAW_PROFILE):
        yield from _raw_profile(file, name.removeprefix(_RAW_PROFILE), text)
    else:
        yield Embedded("png", name, decoded(text))


def _raw_profile(file: BoundedFile, kind: str, text: bytes) -> Iterator[Embedded]:
    """ImageMagick's form of other formats' metadata: the kind, the length and hexadecimal digits, on lines."""
    try:
        data = bytes.fromhex(text.split(None, 2)[2].decode("ascii"))
    except (ValueError, IndexError):
        return
    if kind == "xmp":
        yield Embedded("xmp", "packet", decoded(data))
    elif kind.lower() in ("exif", "app1"):
        yield from exif.pieces(file.of(data))


def _c2pa(file: BoundedFile, data: bytes) -> Iterator[Embedded]:
    yield Embedded("c2pa", "manifest", data)


_READERS = {
    b"tEXt": _plain,
    b"comf": _plain,
    b"zTXt": _compressed,
    b"iTXt": _international,
    b"caBX": _c2pa,
}
