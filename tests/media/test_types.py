"""Media types by name and by content, held against files that real encoders wrote."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable

import av
import numpy as np
import pytest
from PIL import Image

from regenstore.generators.shared_params import AUDIO_TYPES, IMAGE_TYPES, VIDEO_TYPES
from regenstore.media import types
from regenstore.media.probe import probe
from regenstore.media.stills import write_still
from tests.media import made


@pytest.mark.parametrize("media_type", IMAGE_TYPES)
def test_stills_are_known_by_content(tmp_path, media_type):
    write_still(str(tmp_path / "x"), made.flat(20, 10, (1, 2, 3)), media_type)
    assert types.sniff((tmp_path / "x").read_bytes()[: types.HEAD]) == media_type


@pytest.mark.parametrize("media_type", VIDEO_TYPES)
def test_videos_are_known_by_content(tmp_path, media_type):
    head = made.numbered_video(tmp_path / "x", 2, media_type=media_type).read_bytes()[: types.HEAD]
    assert types.sniff(head) == media_type


@pytest.mark.parametrize("media_type", AUDIO_TYPES)
def test_sounds_are_known_by_content(tmp_path, media_type):
    head = made.sound_file(tmp_path / "x", made.levels(99), media_type=media_type).read_bytes()[: types.HEAD]
    assert types.sniff(head) == media_type


@pytest.mark.parametrize("form", ["GIF", "BMP", "AVIF"])
def test_what_pillow_writes_is_known(form):
    out = io.BytesIO()
    Image.new("RGB", (8, 8)).save(out, form)
    assert types.sniff(out.getvalue()[: types.HEAD]) == f"image/{form.lower()}"


@pytest.mark.parametrize(
    ("head", "media_type"),
    [
        (b"\x1aE\xdf\xa3\x9fB\x86\x81\x01B\xf7\x81\x01B\xf2\x81\x04B\xf3\x81\x08B\x82\x84webm", "video/webm"),
        (b"RIFF\x10\x00\x00\x00AVI LIST", "video/x-msvideo"),
        (b"RF64\xff\xff\xff\xffWAVEds64", "audio/wav"),
        (b"\x00\x00\x00\x20ftypM4A \x00\x00\x00\x00", "audio/mp4"),
        (b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00", "video/mp4"),
        (b"OggS\x00\x02", "audio/ogg"),
        (b"ID3\x04\x00", "audio/mpeg"),
        (b"MM\x00*\x00\x00", "image/tiff"),
        (b"v/1\x01\x02\x00\x00\x00", "image/x-exr"),
        (b"glTF\x02\x00\x00\x00", "model/gltf-binary"),
        (b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic", "image/heic"),
        (b"\x00\x00\x00\x18ftypmif1\x00\x00\x00\x00mif1heix", "image/heic"),
        (b"\x00\x00\x00\x18ftypmif1\x00\x00\x00\x00miafavif", "image/avif"),
        (b"\x00\x00\x00\x14ftypmif1\x00\x00\x00\x00mif1avif", "image/heif"),  # past the end of its box
        (b"\x00\x00\x00\x18ftypmsf1\x00\x00\x00\x00msf1hevc", "image/heic-sequence"),
        (b"\x00\x00\x00\x18ftypisom\x00\x00\x00\x00isomavif", "video/mp4"),
        (b"\x00\x00\x00\x0cJXL \r\n\x87\n\x00\x00\x00\x14ftypjxl ", "image/jxl"),
        (b"8BPS\x00\x01", "image/vnd.adobe.photoshop"),
        (b"\x1aE\xdf\xa3\x93\xec\x81\x00B\x82\x88matroskaM\x80\x84webm", "video/x-matroska"),
    ],
)
def test_signatures(head, media_type):
    assert types.sniff(head) == media_type


@pytest.mark.parametrize(
    ("form", "codec", "media_type"),
    [
        ("mxf", "mpeg2video", "application/mxf"),
        ("mpegts", "mpeg2video", "video/mp2t"),
        ("mpeg", "mpeg2video", "video/mpeg"),
        ("mpeg2video", "mpeg2video", "video/mpeg"),
        ("yuv4mpegpipe", "rawvideo", "video/x-yuv4mpeg"),
        ("flv", "flv", "video/x-flv"),
        ("asf", "mpeg4", "video/x-ms-wmv"),
    ],
)
def test_what_ffmpeg_writes_is_known_by_its_bytes_and_probed(tmp_path, form, codec, media_type):
    path = str(tmp_path / "take")
    with av.open(path, "w", format=form) as file:
        stream = file.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(6):
            frame = av.VideoFrame.from_ndarray(np.zeros((72, 64), np.uint8), format="yuv420p")
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    data = (tmp_path / "take").read_bytes()
    assert types.sniff(data[: types.HEAD]) == media_type
    found = probe(path, media_type)
    assert (found.kind, found.video.width, found.video.height) == ("video", 64, 48)


def test_ogg_is_video_where_a_codec_of_video_begins_in_it():
    page = b"OggS\x00\x02" + bytes(20) + b"\x01\x1e"
    sound, picture = page + b"\x01vorbis" + bytes(23), page + b"\x80theora" + bytes(23)
    assert types.sniff(sound + picture) == types.sniff(picture + sound) == "video/ogg"
    assert types.sniff(sound) == "audio/ogg"


@pytest.mark.parametrize(
    "head", [b"", b"R", b"RIFF", b"RIFF\0\0\0\0ABCD", b"regenstore = 1\n", b"\x00" * 64, b"ftyp", b"\xff\xd8"]
)
def test_what_is_no_medium_is_not_taken_for_one(head):
    assert types.sniff(head) is None


def test_names_and_suffixes():
    for suffix, media_type in types.BY_SUFFIX.items():
        assert types.by_name(f"a/b.c{suffix}") == types.by_name(f"A{suffix.upper()}".encode()) == media_type
        assert types.by_name("x" + types.suffix_for(media_type)) == media_type
    assert types.by_name("noext") == types.by_name(".png") == types.by_name("x.png.txt") == types.UNKNOWN
    assert types.by_name(b"\xff\xfe.png") == "image/png"
    assert types.suffix_for("what/ever") == ""


def test_content_counts_before_the_name():
    png = b"\x89PNG\r\n\x1a\n"
    assert types.of_content(reading(png), "x.mp4") == "image/png"
    assert types.of_content(reading(b"hello"), b"x.mp4") == "video/mp4"
    assert types.of_content(reading(b"hello"), "x") == types.UNKNOWN


def box(name: bytes, *parts: bytes, large: bool = False) -> bytes:
    data = b"".join(parts)
    size = len(data) + (16 if large else 8)
    return (struct.pack(">I4sQ", 1, name, size) if large else struct.pack(">I4s", size, name)) + data


def track(handler: bytes) -> bytes:
    return box(b"trak", box(b"tkhd", bytes(84)), box(b"mdia", box(b"hdlr", bytes(8), handler, bytes(12))))


BRAND = box(b"ftyp", b"isom", bytes(4))


@pytest.mark.parametrize(
    ("data", "media_type"),
    [
        (BRAND + box(b"mdat", bytes(9000), large=True) + box(b"moov", track(b"soun"), track(b"text")), "audio/mp4"),
        (BRAND + box(b"moov", track(b"soun"), track(b"vide")) + box(b"mdat", bytes(9)), "video/mp4"),
        (BRAND + box(b"moov", track(b"text")), "video/mp4"),
        (BRAND + box(b"mdat", bytes(90)), "video/mp4"),
        (BRAND + box(b"moov", track(b"soun"))[:-14], "video/mp4"),
        (BRAND + box(b"moov", struct.pack(">I", 900) + track(b"soun")[4:]), "video/mp4"),
        (BRAND + box(b"moov", *[box(b"free")] * 3000, track(b"soun")), "video/mp4"),
        (BRAND + struct.pack(">I4sQ", 1, b"moov", 2**64 - 1), "video/mp4"),
        (box(b"ftyp", b"qt  ", bytes(4)) + box(b"moov", track(b"soun")), "video/quicktime"),
    ],
)
def test_an_mp4_is_sound_if_its_tracks_are(data: bytes, media_type: str) -> None:
    assert types.of_content(reading(data), "x.mp4") == media_type


def reading(data: bytes) -> Callable[[int, int], bytes]:
    return lambda at, length: data[at : at + length]


@pytest.mark.parametrize(("media_type", "kind"), [("image/png", "image"), ("video/mp4", "video"), ("model", "model")])
def test_kinds(media_type, kind):
    assert types.kind(media_type) == kind
