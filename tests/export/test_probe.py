"""What the probe says of media whose every property is known, and what MediaInfo says of the same ones."""

from __future__ import annotations

import io
import os
import struct
import zlib
from fractions import Fraction

import av
import pytest
from PIL import Image

from regenstore.media.media_info import Color, MediaInfo
from regenstore.media.probe import probe
from regenstore.media.types import of_content
from tests.export.conftest import GOLDEN
from tests.export.golden import NTSC24, SIZE, exr, png


def probed(path) -> MediaInfo:
    with open(path, "rb") as file:
        return probe(str(path), of_content(lambda at, length: os.pread(file.fileno(), length, at), str(path)))


@pytest.mark.parametrize("name", GOLDEN)
def test_every_golden_video_is_told_exactly(name, golden_file):
    golden = GOLDEN[name]
    info = probed(golden_file(name))
    video = info.video
    assert info.kind == "video"
    assert (video.width, video.height) == SIZE
    assert video.frames == golden.frames
    assert video.variable == golden.variable
    if not golden.variable:
        assert video.rate == golden.rate
        assert video.duration == golden.frames / golden.rate
    assert video.codec == (golden.shown_codec or "h264")
    assert video.bit_depth == golden.depth
    assert video.field_order == "progressive"
    assert video.rotation == golden.rotation
    assert video.alpha == ("yuva" in golden.pixels)
    told = (video.color.primaries, video.color.transfer, video.color.matrix)
    assert told == (golden.color.primaries, golden.color.transfer, golden.color.matrix)
    assert (info.timecode.text if info.timecode else None) == golden.timecode
    assert (info.timecode.drop if info.timecode else False) == (";" in (golden.timecode or ""))
    assert len(info.audio) == golden.audio
    for track in info.audio:
        assert (track.rate, track.channels, track.layout, track.bits) == (48000, 2, "stereo", 16)
        assert abs(track.duration - golden.frames / golden.rate) < Fraction(1, 100)
    assert MediaInfo.from_bytes(info.to_bytes()) == info


def test_a_variable_rate_has_the_duration_of_its_times(golden_file):
    video = probed(golden_file("vfr.mp4")).video
    assert video.duration == Fraction(4 * 2500 + 8 * 1000, 24000)


def test_light_levels_of_hdr10(golden_file):
    video = probed(golden_file("hevc_pq.mp4")).video
    assert (video.max_content_light, video.max_average_light) == (1000, 400)
    assert video.mastering.max_luminance == 1000
    assert video.mastering.min_luminance == Fraction(5, 1000)
    assert video.mastering.white == (Fraction(15635, 50000), Fraction(16450, 50000))
    assert probed(golden_file("hevc_hlg.mp4")).video.mastering is None


def test_what_container_and_decoder_say_is_kept_apart(golden_file):
    """ProRes: the QuickTime box says Rec. 709, the frames say nothing."""
    video = probed(golden_file("prores.mov")).video
    assert video.container_color.stated
    assert not video.decoded_color.stated
    assert video.color == Color(1, 1, 1, False)


@pytest.mark.heavy
@pytest.mark.parametrize("name", GOLDEN)
def test_mediainfo_agrees(name, golden_file):
    oracle = pytest.importorskip("pymediainfo", reason="pymediainfo is not installed").MediaInfo
    golden, path = GOLDEN[name], golden_file(name)
    video = probed(path).video
    tracks = oracle.parse(str(path)).tracks
    theirs = next(track for track in tracks if track.track_type == "Video")
    assert (theirs.width, theirs.height) == (video.width, video.height)
    if theirs.bit_depth is not None:
        assert theirs.bit_depth == video.bit_depth
    assert round(float(theirs.rotation or 0)) == video.rotation
    if not golden.variable and not name.endswith((".webm", ".mkv")):
        assert theirs.frame_rate == f"{float(video.rate):.3f}"
    if not name.endswith(".webm"):
        assert int(theirs.frame_count) == video.frames
    names = {2: None, 1: "BT.709", 9: "BT.2020"}
    assert theirs.color_primaries == names[video.color.primaries]
    codes = {track.time_code_of_first_frame for track in tracks if track.time_code_of_first_frame}
    if golden.timecode:
        assert golden.timecode in codes


def test_stills(tmp_path):
    plain = probed(png(tmp_path / "a.png"))
    assert (plain.kind, plain.video.rate, plain.video.frames, plain.video.alpha) == ("image", None, 1, False)
    assert not plain.video.color.stated
    assert probed(png(tmp_path / "b.png", srgb=True, mode="RGBA")).video.color == Color(1, 13, 0, True)
    assert probed(png(tmp_path / "c.png", cicp=(9, 16, 0, 1))).video.color == Color(9, 16, 0, True)
    deep = probed(png(tmp_path / "d.png", mode="I;16"))
    assert deep.video.bit_depth == 16
    floating = probed(exr(tmp_path / "e.exr"))
    assert (floating.kind, floating.container) == ("image", "exr")
    assert (floating.video.bit_depth, floating.video.floating) == (32, True)


def test_the_size_of_the_largest_stills_comes_from_their_headers(tmp_path, recwarn):
    path = png(tmp_path / "a.png")
    data = bytearray(path.read_bytes())
    data[16:24] = struct.pack(">II", 60_000, 50_000)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    path.write_bytes(data)
    assert probed(path).video.upright == (60_000, 50_000)
    assert not recwarn.list


def test_side_data_without_a_name_is_passed_over(tmp_path):
    """The EXIF of Motion-JPEG, say: PyAV has no name for it."""
    path, exif = tmp_path / "clip.avi", Image.Exif()
    exif[0x010F] = "Camera"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuvj420p"
        for number in range(3):
            picture = io.BytesIO()
            Image.new("RGB", (96, 64)).save(picture, "JPEG", exif=exif)
            packet = av.Packet(picture.getvalue())
            packet.stream, packet.pts, packet.dts, packet.time_base = stream, number, number, Fraction(1, 25)
            file.mux(packet)
    found = probed(path)
    assert (found.kind, found.video.codec, found.video.frames) == ("video", "mjpeg", 3)


def test_what_is_no_medium_is_told_in_words(tmp_path):
    path = tmp_path / "x.mp4"
    path.write_bytes(b"\0\0\0\x18ftypisom" + os.urandom(4000))
    with pytest.raises(ValueError, match=r"cannot be read|not readable"):
        probe(str(path), "video/mp4")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + os.urandom(400))
    with pytest.raises(ValueError, match="cannot be"):
        probe(str(path), "image/png")
    assert probe(str(path), "model/gltf-binary").kind == "other"


def test_webm_times_in_milliseconds_do_not_blur_the_rate(golden_file):
    assert probed(golden_file("r23976.webm")).video.rate == NTSC24
