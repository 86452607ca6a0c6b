"""Tags of Matroska, WebM, FLAC, Ogg, MP3 and WAV, by FFmpeg's libraries and by hand."""

from __future__ import annotations

import io
import json
import struct

import pytest

from regenstore.capture.carriers.read import embedded
from regenstore.capture.embedded import Embedded
from tests.capture.written import GRAPH, film, sound

LONG = GRAPH | {"prompt": json.dumps({"text": "wörd " * 30_000})}


def read(data: bytes) -> list[Embedded]:
    return embedded(io.BytesIO(data), strict=True)


def graph(data: bytes, carrier: str) -> dict[str, str | bytes]:
    return {name: value for found, name, value in read(data) if found == carrier and name in GRAPH}


@pytest.mark.parametrize(("form", "codec"), [("matroska", "mpeg4"), ("webm", "libvpx-vp9")])
@pytest.mark.parametrize("options", [{}, {"live": "1"}])
def test_films(form, codec, options):
    assert graph(film(form, codec, LONG, **options), "matroska") == LONG


@pytest.mark.parametrize(
    ("form", "codec", "layout", "carrier"),
    [
        ("flac", "flac", "s16", "vorbis"),
        ("opus", "libopus", "flt", "vorbis"),
        ("ogg", "flac", "s16", "vorbis"),
        ("mp3", "libmp3lame", "fltp", "id3"),
    ],
)
def test_sounds(form, codec, layout, carrier):
    assert graph(sound(form, codec, layout, LONG), carrier) == LONG


@pytest.mark.parametrize("form", ["mp3", "wav", "aiff"])
def test_comments_of_sounds(form):
    codec = {"mp3": ("libmp3lame", "fltp"), "wav": ("pcm_s16le", "s16"), "aiff": ("pcm_s16be", "s16")}[form]
    assert "a comment" in [piece.value for piece in read(sound(form, *codec, {"comment": "a comment"}))]


# ------------------------------------------------------------------------------------------- Matroska by hand


def element(kind: int, data: bytes, size: bytes | None = None) -> bytes:
    head = kind.to_bytes((kind.bit_length() + 7) // 8, "big")
    return head + (size if size is not None else (len(data) | 1 << 56).to_bytes(8, "big")) + data


UNKNOWN = b"\x01\xff\xff\xff\xff\xff\xff\xff"
EBML = element(0x1A45DFA3, element(0x4282, b"webm"))
CLUSTER = element(0xE7, b"\0") + element(0xA3, bytes(500))
"""A time, and a block."""


def simple_tag(name: str, text: str, inside: bytes = b"") -> bytes:
    return element(0x67C8, element(0x45A3, name.encode()) + element(0x4487, text.encode() + b"\0") + inside)


TAGS = element(0x1254C367, element(0x7373, element(0x63C0, b"") + simple_tag("PROMPT", "{}", simple_tag("Inner", "x"))))
FOUND = [Embedded("matroska", "prompt", "{}"), Embedded("matroska", "Inner", "x")]


def test_tags_after_the_clusters():
    clusters = element(0x1F43B675, CLUSTER) * 3
    head_length = len(element(0x114D9B74, element(0x4DBB, element(0x53AB, bytes(4)) + element(0x53AC, bytes(8)))))

    def seek_head(position: int) -> bytes:
        entry = element(0x53AB, b"\x12\x54\xc3\x67") + element(0x53AC, position.to_bytes(8, "big"))
        return element(0x114D9B74, element(0x4DBB, entry))

    for index in (b"", seek_head(head_length + len(clusters)), seek_head(5), seek_head(1 << 60)):
        assert read(EBML + element(0x18538067, index + clusters + TAGS)) == FOUND
        assert read(EBML + element(0x18538067, index + clusters + TAGS, UNKNOWN)) == FOUND
    streamed = element(0x1F43B675, CLUSTER, UNKNOWN) * 3
    assert read(EBML + element(0x18538067, streamed + TAGS, UNKNOWN)) == FOUND
    broken_cluster = element(0x1F43B675, b"\0\0\0")
    index = seek_head(head_length + len(broken_cluster) + 1000)
    assert read(EBML + element(0x18538067, index + broken_cluster + bytes(1000) + TAGS)) == FOUND


# ------------------------------------------------------------------------------------------- Ogg and FLAC by hand


def comments(*pairs: str) -> bytes:
    fields = [b"a maker", *(pair.encode() for pair in pairs)]
    packed = [struct.pack("<I", len(field)) + field for field in fields]
    return packed[0] + struct.pack("<I", len(pairs)) + b"".join(packed[1:])


def page(serial: int, data: bytes, *, first: bool = False, ends: bool = True) -> bytes:
    lacing = bytes([255] * (len(data) // 255)) + (bytes([len(data) % 255]) if ends else b"")
    return b"OggS\0" + bytes([2 * first]) + struct.pack("<QIIIB", 0, serial, 0, 0, len(lacing)) + lacing + data


def test_streams_of_ogg():
    tags = b"OpusTags" + comments("PROMPT=" + "x" * 9000, "Title=ü", "METADATA_BLOCK_PICTURE=abc")
    theora = b"\x81theora" + comments("workflow={}")
    file = page(1, b"OpusHead", first=True) + page(2, b"\x80theora", first=True)
    file += page(1, tags[:5100], ends=False) + page(2, theora) + page(1, tags[5100:7650], ends=False)
    file += page(1, tags[7650:])
    assert read(file) == [
        Embedded("vorbis", "workflow", "{}"),
        Embedded("vorbis", "prompt", "x" * 9000),
        Embedded("vorbis", "Title", "ü"),
    ]
    assert read(file[:-40])[1:] == []


def test_flac_after_an_id3_tag():
    block = comments("prompt={}")
    flac = b"fLaC\0" + struct.pack(">I", 34)[1:] + bytes(34) + b"\x84" + struct.pack(">I", len(block))[1:] + block
    assert read(flac) == [Embedded("vorbis", "prompt", "{}")]
    text = b"TIT2" + struct.pack(">IH", 4, 0) + b"\3abc"
    assert read(b"ID3\4\0\0" + struct.pack(">I", len(text)) + text + flac) == [
        Embedded("id3", "title", "abc"),
        Embedded("vorbis", "prompt", "{}"),
    ]


# ------------------------------------------------------------------------------------------- ID3 by hand


def synchsafe(number: int) -> bytes:
    return bytes(number >> 7 * place & 0x7F for place in (3, 2, 1, 0))


def id3(version: int, frames: bytes, flags: int = 0) -> bytes:
    return b"ID3" + bytes([version, 0, flags]) + synchsafe(len(frames)) + frames


def frame(version: int, kind: bytes, data: bytes, flags: int = 0, size: bytes | None = None) -> bytes:
    if version == 2:
        return kind + struct.pack(">I", len(data))[1:] + data
    length = size or (synchsafe(len(data)) if version == 4 else struct.pack(">I", len(data)))
    return kind + length + struct.pack(">H", flags) + data


def test_frames_of_each_version():
    prompt = Embedded("id3", "prompt", "ü{}")
    texts = {
        0: "prompt\0ü{}".encode("latin-1"),
        1: "prompt".encode("utf-16") + b"\0\0" + "ü{}".encode("utf-16"),
        2: "prompt\0ü{}\0".encode("utf-16-be"),
        3: "prompt\0ü{}\0".encode(),
    }
    for version, kind in ((2, b"TXX"), (3, b"TXXX"), (4, b"TXXX")):
        for encoding, text in texts.items():
            assert read(id3(version, frame(version, kind, bytes([encoding]) + text) + bytes(50))) == [prompt]
    comment = frame(3, b"COMM", b"\1eng" + "".encode("utf-16") + b"\0\0" + "小".encode("utf-16"))
    assert read(id3(3, comment + frame(3, b"APIC", bytes(300)) + frame(3, b"TSSE", b"\0Lavf"))) == [
        Embedded("id3", "comment", "小"),
        Embedded("id3", "encoder", "Lavf"),
    ]


def test_frames_with_codings():
    text = b"\1" + "prompt".encode("utf-16") + b"\0\0" + "ÿ{}".encode("utf-16")
    found = [Embedded("id3", "prompt", "ÿ{}")]
    hidden = text.replace(b"\xff", b"\xff\0")
    assert read(id3(3, frame(3, b"TXXX", text).replace(b"\xff", b"\xff\0"), 0x80)) == found
    assert read(id3(4, frame(4, b"TXXX", hidden, 2))) == found
    assert read(id3(4, frame(4, b"TXXX", synchsafe(len(text)) + hidden, 3))) == found
    assert read(id3(3, frame(3, b"TXXX", text, 0x40) + frame(3, b"TXXX", text))) == found  # the first is encrypted
    long = b"\3prompt\0" + b"x" * 200
    wrong = frame(4, b"TXXX", long, size=struct.pack(">I", len(long))) + frame(4, b"TIT2", b"\3end")
    assert read(id3(4, wrong)) == [Embedded("id3", "prompt", "x" * 200), Embedded("id3", "title", "end")]
    extended = struct.pack(">IHI", 6, 0, 0)
    assert read(id3(3, extended + frame(3, b"TXXX", text), 0x40)) == found
    manifest = b"\0application/x-c2pa-manifest-store\0name\0what\0jumb"
    assert read(id3(4, frame(4, b"GEOB", manifest) + frame(4, b"PRIV", b"XMP\0<x/>"))) == [
        Embedded("c2pa", "manifest", b"jumb"),
        Embedded("xmp", "packet", "<x/>"),
    ]


def test_chunks_of_wav():
    def chunk(kind: bytes, data: bytes, length: int | None = None) -> bytes:
        return kind + struct.pack("<I", len(data) if length is None else length) + data + b"\0" * (len(data) % 2)

    tag = id3(3, frame(3, b"TXXX", b"\0prompt\0{}"))
    after = (
        chunk(b"id3 ", tag) + chunk(b"LIST", b"INFO" + chunk(b"ICMT", b"odd\0\0")) + chunk(b"bext", b"scene".ljust(602))
    )
    found = [
        Embedded("id3", "prompt", "{}"),
        Embedded("riff", "ICMT", "odd"),
        Embedded("riff", "bext", "scene".ljust(256)),
    ]
    assert read(b"RIFF\0\0\0\0WAVE" + chunk(b"data", bytes(75)) + after) == found
    sizes = chunk(b"ds64", struct.pack("<QQQI", 0, 76, 0, 0))
    assert read(b"RF64\xff\xff\xff\xffWAVE" + sizes + chunk(b"data", bytes(76), 0xFFFFFFFF) + after) == found
