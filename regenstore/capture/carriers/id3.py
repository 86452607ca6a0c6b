"""ID3v2, at the start of MP3 files and in chunks of WAV and AIFF.

Structure: ID3 v2.2, v2.3 and v2.4 (id3.org). FFmpeg writes unknown keys, as ComfyUI's, into TXXX.
"""

from __future__ import annotations

from collections.abc import Iterator

from regenstore.capture.carriers.bounded_file import BoundedFile, unsigned
from regenstore.capture.carriers.text import decoded, decompressed, until_nul
from regenstore.capture.embedded import Embedded

_NAMES = {"TIT2": "title", "TT2": "title", "TPE1": "artist", "TP1": "artist", "TSSE": "encoder", "TSS": "encoder"}
_UNSYNCHRONISED, _EXTENDED = 0x80, 0x40


def pieces(file: BoundedFile, start: int = 0) -> Iterator[Embedded]:
    """The texts of a tag that begins at a position, and its C2PA and XMP; then those of a FLAC stream after it."""
    head = file.look(start, 10)
    if len(head) < 10 or head[:3] != b"ID3":
        return
    version, flags, length = head[3], head[5], _synchsafe(head[6:])
    at, end = start + 10, min(start + 10 + length, file.size)
    inside = file
    if version < 4 and flags & _UNSYNCHRONISED:
        inside = file.of((file.piece(at, end - at) or b"").replace(b"\xff\0", b"\xff"))
        at, end = 0, inside.size
    if version > 2 and flags & _EXTENDED:
        size = inside.look(at, 4)
        at += _synchsafe(size) if version == 4 else 4 + unsigned(size)
    if version in (2, 3, 4):
        yield from _frames(inside, at, end, version)
    if file.look(start + 10 + length, 4) == b"fLaC":
        from regenstore.capture.carriers import vorbis

        yield from vorbis.flac(file, start + 10 + length)


def _frames(file: BoundedFile, at: int, end: int, version: int) -> Iterator[Embedded]:
    header, id_length = (6, 3) if version == 2 else (10, 4)
    while at + header <= end:
        head = file.look(at, header)
        kind = head[:id_length]
        if not kind.isalnum():  # zeros that fill
            return
        size = head[id_length : 2 * id_length]
        length = unsigned(size) if version < 4 else _length(file, at + header, size)
        if kind[:1] == b"T" or kind in _READERS:
            data = _content(file, at + header, length, version, head[8:10])
            if data:
                yield from _READERS.get(kind, _text)(kind.decode("ascii"), data)
        at += header + length


def _content(file: BoundedFile, at: int, length: int, version: int, flags: bytes) -> bytes | None:
    """What a frame holds, without its coding; None if it is encrypted or damaged."""
    data = file.piece(at, length)
    if data is None or version == 2:
        return data
    if version == 3:
        if flags[1] & 0x40:
            return None
        return decompressed(file, data[4:]) if flags[1] & 0x80 else data
    if flags[1] & 0x04:
        return None
    if flags[1] & 0x02:
        data = data.replace(b"\xff\0", b"\xff")
    if flags[1] & 0x01:
        data = data[4:]
    return decompressed(file, data) if flags[1] & 0x08 else data


def _synchsafe(data: bytes) -> int:
    """Seven bits of every byte."""
    found = 0
    for byte in data:
        found = found << 7 | byte & 0x7F
    return found


def _length(file: BoundedFile, at: int, size: bytes) -> int:
    """A frame's length in v2.4: of seven bits per byte, except that some programs write eight. After the right one
    comes a frame or filling."""
    length = _synchsafe(size)
    if unsigned(size) == length:
        return length
    follows = file.look(at + length, 4)
    right = not follows.strip(b"\0") or follows[:3] == b"3DI" or follows.isalnum()
    return length if right and max(size) < 0x80 else unsigned(size)


# ------------------------------------------------------------------------------------------- the frames


def _text(kind: str, data: bytes) -> Iterator[Embedded]:
    yield Embedded("id3", _NAMES.get(kind, kind), _split(data[0], data[1:])[0])


def _user_text(kind: str, data: bytes) -> Iterator[Embedded]:
    name, rest = _split(data[0], data[1:])
    yield Embedded("id3", name, _split(data[0], rest)[0])


def _comment(kind: str, data: bytes) -> Iterator[Embedded]:
    name, rest = _split(data[0], data[4:])  # after its language
    yield Embedded("id3", name or "comment", _split(data[0], rest)[0])


def _object(kind: str, data: bytes) -> Iterator[Embedded]:
    media_type, rest = until_nul(data[1:])
    content = _split(data[0], _split(data[0], rest)[1])[1]
    if b"c2pa" in media_type:
        yield Embedded("c2pa", "manifest", content)


def _private(kind: str, data: bytes) -> Iterator[Embedded]:
    owner, content = until_nul(data)
    if owner == b"XMP":
        yield Embedded("xmp", "packet", decoded(content))


def _split(encoding: int, data: bytes) -> tuple[str, bytes]:
    """The text before the terminator, and the bytes after it."""
    if encoding not in (1, 2):
        text, rest = until_nul(data)
        return decoded(text), rest
    end = data.find(b"\0\0")
    while end > 0 and end % 2:
        end = data.find(b"\0\0", end + 1)
    text, rest = (data, b"") if end < 0 else (data[:end], data[end + 2 :])
    return text.decode("utf-16" if text[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-16-be", "replace"), rest


_READERS = {
    b"TXXX": _user_text,
    b"TXX": _user_text,
    b"COMM": _comment,
    b"COM": _comment,
    b"GEOB": _object,
    b"GEO": _object,
    b"PRIV": _private,
}
