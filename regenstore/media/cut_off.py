"""Recognise files that end too early: by the sizes and end marks that their formats state, without decoding.

Only what a file says of itself counts: a size that is left open, as in a recording that was streamed, is no fault.
Reads headers only; JPEG is searched from its end, GIF is walked block by block, and FLAC, which states no size of its
frames, is parsed once.

Not detected, as the format does not tell or only decoding would: transport and program streams (``.ts``, ``.mpg``),
which may end anywhere; MP3 without a Xing header; raw streams; a PNG whose end mark follows too few pixels.
"""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Callable
from typing import BinaryIO

import av
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

_OPEN_ENDED = (0, 0xFFFFFFFF)
"""Sizes that writers leave in a header which they could not go back to."""
_PAST = 1 << 62


def missing_end(path: str) -> str | None:
    """Why a file is known to be cut off, in words; None if it is whole as far as its format tells.

    Raises OSError for a file that cannot be read. Never raises for damaged contents.
    """
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        head = file.read(64)
        try:
            return _look(path, file, head, size)
        except (ValueError, IndexError, struct.error):  # damaged otherwise; whoever reads it says how
            return None


def _look(path: str, file: BinaryIO, head: bytes, size: int) -> str | None:
    for magic, at, stated in _STATED_SIZES:
        if head.startswith(magic):
            return _short(stated(head, at), size)
    if head[4:8] in (b"ftyp", b"jP  ", b"JXL ", b"moov", b"mdat", b"wide", b"free", b"skip"):
        return _boxes(file, size)
    for magic, judge in _WALKS.items():
        if head.startswith(magic):
            return judge(file, size)
    if head[:4] in (b"II*\0", b"MM\0*"):
        return _tiff(path, size)
    return _flac(path) if head.startswith(b"fLaC") else None


def _short(needed: int, size: int) -> str | None:
    return f"it is cut off: {size} bytes of {needed}" if needed > size else None


# ------------------------------------------------------------------------------------------- a size in the header


def _riff(head: bytes, at: int) -> int:
    stated: int = struct.unpack_from("<I", head, at)[0]
    unpadded = head[8:12] == b"WAVE"  # some programs leave out the last byte, which only pads, but count it
    return 0 if stated in _OPEN_ENDED else stated + 8 - unpadded


def _rf64(head: bytes, at: int) -> int:
    found: int = struct.unpack_from("<Q", head, at)[0] if head[12:16] == b"ds64" else 0
    return found + 8 if 0 < found < _PAST else 0


def _aiff(head: bytes, at: int) -> int:
    stated: int = struct.unpack_from(">I", head, at)[0]
    return 0 if stated in _OPEN_ENDED else stated + 8 - 1  # as WAVE


def _plain(head: bytes, at: int) -> int:
    order = ">" if head.startswith(b"SDPX") else "<"
    stated: int = struct.unpack_from(order + "I", head, at)[0]
    return 0 if stated in _OPEN_ENDED else stated


_STATED_SIZES: tuple[tuple[bytes, int, Callable[[bytes, int], int]], ...] = (
    (b"RIFF", 4, _riff),
    (b"RF64", 20, _rf64),
    (b"FORM", 4, _aiff),
    (b"SDPX", 16, _plain),
    (b"XPDS", 16, _plain),
    (b"glTF", 8, _plain),
)


# ------------------------------------------------------------------------------------------- walking


def _boxes(file: BinaryIO, size: int) -> str | None:
    """Boxes of the ISO base media file format, QuickTime, JPEG 2000 and JPEG XL; size 0 is "up to the end"."""
    at = 0
    while at + 8 <= size:
        file.seek(at)
        head = file.read(16)
        length, name = int.from_bytes(head[:4], "big"), head[4:8]
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        if length == 0 or length < 8 or not name.isascii():
            return None  # up to the end, or bytes behind the last box
        if at + length > size:
            return _short(at + length, size)
        at += length
    return None


def _png(file: BinaryIO, size: int) -> str | None:
    at = 8
    while at + 12 <= size:
        file.seek(at)
        head = file.read(8)
        if head[4:] == b"IEND" or not head[4:].isalpha():
            return None  # whole, or damaged otherwise
        at += 12 + int.from_bytes(head[:4], "big")
    return _short(at, size) or "it is cut off: PNG's end mark (IEND) is missing"


def _jpeg(file: BinaryIO, size: int) -> str | None:
    """After the first scan has begun, FF D9 is the end mark: coded data never has it. An EXIF thumbnail, which has
    one too, lies before."""
    at = 2
    while True:
        file.seek(at)
        head = file.read(4)
        if len(head) < 4:
            return "it is cut off: the JPEG ends before its picture"
        if head[:2] == b"\xff\xff":
            at += 1
            continue
        if head[0] != 0xFF:
            return None
        at += 2 + int.from_bytes(head[2:], "big")
        if head[1] == 0xDA:
            break
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return None if data.rfind(b"\xff\xd9", at) >= 0 else "it is cut off: JPEG's end mark is missing"


def _gif(file: BinaryIO, size: int) -> str | None:
    file.seek(10)
    flags = file.read(1)[0]
    file.seek(13 + (3 << (flags & 7) + 1 if flags & 0x80 else 0))
    while mark := file.read(1):
        if mark == b";":
            return None
        if mark == b"!":
            file.seek(1, 1)
        elif mark == b",":
            flags = (file.read(9) or b"\0")[-1]
            file.seek((3 << (flags & 7) + 1 if flags & 0x80 else 0) + 1, 1)
        else:
            return None
        while (length := file.read(1)) not in (b"", b"\0"):
            file.seek(length[0], 1)
    return "it is cut off: GIF's end mark is missing"


def _matroska(file: BinaryIO, size: int) -> str | None:
    """The segment's size (RFC 8794), which a recording that was streamed leaves open."""
    file.seek(4)
    length, _ = _number(file)
    file.seek(length, 1)
    if file.read(4) != b"\x18\x53\x80\x67":
        return None
    length, known = _number(file)
    return _short(file.tell() + length, size) if known else None


def _number(file: BinaryIO) -> tuple[int, bool]:
    first = file.read(1)[0]
    width = 9 - first.bit_length()
    value = int.from_bytes(bytes([first & (0xFF >> width)]) + file.read(width - 1), "big")
    return value, value != (1 << 7 * width) - 1


def _ogg(file: BinaryIO, size: int) -> str | None:
    """Whether the last page is whole; an open stream has no last-page mark."""
    start = max(0, size - (1 << 17))
    file.seek(start)
    tail = file.read()
    at = tail.rfind(b"OggS")
    if at < 0:
        return None
    lengths = tail[at + 27 : at + 27 + tail[at + 26]] if at + 27 <= len(tail) else b""
    end = 27 + tail[at + 26] + sum(lengths) if lengths else 27
    return _short(start + at + end, size)


def _mxf(file: BinaryIO, size: int) -> str | None:
    """The footer that a finished header partition places (SMPTE ST 377-1, 7.1), and all that follows it: keys of 16
    bytes, BER lengths, values."""
    file.seek(16)
    _ber(file)
    partition = file.read(32)
    at = int.from_bytes(partition[24:32], "big")
    if not at:
        return None  # left open
    while at < size:
        file.seek(at)
        if not file.read(16).startswith(b"\x06\x0e\x2b\x34"[: size - at]):
            return None  # something else behind it
        length = _ber(file)
        if length is None or file.tell() + length > size:
            return "it is cut off: the MXF's footer is not whole"
        at = file.tell() + length
    return _short(at, size)


def _ber(file: BinaryIO) -> int | None:
    """A length in BER; None at the end of the file."""
    first = file.read(1)
    if not first or first[0] < 0x80:
        return first[0] if first else None
    more = file.read(first[0] & 0x7F)
    return int.from_bytes(more, "big") if len(more) == first[0] & 0x7F else None


def _mp3(file: BinaryIO, size: int) -> str | None:
    """The size in the Xing header, which most encoders write into the first frame: from there on, without tags."""
    file.seek(0)
    head, at = file.read(10), 0
    if head.startswith(b"ID3"):
        at = 10 + sum((byte & 0x7F) << 7 * place for place, byte in enumerate(reversed(head[6:10])))
        at += 10 if head[5] & 0x10 else 0
    file.seek(at)
    frame = file.read(60)
    if len(frame) < 60 or frame[0] != 0xFF or frame[1] & 0xE6 != 0xE2:  # layer III
        return None
    mono, first_version = frame[3] >> 6 == 3, frame[1] & 0x18 == 0x18
    xing = 4 + ((17 if mono else 32) if first_version else (9 if mono else 17))
    flags = frame[xing + 7]
    if frame[xing : xing + 4] not in (b"Xing", b"Info") or not flags & 2:
        return None
    counted = xing + 8 + (4 if flags & 1 else 0)
    return _short(at + int.from_bytes(frame[counted : counted + 4], "big"), size)


def _exr(file: BinaryIO, size: int) -> str | None:
    """The chunk that the offset table places last, in a file of one part. Its table ends where the first chunk
    begins; an empty entry is a chunk that was never written."""
    file.seek(4)
    version = int.from_bytes(file.read(4), "little")
    if version & 0x1800:  # deep, or several parts
        return None
    file.seek(8)
    head = file.read(1 << 20)
    at = 0
    while head[at] != 0:
        kind = head.index(0, at) + 1
        start = head.index(0, kind) + 1
        at = start + 4 + int.from_bytes(head[start : start + 4], "little")
    table = 8 + at + 1
    file.seek(table)
    first = int.from_bytes(file.read(8), "little")
    file.seek(table)
    entries = file.read(max(0, min(first, size) - table))
    offsets = struct.unpack(f"<{len(entries) // 8}Q", entries[: len(entries) // 8 * 8])
    if not offsets or min(offsets) < first:
        return "it is cut off: the EXR lacks parts of its picture" if first > size or 0 in offsets else None
    last, before = max(offsets), 16 if version & 0x200 else 4
    file.seek(last + before)
    return _short(last + before + 4 + int.from_bytes(file.read(4), "little"), size)


_WALKS: dict[bytes, Callable[[BinaryIO, int], str | None]] = {
    b"\x89PNG\r\n\x1a\n": _png,
    b"\xff\xd8\xff": _jpeg,
    b"GIF8": _gif,
    b"\x1aE\xdf\xa3": _matroska,
    b"OggS": _ogg,
    b"\x76\x2f\x31\x01": _exr,
    b"\x06\x0e\x2b\x34\x02\x05\x01\x01\x0d\x01\x02\x01\x01\x02": _mxf,
    b"ID3": _mp3,
    b"\xff\xfb": _mp3,
    b"\xff\xfa": _mp3,
    b"\xff\xf3": _mp3,
    b"\xff\xf2": _mp3,
}


# ------------------------------------------------------------------------------------------- by the libraries


def _tiff(path: str, size: int) -> str | None:
    """The end of the first picture's strips or tiles."""
    try:
        with Image.open(path, formats=("TIFF",)) as picture:
            if not isinstance(picture, TiffImageFile):
                return None
            tags = picture.tag_v2
            places, lengths = (tags.get(a) or tags.get(b) or () for a, b in ((273, 324), (279, 325)))
    except Exception:  # damaged otherwise; whoever reads it says how
        return None
    return _short(max((place + length for place, length in zip(places, lengths)), default=0), size)


def _flac(path: str) -> str | None:
    """Whether the frames give the number of samples that the header states, and the last can be decoded."""
    try:
        with av.open(path) as opened:
            stream = opened.streams.audio[0]
            needed, last = stream.duration, None
            for packet in opened.demux(stream):
                last = packet if packet.size else last
            if not needed or last is None or last.pts is None:
                return None
            if last.pts + (last.duration or 0) < needed:
                return "it is cut off: the FLAC has fewer samples than it states"
            return None if last.decode() else "it is cut off: FLAC's last frame is not whole"
    except av.error.InvalidDataError:
        return "it is cut off: FLAC's last frame is not whole"
    except av.FFmpegError:
        return None
