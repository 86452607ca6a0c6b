"""Embed XMP in media files. The result is a copy with the packet inserted and everything else byte for byte the same.

Where XMP belongs in each format: XMP Specification, part 3. MP4: a ``uuid`` box at the end of the file. QuickTime:
``moov/udta/XMP_``; the movie box is copied to the end and the old one becomes free space, so that no chunk moves and no
offset changes. PNG: an iTXt chunk before the pixels. JPEG: an APP1 segment. WebP: an ``XMP `` chunk, announced in the
extended header. TIFF: tag 700 in a copy of the first directory at the end of the file. An existing packet, which
:func:`xmp_of` reads, is replaced. Samples, tracks and timecode are not touched.
"""

from __future__ import annotations

import os
import re
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

UUID = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PNG_KEYWORD = b"XML:com.adobe.xmp"
_ITXT = re.compile(rb"[^\0]*\0(.).[^\0]*\0[^\0]*\0(.*)", re.DOTALL)
JPEG_MARK = b"http://ns.adobe.com/xap/1.0/\0"
_WEBP_XMP, _WEBP_ALPHA = 0x04, 0x10
_TIFF_XMP = 700
LARGEST_MOVIE_BOX = 512 << 20
"""Largest movie box, in bytes; it is held in memory."""
LARGEST_PACKET = 16 << 20
_BLOCK = 1 << 20

Piece = bytes | range
"""Literal bytes, or a byte range of the source file."""


@dataclass(frozen=True)
class Assembled:
    """A file assembled from new bytes and ranges of another file."""

    source: str
    pieces: tuple[Piece, ...]

    @property
    def size(self) -> int:
        return sum(len(piece) for piece in self.pieces)

    def blocks(self) -> Iterator[bytes]:
        """Yield the file's bytes in order. Raises OSError, also if the source became shorter."""
        with open(self.source, "rb") as file:
            for piece in self.pieces:
                if isinstance(piece, bytes):
                    yield piece
                    continue
                file.seek(piece.start)
                left = len(piece)
                while left:
                    block = file.read(min(left, _BLOCK))
                    if not block:
                        raise OSError(f"{self.source} became shorter while it was read")
                    left -= len(block)
                    yield block


def packet(document: bytes) -> bytes:
    """Wrap a document's ``x:xmpmeta`` in an XMP packet. It is read-only: programs that scan for packets leave it
    alone."""
    body = document[document.index(b"<x:xmpmeta") :]
    return b'<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?>\n' + body + b'<?xpacket end="r"?>'


def embedded(source: str, media_type: str, document: bytes) -> Assembled:
    """Embed an XMP document in a file. Raises ValueError for formats that cannot hold XMP, and for files that do not
    match their media type."""
    maker = _MAKERS.get(media_type)
    if maker is None:
        raise ValueError(f"XMP cannot be embedded in {media_type} (it can in: {', '.join(EMBEDDABLE)})")
    with open(source, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        return Assembled(source, tuple(_merged(maker(_Bytes(file.fileno(), size), packet(document)))))


def xmp_of(source: str, media_type: str) -> bytes | None:
    """The XMP packet that a file has already, or None. Raises ValueError as :func:`embedded` does, and for a packet
    larger than any real one; OSError."""
    with open(source, "rb") as file:
        data = _Bytes(file.fileno(), os.fstat(file.fileno()).st_size)
        _MAKERS[media_type](data, b"")
        return data.old[0] if data.old else None


@dataclass(frozen=True)
class _Bytes:
    """Random access to a file."""

    fd: int
    size: int
    old: list[bytes] = field(default_factory=list)
    """The XMP packets that were found in it."""

    def keep(self, start: int, length: int) -> None:
        """Remember a range as an XMP packet."""
        if length > LARGEST_PACKET:
            raise ValueError("its XMP is larger than 16 MiB")
        self.old.append(self.at(start, length))

    def at(self, start: int, length: int) -> bytes:
        data = os.pread(self.fd, length, start)
        if len(data) != length:
            raise ValueError("the file ends too early")
        return data


def _merged(pieces: Sequence[Piece]) -> Iterator[Piece]:
    """Drop empty pieces and join adjacent ranges."""
    held: range | None = None
    for piece in pieces:
        if isinstance(piece, range) and held is not None and held.stop == piece.start:
            held = range(held.start, piece.stop)
            continue
        if held is not None and len(held):
            yield held
        held = piece if isinstance(piece, range) else None
        if isinstance(piece, bytes) and piece:
            yield piece
    if held is not None and len(held):
        yield held


# ------------------------------------------------------------------------------------------- boxes


@dataclass(frozen=True)
class _Box:
    kind: bytes
    start: int
    header: int
    end: int
    open_ended: bool = False


def _boxes(data: _Bytes) -> list[_Box]:
    """The top-level boxes of the file (ISO/IEC 14496-12, 4.2)."""
    found: list[_Box] = []
    at = 0
    while at < data.size:
        if data.size - at < 8:
            raise ValueError("the file ends within a box")
        length, kind = struct.unpack(">I4s", data.at(at, 8))
        header, open_ended = 8, length == 0
        if length == 1:
            (length,) = struct.unpack(">Q", data.at(at + 8, 8))
            header = 16
        elif length == 0:
            length = data.size - at
        if length < header or at + length > data.size:
            raise ValueError(f"the box '{kind.decode('latin-1')}' is longer than the file")
        found.append(_Box(kind, at, header, at + length, open_ended))
        at += length
    if not any(box.kind == b"moov" for box in found):
        raise ValueError("the file has no movie box")
    return found


def _box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(body), kind) + body


def _closed(box: _Box) -> list[Piece]:
    """A box unchanged; one that extends to the end of the file gets an explicit length, as something follows it now."""
    if not box.open_ended:
        return [range(box.start, box.end)]
    length = box.end - box.start
    if length > 0xFFFFFFFF:
        raise ValueError(f"the last box, '{box.kind.decode('latin-1')}', is open-ended and too long to be closed")
    return [struct.pack(">I4s", length, box.kind), range(box.start + 8, box.end)]


def _mp4(data: _Bytes, xmp: bytes) -> list[Piece]:
    pieces: list[Piece] = []
    tail: list[Piece] = []
    for box in _boxes(data):
        if box.kind == b"uuid" and data.at(box.start + box.header, 16) == UUID:
            data.keep(box.start + box.header + 16, box.end - box.start - box.header - 16)
            # Its space stays occupied, so that nothing after it moves; its text does not stay.
            head = data.at(box.start + 8, box.header - 8)
            pieces += [data.at(box.start, 4), b"free", head, bytes(box.end - box.start - box.header)]
        elif box.kind == b"mfra":
            tail += _closed(box)  # must stay last
        else:
            pieces += _closed(box)
    return [*pieces, _box(b"uuid", UUID + xmp), *tail]


def _quicktime(data: _Bytes, xmp: bytes) -> list[Piece]:
    boxes = _boxes(data)
    movie = next(box for box in boxes if box.kind == b"moov")
    if any(box.kind == b"moof" for box in boxes):
        raise ValueError("XMP cannot be embedded in fragmented QuickTime files")
    if movie.end - movie.start > LARGEST_MOVIE_BOX:
        raise ValueError("the movie box is too large")
    body = data.at(movie.start + movie.header, movie.end - movie.start - movie.header)
    new = _box(b"moov", _with_xmp(body, xmp, data.old))
    if movie is boxes[-1]:
        return [range(movie.start), new]
    pieces: list[Piece] = []
    for box in boxes:
        if box is movie:
            pieces += [data.at(box.start, 4), b"free", range(box.start + 8, box.end)]
        else:
            pieces += _closed(box)
    return [*pieces, new]


def _with_xmp(body: bytes, xmp: bytes, old: list[bytes]) -> bytes:
    """A movie box's body with the packet in its user data. ``old`` receives the earlier ones."""
    out, user = [], b""
    for kind, whole in _inner(body):
        if kind == b"cmov":
            raise ValueError("XMP cannot be embedded in compressed movie boxes")
        if kind == b"udta":
            # A 32-bit zero may end the list (QuickTime File Format, "User data atoms").
            parts = list(_inner(whole[8:]))
            user += b"".join(part for name, part in parts if name != b"XMP_")
            old += [part[8:] for name, part in parts if name == b"XMP_"]
        else:
            out.append(whole)
    return b"".join(out) + _box(b"udta", user + _box(b"XMP_", xmp))


def _inner(body: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at + 8 <= len(body):
        length, kind = struct.unpack_from(">I4s", body, at)
        if length < 8 or at + length > len(body):
            if not any(body[at:]):
                return
            raise ValueError("the movie box is damaged")
        yield kind, body[at : at + length]
        at += length
    if any(body[at:]):
        raise ValueError("the movie box is damaged")


# ------------------------------------------------------------------------------------------- stills


def _png(data: _Bytes, xmp: bytes) -> list[Piece]:
    if data.at(0, 8) != PNG_SIGNATURE:
        raise ValueError("it is not a PNG")
    body = PNG_KEYWORD + b"\0\0\0\0\0" + xmp
    chunk = struct.pack(">I", len(body)) + b"iTXt" + body + struct.pack(">I", zlib.crc32(b"iTXt" + body))
    pieces: list[Piece] = [range(8)]
    at, placed = 8, False
    while at < data.size:
        length, kind = struct.unpack(">I4s", data.at(at, 8))
        end = at + 12 + length
        if end > data.size:
            raise ValueError("the PNG ends within a chunk")
        if kind == b"IDAT" and not placed:
            pieces.append(chunk)
            placed = True
        mine = kind == b"iTXt" and data.at(at + 8, min(length, len(PNG_KEYWORD) + 1)) == PNG_KEYWORD + b"\0"
        if mine:
            data.old.append(_text_of_png(data.at(at + 8, min(length, LARGEST_PACKET))))
        else:
            pieces.append(range(at, end))
        at = end
    if not placed:
        raise ValueError("the PNG has no pixels")
    return pieces


def _text_of_png(body: bytes) -> bytes:
    """The text of an iTXt chunk. It follows the keyword, two bytes on compression, and two more texts, ended by NUL."""
    found = _ITXT.fullmatch(body)
    if found is None:
        raise ValueError("its XMP is damaged")
    text = found[2]
    if found[1] != b"\1":
        return text
    try:
        return zlib.decompressobj().decompress(text, LARGEST_PACKET)
    except zlib.error as error:
        raise ValueError(f"its XMP is damaged: {error}") from None


def _jpeg(data: _Bytes, xmp: bytes) -> list[Piece]:
    if data.at(0, 2) != b"\xff\xd8":
        raise ValueError("it is not a JPEG")
    if len(JPEG_MARK) + len(xmp) + 2 > 0xFFFF:
        raise ValueError("the XMP is longer than a JPEG segment (64 KiB); use --redact prompt to leave out the prompt")
    segment = b"\xff\xe1" + struct.pack(">H", 2 + len(JPEG_MARK) + len(xmp)) + JPEG_MARK + xmp
    pieces: list[Piece] = [range(2)]
    at, placed = 2, False
    while True:
        mark, code, length = struct.unpack(">BBH", data.at(at, 4))
        if mark != 0xFF:
            raise ValueError("the JPEG is damaged")
        head = code in (0xE0, 0xE1)  # JFIF and EXIF come first
        if not head and not placed:
            pieces.append(segment)
            placed = True
        if code == 0xDA:
            return [*pieces, range(at, data.size)]
        end = at + 2 + length
        if end > data.size:
            raise ValueError("the JPEG ends within a segment")
        if code == 0xE1 and data.at(at + 4, min(length - 2, len(JPEG_MARK))) == JPEG_MARK:
            data.keep(at + 4 + len(JPEG_MARK), length - 2 - len(JPEG_MARK))
        else:
            pieces.append(range(at, end))
        at = end


def _webp(data: _Bytes, xmp: bytes) -> list[Piece]:
    """WebP chunks (RFC 9649): all but XMP unchanged, after an extended header whose XMP flag is set."""
    riff, length, form = struct.unpack("<4sI4s", data.at(0, 12))
    stop = 8 + length
    if riff != b"RIFF" or form != b"WEBP" or stop > data.size:
        raise ValueError("it is not a WebP")
    pieces: list[Piece] = []
    header = b""
    at = 12
    while at + 8 <= stop:
        kind, size = struct.unpack("<4sI", data.at(at, 8))
        end = at + 8 + size + (size & 1)
        if at + 8 + size > data.size:
            raise ValueError("the WebP ends within a chunk")
        if kind == b"VP8X" and size >= 10:
            flags = data.at(at + 8, 10)
            header = bytes([flags[0] | _WEBP_XMP]) + flags[1:]
        elif kind == b"XMP ":
            data.keep(at + 8, size)
        else:
            if not header:
                header = _webp_header(kind, data.at(at + 8, min(size, 10)))
            pieces.append(range(at, min(end, data.size)))
            if end > data.size:
                pieces.append(b"\0")  # the padding that the last chunk lacks
        at = end
    if not header:
        raise ValueError("the WebP has no pixels")
    chunks = _chunk(b"VP8X", header), _chunk(b"XMP ", xmp)
    total = 4 + sum(map(len, (*chunks, *pieces)))
    if total > 0xFFFFFFFE:
        raise ValueError("the WebP is too large to add XMP")
    return [struct.pack("<4sI4s", b"RIFF", total, b"WEBP"), chunks[0], *pieces, chunks[1]]


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack("<4sI", kind, len(body)) + body + b"\0" * (len(body) & 1)


def _webp_header(kind: bytes, head: bytes) -> bytes:
    """Make the extended header of a simple WebP from the start of its image data."""
    if kind == b"VP8 " and head[3:6] == b"\x9d\x01\x2a":
        width, height = (size & 0x3FFF for size in struct.unpack("<HH", head[6:10]))
        flags = _WEBP_XMP
    elif kind == b"VP8L" and head[:1] == b"\x2f":
        (bits,) = struct.unpack("<I", head[1:5])
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        flags = _WEBP_XMP | (_WEBP_ALPHA if bits >> 28 & 1 else 0)
    else:
        raise ValueError("the WebP does not begin with image data")
    extended: bytes = struct.pack("<I", flags) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return extended


def _tiff(data: _Bytes, xmp: bytes) -> list[Piece]:
    """TIFF 6.0: offsets count from the start of the file, so nothing but the first directory may move."""
    order = {b"II": "<", b"MM": ">"}.get(data.at(0, 2))
    magic, first = struct.unpack(f"{order or '<'}HI", data.at(2, 6))
    if order is None or magic not in (42, 43):
        raise ValueError("it is not a TIFF")
    if magic == 43:
        raise ValueError("XMP cannot be embedded in BigTIFF files")
    (count,) = struct.unpack(f"{order}H", data.at(first, 2))
    entries = [data.at(first + 2 + 12 * number, 12) for number in range(count)]
    kept = [entry for entry in entries if struct.unpack(f"{order}H", entry[:2])[0] != _TIFF_XMP]
    for entry in entries:
        tag, _, length, offset = struct.unpack(f"{order}HHII", entry)
        if tag == _TIFF_XMP and length > 4:  # a shorter value is in the entry itself
            data.keep(offset, length)
    at = data.size + (data.size & 1)
    if at + len(xmp) + 12 * count + 32 > 0xFFFFFFFF:
        raise ValueError("the TIFF is too large to add XMP")
    kept.append(struct.pack(f"{order}HHII", _TIFF_XMP, 1, len(xmp), at))  # type 1: bytes
    kept.sort(key=lambda entry: struct.unpack(f"{order}H", entry[:2])[0])
    directory = at + len(xmp) + (len(xmp) & 1)
    rest = data.at(first + 2 + 12 * count, 4)  # offset of the next directory
    tail = xmp + b"\0" * (len(xmp) & 1) + struct.pack(f"{order}H", len(kept)) + b"".join(kept) + rest
    return [range(4), struct.pack(f"{order}I", directory), range(8, data.size), b"\0" * (data.size & 1), tail]


_MAKERS: Mapping[str, Callable[[_Bytes, bytes], list[Piece]]] = {
    "video/mp4": _mp4,
    "audio/mp4": _mp4,
    "video/quicktime": _quicktime,
    "image/png": _png,
    "image/jpeg": _jpeg,
    "image/webp": _webp,
    "image/tiff": _tiff,
}
EMBEDDABLE = tuple(_MAKERS)
"""Media types in which XMP can be embedded."""
