"""Damaged, lying and endless files give what can be read of them: no exception, bounded time, reads and memory."""

from __future__ import annotations

import io
import struct
import time
import tracemalloc
import zlib
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regenstore.capture.carriers.bounded_file import MAX_LOOKS, WINDOW
from regenstore.capture.carriers.read import embedded
from regenstore.capture.embedded import MAX_PIECES, MAX_TOTAL
from tests.capture.written import GRAPH, box, chunk, comfy_exif, film, png_texts, saved, sound, tiff, with_hidden
from tests.conftest import examples

MOST_READ = MAX_TOTAL + MAX_LOOKS * WINDOW
SECONDS = 20
"""Of this process's time; the slowest takes half a second on an idle machine."""


class Endless(io.RawIOBase):
    """A beginning, then a pattern again and again, for a petabyte. Counts what is read."""

    def __init__(self, head: bytes, pattern: bytes = b"", size: int = 1 << 50) -> None:
        self.head, self.pattern, self.size = head, pattern, size if pattern else len(head)
        self.at = self.count = 0

    def seek(self, at: int, whence: int = 0) -> int:
        self.at = at + (self.size if whence == io.SEEK_END else 0)
        return self.at

    def read(self, length: int = -1) -> bytes:
        assert 0 <= length <= MAX_TOTAL and self.at >= 0, "reads are of a stated, bounded length"
        length = max(min(length, self.size - self.at), 0)
        found = self.head[self.at : self.at + length]
        if len(found) < length:
            start = (self.at + len(found) - len(self.head)) % len(self.pattern)
            times = (start + length) // len(self.pattern) + 1
            found += (self.pattern * times)[start : start + length - len(found)]
        self.at += length
        self.count += length
        return found


def examine(file: Endless) -> int:
    """Read a file, and return how many pieces it has."""
    begun = time.process_time()
    found = embedded(file, strict=True)
    assert time.process_time() - begun < SECONDS
    assert len(found) <= MAX_PIECES and file.count <= MOST_READ
    assert sum(len(piece.value) for piece in found) <= MAX_TOTAL
    for carrier, name, value in found:
        assert carrier and isinstance(name, str) and isinstance(value, (str, bytes))
    return len(found)


# ------------------------------------------------------------------------------------------- damage


@cache
def samples() -> list[bytes]:
    tags = GRAPH | {"comment": "c"}
    items = struct.pack(">BBBBHHHH", 0x44, 0, 0, 1, 1, 0, 1, 0) + bytes(8)
    return [
        saved("PNG", pnginfo=png_texts(GRAPH, compressed=True)),
        with_hidden("{}" * 20, size=(24, 64)),
        *(saved(form, exif=comfy_exif(), xmp=b"<x/>") for form in ("WEBP", "JPEG", "AVIF")),
        saved("GIF", comment="c" * 300),
        tiff({0x0110: (2, b"prompt:{}"), 0x9C9C: (1, b"a\0" * 9)}, "<", {0x9286: (7, b"UNICODE\0" + b"\0a" * 9)}),
        film("mp4", "mpeg4", tags, movflags="use_metadata_tags"),
        film("mov", "mpeg4", tags),
        film("matroska", "mpeg4", tags),
        sound("flac", "flac", "s16", tags),
        sound("opus", "libopus", "flt", tags),
        sound("mp3", "libmp3lame", "fltp", tags),
        sound("wav", "pcm_s16le", "s16", tags),
        box(b"ftyp", b"avif") + box(b"meta", bytes(4) + box(b"iloc", items) + box(b"iinf", bytes(6) + items)),
    ]


@settings(max_examples=examples(400), deadline=None)
@given(
    st.integers(0, 14),
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 40), st.binary(max_size=8)), min_size=1, max_size=6),
    st.floats(0, 1),
)
def test_damaged_files(number, edits, end):
    """Bytes replaced, inserted and left out, often among the headers; then perhaps cut off."""
    data = bytearray(samples()[number])
    for place, length, put in edits:
        at = int(place**2 * len(data))
        data[at : at + (len(put) if length > 20 else length)] = put
    examine(Endless(bytes(data)))
    examine(Endless(bytes(data[: int(end * len(data))])))


HEADS = (
    b"\x89PNG\r\n\x1a\n",
    b"\xff\xd8\xff",
    b"RIFF\0\0\0\0WEBP",
    b"FORM\0\0\0\0AIFF",
    b"\0\0\0\x0cftypisom",
    b"II*\0\x08\0\0\0",
    b"MM\0*\0\0\0\x08",
    b"\x1aE\xdf\xa3\x80\x18\x53\x80\x67\xff",
    b"fLaC",
    b"OggS",
    b"ID3\4\0\0\0\0\7\0",
    b"ID3\2\0\x80\0\0\7\0",
    b"GIF89a",
    b"glTF",
    b"\x76\x2f\x31\x01",
    b"\x20\0\0\0\0\0\0\0{",
)


@settings(max_examples=examples(400), deadline=None)
@given(st.sampled_from(HEADS), st.binary(max_size=200))
def test_random_files(head, rest):
    examine(Endless(head + rest))


# ------------------------------------------------------------------------------------------- size

HEADER = saved("PNG")[:33]
SEGMENT = b"\x1aE\xdf\xa3\x80\x18\x53\x80\x67\x01\xff\xff\xff\xff\xff\xff\xff"
HUGE = struct.pack(">I4sQ", 1, b"moov", 1 << 49)
TEXT_64K = b"\xff\xfe\xff\xff" + b"x" * 0xFFFD
DIRECTORY = b"II*\0\x08\0\0\0\xff\xff" + struct.pack("<HHII", 0x0110, 2, 16 << 20, 0) * 2000


@pytest.mark.parametrize(
    ("head", "pattern"),
    [
        (HEADER, chunk(b"tEXt", b"a")),
        (HEADER, chunk(b"aaAa", b"")),
        (HEADER, chunk(b"IDAT", b"")),
        (HEADER, chunk(b"IDAT", b"") + chunk(b"aaAa", b"")),
        (HEADER, chunk(b"tEXt", b"a\0" + bytes(9 << 20))),
        (HEADER, chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(15 << 20)))),
        (HEADER, struct.pack(">I", 0x7FFFFFFF) + b"tEXt"),
        (b"\xff\xd8", TEXT_64K),
        (b"\xff\xd8", b"\xff\xe1\xff\xffExif\0\0" + bytes(0xFFF7)),
        (b"\xff\xd8", b"\xff\xeb\xff\xffJP\0\1\0\0\0\1c2pa" + bytes(0xFFF1)),
        (b"\xff\xd8", b"\xff"),
        (b"\0\0\0\x0cftypisom", box(b"free", b"")),
        (b"\0\0\0\x0cftypisom", box(b"moov", box(b"udta", box(b"\xa9cmt", b"\0\1\0\0x")))),
        (HUGE + struct.pack(">I4sQ", 1, b"udta", 1 << 48), box(b"\xa9cmt", b"\xff\xff\0\0" + b"x" * 0xFFFF)),
        (HUGE, box(b"meta", box(b"hdlr", b"") + box(b"keys", bytes(8)) + box(b"ilst", box(b"name", b"")))),
        (SEGMENT, b"\xec\x80"),
        (SEGMENT, b"\x1f\x43\xb6\x75\xff\xe7\x80"),
        (SEGMENT, b"\x12\x54\xc3\x67\x01\0\1\0\0\0\0\0" + b"\x73\x73\x88\x67\xc8\x85\x45\xa3\x82aa" * 99),
        (b"RIFF\0\0\0\0WEBP", b"ABCD\0\0\0\0"),
        (b"RIFF\0\0\0\0WAVELIST\xff\xff\xff\xffINFO", b"ICMT\0\0\0\0"),
        (b"RIFF\0\0\0\0WAVE", b"id3 \0\0\0\0ID3\4\0\0\x7f\x7f\x7f\x7f"),
        (b"fLaC", b"\0\0\0\0"),
        (b"fLaC", b"\4\0\0\xff" + bytes(4) + b"\xff\xff\xff\xff" + bytes(200)),
        (b"OggS\0\2" + bytes(20) + b"\0", b"OggS\0\0" + bytes(20) + b"\xff" + b"\xff" * 255 + bytes(255 * 255)),
        (b"OggS\0\2" + bytes(20) + b"\0", b"OggS\0\0" + bytes(20) + b"\0"),
        (b"ID3\3\0\0\x7f\x7f\x7f\x7f", b"TXXX\0\0\0\1\0\0\0"),
        (b"ID3\3\0\x80\x7f\x7f\x7f\x7f", b"TXXX\0\0\0\1\0\0\0"),
        (b"GIF89a" + bytes(7), b"!\xfe\1x\0"),
        (b"GIF89a" + bytes(7) + b",", b"\xff" + bytes(255)),
        (DIRECTORY, b"x"),
        (b"\x76\x2f\x31\x01\2\0\0\0", b"a\0string\0" + bytes(4)),
        (b"MM\0*\0\0\0\x08\xff\xff", b"\x87\x69\0\4\0\0\0\1\0\0\0\x08"),
        (b"glTF" + bytes(8) + struct.pack("<I", 16 << 20) + b"JSON", b'{"a":['),
    ],
    ids=lambda data: data[:12],
)
def test_endless_files(head, pattern):
    examine(Endless(head, pattern))


def test_memory_is_bounded():
    """Bombs: texts of the greatest size, more than are read, and ones that are greater."""
    largest = chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(16 << 20), 1))
    greater = chunk(b"iTXt", b"a\0\1\0\0\0" + zlib.compress(bytes(1 << 25), 1))
    pixels = struct.pack(">IIBBBBB", 1 << 16, 1 << 16, 8, 2, 0, 0, 0)
    wide = chunk(b"IHDR", pixels) + chunk(b"IDAT", zlib.compress(bytes(1 << 24), 1))
    tracemalloc.start()
    try:
        assert examine(Endless(HEADER, greater + largest)) == 1
        assert examine(Endless(HEADER, largest)) == 3
        examine(Endless(HEADER[:8] + wide))
        assert tracemalloc.get_traced_memory()[1] < 2 * MAX_TOTAL
    finally:
        tracemalloc.stop()


def test_a_disk_that_fails_is_told():
    class Failing(Endless):
        def read(self, length: int = -1) -> bytes:
            raise OSError("input/output error")

    with pytest.raises(OSError, match="input/output"):
        embedded(Failing(HEADER, b"x"))
