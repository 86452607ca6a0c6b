"""Comments of FLAC, and of Opus, Vorbis, Theora, Speex and FLAC in Ogg.

Structure: Vorbis I, section 5; RFC 9639 (FLAC), 8; RFC 3533 (Ogg), 6; RFC 7845 (Opus), 5.2. FFmpeg writes
ComfyUI's keys.
"""

from __future__ import annotations

from collections.abc import Iterator

from regenstore.capture.carriers.bounded_file import BoundedFile, unsigned, unsigned_le
from regenstore.capture.carriers.text import common_case, decoded
from regenstore.capture.embedded import MAX_PIECE, Embedded

_COMMENT_BLOCK = 4
_MAX_STREAMS = 16


def flac(file: BoundedFile, start: int = 0) -> Iterator[Embedded]:
    """The comments of a FLAC stream that begins at a position."""
    at, last = start + 4, False
    while not last and len(head := file.look(at, 4)) == 4:
        last, length = head[0] >= 0x80, unsigned(head[1:])
        if head[0] & 0x7F == _COMMENT_BLOCK:
            yield from _comments(file, at + 4, at + 4 + length)
        at += 4 + length


def ogg(file: BoundedFile) -> Iterator[Embedded]:
    """The comments of every stream: its second packet, which may span pages."""
    for packet in _second_packets(file):
        inside = file.of(packet)
        if packet[:8] == b"OpusTags":
            yield from _comments(inside, 8, inside.size)
        elif packet[:7] in (b"\x03vorbis", b"\x81theora"):
            yield from _comments(inside, 7, inside.size)
        elif packet[:1] in (b"\x04", b"\x84"):  # FLAC: a metadata block
            yield from _comments(inside, 4, inside.size)
        elif not packet.startswith(b"fishead"):  # Speex has no magic
            yield from _comments(inside, 0, inside.size)


def _second_packets(file: BoundedFile) -> Iterator[bytes]:
    """Every stream begins with a page of its own for its first packet, before any page of a second one."""
    at = 0
    unfinished: dict[bytes, bytearray] = {}
    while len(head := file.look(at, 27)) == 27 and head[:4] == b"OggS":
        lacing = file.look(at + 27, head[26])
        serial, body = head[14:18], at + 27 + len(lacing)
        if head[5] & 2 and len(unfinished) < _MAX_STREAMS:
            unfinished[serial] = bytearray()
        elif serial in unfinished:
            length, whole = 0, False
            for value in lacing:
                length += value
                if value < 255:
                    whole = True
                    break
            unfinished[serial] += file.piece(body, length) or b""
            if whole:
                yield bytes(unfinished.pop(serial))
            elif len(unfinished[serial]) > MAX_PIECE:
                del unfinished[serial]
        if not unfinished:
            return
        at = body + sum(lacing)


def _comments(file: BoundedFile, at: int, end: int) -> Iterator[Embedded]:
    at += 4 + unsigned_le(file.look(at, 4))  # the name of the encoder
    count = unsigned_le(file.look(at, 4))
    at += 4
    while count and at + 4 <= end:
        length = unsigned_le(file.look(at, 4))
        data = file.piece(at + 4, length) if at + 4 + length <= end else None
        name, equals, value = (data or b"").partition(b"=")
        if equals and name != b"METADATA_BLOCK_PICTURE":
            yield Embedded("vorbis", common_case(decoded(name)), decoded(value))
        at, count = at + 4 + length, count - 1
