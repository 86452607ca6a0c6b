"""MP4, MOV, M4A, AVIF, HEIF, and the containers of JPEG XL and JPEG 2000: boxes within boxes.

Structure: ISO/IEC 14496-12 (boxes, ``meta``, items), QuickTime File Format (``udta``, ``mdta`` keys), iTunes' ``ilst``;
uuid boxes by XMP part 3, C2PA 2, annex A, and ComfyUI's node SaveImageAdvanced. FFmpeg writes ``mdta`` keys with
``-movflags use_metadata_tags``.
"""

from __future__ import annotations

from collections.abc import Iterator

from regenstore.capture.carriers import exif
from regenstore.capture.carriers.bounded_file import BoundedFile, unsigned
from regenstore.capture.carriers.text import decoded, until_nul
from regenstore.capture.embedded import Embedded

_XMP_UUID = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
_COMFYUI_UUID = b"comfyui_workflow"
_C2PA_UUID = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
_NAMES = {
    b"\xa9cmt": "comment",
    b"\xa9too": "encoder",
    b"\xa9enc": "encoder",
    b"\xa9swr": "encoder",
    b"\xa9nam": "title",
    b"\xa9ART": "artist",
    b"\xa9aut": "author",
    b"\xa9des": "description",
    b"\xa9inf": "comment",
    b"\xa9lyr": "lyrics",
    b"\xa9day": "date",
    b"desc": "description",
    b"ldes": "synopsis",
}
_APPLE = "com.apple.quicktime."
_TEXT, _UTF16, _UNTYPED = 1, 2, 0
_MAX_LOCATIONS = 1 << 20


def pieces(file: BoundedFile) -> Iterator[Embedded]:
    """What the boxes of a file hold; ``moov`` may stand anywhere in it."""
    for kind, at, end in _boxes(file, 0, file.size):
        if kind == b"moov":
            for inner, start, stop in _boxes(file, at, end):
                if inner == b"udta":
                    yield from _user_data(file, start, stop)
                elif inner == b"meta":
                    yield from _meta(file, start, stop)
                elif inner == b"uuid":
                    yield from _uuid(file, start, stop)
        elif kind == b"meta":
            yield from _meta(file, at, end)
        elif kind == b"uuid":
            yield from _uuid(file, at, end)
        elif kind == b"Exif":
            yield from exif.pieces(file, at + 4 + unsigned(file.look(at, 4)))
        elif kind == b"xml ":
            yield from _xmp(file, at, end)
        elif kind == b"jumb" and b"c2pa" in file.look(at, 64) and (data := file.piece(at - 8, end - at + 8)):
            yield Embedded("c2pa", "manifest", data)


def _boxes(file: BoundedFile, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Type, start and end of the content of every box between two positions."""
    while at + 8 <= end and len(head := file.look(at, 16)) >= 8:
        size, kind, header = unsigned(head[:4]), head[4:8], 8
        if size == 1:
            size, header = unsigned(head[8:16]), 16
        elif size == 0:
            size = end - at
        if size < header:
            return
        yield kind, at + header, min(at + size, end)
        at += size


def _user_data(file: BoundedFile, at: int, end: int) -> Iterator[Embedded]:
    for kind, start, stop in _boxes(file, at, end):
        if kind == b"meta":
            yield from _meta(file, start, stop)
        elif kind == b"XMP_":
            yield from _xmp(file, start, stop)
        elif kind[:1] == b"\xa9":  # a length, a language, the text
            length = min(unsigned(file.look(start, 2)), stop - start - 4)
            if data := file.piece(start + 4, length):
                yield Embedded("mp4", _name(kind), decoded(data))


def _meta(file: BoundedFile, at: int, end: int) -> Iterator[Embedded]:
    """QuickTime's begins with its boxes at once, that of MP4 with a version and flags."""
    at += 0 if file.look(at + 4, 4) == b"hdlr" else 4
    inside: dict[bytes, tuple[int, int]] = {}
    for kind, start, stop in _boxes(file, at, end):
        inside.setdefault(kind, (start, stop))
    if b"ilst" in inside:
        keys = _keys(file, *inside[b"keys"]) if b"keys" in inside else {}
        yield from _item_list(file, *inside[b"ilst"], keys)
    if b"iinf" in inside and b"iloc" in inside:
        yield from _items(file, inside)
    if b"uuid" in inside:
        yield from _uuid(file, *inside[b"uuid"])


def _keys(file: BoundedFile, at: int, end: int) -> dict[int, str]:
    """Number -> name, of the keys that the items of the list are numbered by."""
    names: dict[int, str] = {}
    at += 8
    while at + 8 <= end and (size := unsigned(file.look(at, 4))) >= 8:
        name = file.piece(at + 8, size - 8)
        names[len(names) + 1] = decoded(name or b"").removeprefix(_APPLE)
        at += size
    return names


def _item_list(file: BoundedFile, at: int, end: int, keys: dict[int, str]) -> Iterator[Embedded]:
    for kind, start, stop in _boxes(file, at, end):
        name = keys.get(unsigned(kind)) or _name(kind)
        for inner, inner_start, inner_stop in _boxes(file, start, stop):
            if inner == b"name":
                name = decoded(file.piece(inner_start + 4, inner_stop - inner_start - 4) or b"")
            elif inner == b"data":
                form = unsigned(file.look(inner_start, 4))
                if form in (_TEXT, _UTF16, _UNTYPED):
                    yield from _value(name, form, file.piece(inner_start + 8, inner_stop - inner_start - 8))


def _value(name: str, form: int, data: bytes | None) -> Iterator[Embedded]:
    if not data or (form == _UNTYPED and b"\0" in data):
        return
    yield Embedded("mp4", name, data.decode("utf-16-be", "replace") if form == _UTF16 else decoded(data))


def _name(kind: bytes) -> str:
    return _NAMES.get(kind) or kind.decode("latin-1")


def _uuid(file: BoundedFile, at: int, end: int) -> Iterator[Embedded]:
    kind = file.look(at, 16)
    if kind == _XMP_UUID:
        yield from _xmp(file, at + 16, end)
    elif kind == _COMFYUI_UUID:
        from regenstore.capture.carriers import json_header

        yield from json_header.entries("mp4", file.piece(at + 16, end - at - 16))
    elif kind == _C2PA_UUID:
        data = file.piece(at + 20, end - at - 20)
        purpose, rest = until_nul(data or b"")
        if purpose == b"manifest":
            yield Embedded("c2pa", "manifest", rest[8:])


def _xmp(file: BoundedFile, at: int, end: int) -> Iterator[Embedded]:
    if data := file.piece(at, end - at):
        yield Embedded("xmp", "packet", decoded(data.rstrip(b"\0")))


# ------------------------------------------------------------------------------------------- items of AVIF and HEIF


def _items(file: BoundedFile, inside: dict[bytes, tuple[int, int]]) -> Iterator[Embedded]:
    wanted = dict(_wanted_items(file, *inside[b"iinf"]))
    if not wanted:
        return
    start, stop = inside[b"iloc"]
    table = file.piece(start, min(stop - start, _MAX_LOCATIONS)) or b""
    for item, in_box, extents in _locations(table):
        if item in wanted:
            base = inside.get(b"idat", (0, 0))[0] if in_box else 0
            data = b"".join(file.piece(base + at, length) or b"" for at, length in extents)
            if wanted.pop(item) == b"Exif":
                yield from exif.pieces(file.of(data), 4 + unsigned(data[:4]))
            elif data:
                yield Embedded("xmp", "packet", decoded(data.rstrip(b"\0")))


def _wanted_items(file: BoundedFile, at: int, end: int) -> Iterator[tuple[int, bytes]]:
    """Number and type of the items that hold EXIF and XMP."""
    at += 6 if file.look(at, 1) == b"\0" else 8
    for kind, start, stop in _boxes(file, at, end):
        entry = file.look(start, min(stop - start, 128))
        if kind != b"infe" or entry[:1] not in (b"\2", b"\3"):
            continue
        width = 2 if entry[0] == 2 else 4
        item, form = unsigned(entry[4 : 4 + width]), entry[6 + width : 10 + width]
        if form == b"Exif" or (form == b"mime" and b"\0application/rdf+xml\0" in entry):
            yield item, form


def _locations(table: bytes) -> Iterator[tuple[int, bool, list[tuple[int, int]]]]:
    """Of each item: its number, whether it lies in the ``idat`` box, position and length of its parts."""
    version, sizes = table[0:1], table[4:6]
    if len(sizes) < 2 or version > b"\2":
        return
    offset_size, length_size, base_size, index_size = sizes[0] >> 4, sizes[0] & 15, sizes[1] >> 4, sizes[1] & 15
    index_size = index_size if version in (b"\1", b"\2") else 0
    if not length_size:
        return
    id_size = 4 if version == b"\2" else 2
    at = 6 + id_size

    def number(size: int) -> int:
        nonlocal at
        at += size
        return unsigned(table[at - size : at])

    for _ in range(unsigned(table[6 : 6 + id_size])):
        if at >= len(table):
            return
        item = number(id_size)
        method = number(2) & 15 if version in (b"\1", b"\2") else 0
        number(2)
        base = number(base_size)
        extents = []
        for _ in range(min(number(2), len(table) - at)):
            number(index_size)
            extents.append((base + number(offset_size), number(length_size)))
        yield item, method == 1, extents
