"""Frame n is the picture at n / rate, wherever decoding began; pictures are upright; bad files are one clear error."""

from __future__ import annotations

import struct
import zlib
from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

from regenstore.media import decode
from regenstore.media.encode import VIDEO_TYPES, MediaWriter
from regenstore.media.stills import is_still, read_still
from tests.media import made


def numbers(path, **span):
    return [(number, made.number_of(decode.to_rgb(frame))) for number, frame in decode.frames(str(path), **span)]


# ------------------------------------------------------------------------------------------- which frames


@pytest.fixture(scope="module", params=VIDEO_TYPES)
def long_clip(request, tmp_path_factory):
    """Over several key frames, with B-frames between them."""
    path = made.numbered_video(tmp_path_factory.mktemp("long") / "x", 620, 24, request.param, quality=23)
    with av.open(str(path)) as file:
        packets = [packet for packet in file.demux(file.streams.video[0]) if packet.size]
    assert sum(packet.is_keyframe for packet in packets) >= 3
    times = [packet.pts for packet in packets]
    assert times != sorted(times), "the clip has no B-frames"
    return path


def test_a_seek_gives_the_frames_that_decoding_from_the_start_gives(long_clip):
    whole = {number: decode.to_rgb(frame) for number, frame in decode.frames(str(long_clip))}
    assert sorted(whole) == list(range(620))
    assert {number: made.number_of(pixels) for number, pixels in whole.items()} == {n: n for n in range(620)}
    for first in (0, 1, 47, 48, 49, 50, 100, 249, 250, 251, 300, 499, 500, 501, 617, 619):
        cut = list(decode.frames(str(long_clip), first=first, last=first + 3))
        assert [number for number, _ in cut] == [n for n in range(first, first + 4) if n < 620]
        for number, frame in cut:
            np.testing.assert_array_equal(decode.to_rgb(frame), whole[number])


def test_nothing_lies_beyond_the_end(long_clip):
    for first in (620, 621, 1000, 1_000_000):
        assert list(decode.frames(str(long_clip), first=first, last=first)) == []
    assert decode.frame_count(str(long_clip)) == 620


def test_uneven_times_become_a_constant_rate(tmp_path):
    """Frames that stay longer are repeated, ones that come too close are left out; the count agrees."""
    path = made.uneven_video(tmp_path / "x", [0, 1, 2, 6, 7, 8, 9, 10])
    info, seen = decode.inspect(str(path)), numbers(path)
    assert [number for number, _ in seen] == list(range(decode.frame_count(str(path))))
    shown = [number for _, number in seen]
    assert shown == sorted(shown)
    assert len(seen) / info.rate == pytest.approx(11 / 24, abs=0.1)
    for start in range(1, len(seen)):
        assert numbers(path, first=start) == seen[start:]


def test_inspect(tmp_path):
    info = decode.inspect(str(made.numbered_video(tmp_path / "x", 30, Fraction(30000, 1001))))
    assert (info.width, info.height, info.rate) == (*made.NUMBERED, Fraction(30000, 1001))
    assert info.duration == pytest.approx(30 * 1001 / 30000, abs=0.001)
    assert info.has_video
    assert not info.has_audio
    info = decode.inspect(str(made.sound_file(tmp_path / "y", made.levels(4000, 2), 8000)))
    assert (info.sample_rate, info.channels, info.duration, info.has_video) == (8000, 2, 0.5, False)


# ------------------------------------------------------------------------------------------- how they look


def turned(path, quarter):
    """Set the display matrix of an MP4's picture track, as a phone held upright does."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40
    one = 1 << 16
    matrix = {1: (0, one, 0, -one, 0, 0), 2: (-one, 0, 0, 0, -one, 0), 3: (0, -one, 0, one, 0, 0)}[quarter]
    data[at : at + 36] = struct.pack(">9i", *matrix, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


def two_halves(path, size=(64, 32)):
    """Left half red, right half blue."""
    pixels = made.flat(*size, (255, 0, 0))
    pixels[:, size[0] // 2 :] = (0, 0, 255)
    with MediaWriter(str(path), "video/mp4", size=size, rate=Fraction(24), quality=0) as writer:
        for _ in range(3):
            writer.picture(pixels)
    return path


@pytest.mark.parametrize("quarter", [1, 2, 3])
def test_turned_videos_are_upright(tmp_path, quarter):
    path = turned(two_halves(tmp_path / "x"), quarter)
    info = decode.inspect(str(path))
    assert (info.width, info.height) == ((64, 32) if quarter == 2 else (32, 64))
    (_, frame), *_ = decode.frames(str(path), last=0)
    for pixels in (decode.to_rgb(frame), decode.to_rgb(decode.crop_frame(frame, None))):
        assert pixels.shape[:2] == (info.height, info.width)
        red = {1: pixels[:30], 2: pixels[:, 34:], 3: pixels[34:]}[quarter]
        blue = {1: pixels[34:], 2: pixels[:, :30], 3: pixels[:30]}[quarter]
        assert made.near(red, (255, 0, 0))
        assert made.near(blue, (0, 0, 255))


@pytest.mark.parametrize("box", [(8, 4, 20, 10), (7, 3, 21, 11), (0, 0, 1, 1), (63, 31, 1, 1), (40, 0, 24, 32)])
def test_crops_keep_colours(tmp_path, box):
    (_, frame), *_ = decode.frames(str(two_halves(tmp_path / "x")), last=0)
    x, y, width, height = box
    cut = decode.to_rgb(decode.crop_frame(frame, box))
    assert cut.shape == (height, width, 3)
    if not any(value % 2 for value in box):
        np.testing.assert_array_equal(cut, decode.to_rgb(frame)[y : y + height, x : x + width])
    inner = cut if x + width <= 30 or x >= 34 else cut[:, : 30 - x]
    assert made.near(inner, (0, 0, 255) if x >= 34 else (255, 0, 0))


@pytest.mark.parametrize("size", [(64, 32), (1280, 720)])
def test_untagged_videos_get_the_matrix_of_their_size(tmp_path, size):
    """Without a tag, small pictures are BT.601 and large ones BT.709, as players take them."""
    y, cb, cr = {64: (81, 90, 240), 1280: (63, 102, 240)}[size[0]]  # pure red in either matrix
    width, height = size
    planes = [np.full(width * height, y), np.full(width * height // 4, cb), np.full(width * height // 4, cr)]
    frame = av.VideoFrame.from_ndarray(
        np.concatenate(planes).astype(np.uint8).reshape(height * 3 // 2, width), format="yuv420p"
    )
    assert made.near(decode.to_rgb(frame), (255, 0, 0), 3)


# ------------------------------------------------------------------------------------------- stills


def save(path, picture, form, **more):
    picture.save(path, form, **more)
    return str(path)


def test_sixteen_bit_grey_is_not_clipped(tmp_path):
    ramp = np.linspace(0, 65535, 256).astype(np.uint16)[None].repeat(4, axis=0)
    pixels = read_still(save(tmp_path / "x", Image.fromarray(ramp), "PNG"))
    np.testing.assert_array_equal(pixels[0, :, 0], np.arange(256))
    assert pixels.shape == (4, 256, 3)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "CMYK", "LA", "RGBA", "I", "F"])
def test_every_mode_is_read(tmp_path, mode):
    picture = Image.new("RGB", (8, 6), (255, 255, 255)).convert("RGBA" if mode == "LA" else mode)
    picture = picture.convert(mode)
    if mode == "I":
        picture = Image.fromarray(np.full((6, 8), 65535, np.int32))
    pixels = read_still(save(tmp_path / "x", picture, "TIFF"))
    assert made.near(pixels, (255, 255, 255), 0)
    assert pixels.shape == (6, 8, 3), "nothing is transparent"


def test_orientation_is_applied(tmp_path):
    picture = Image.new("RGB", (8, 4), (255, 0, 0))
    exif = Image.Exif()
    exif[0x0112] = 6
    assert read_still(save(tmp_path / "x", picture, "JPEG", exif=exif)).shape == (8, 4, 3)


def test_postscript_is_no_still(tmp_path):
    """Pillow would run Ghostscript for it."""
    save(tmp_path / "x", Image.new("RGB", (8, 8)), "EPS")
    assert not is_still(str(tmp_path / "x"))
    with pytest.raises(ValueError, match="plate is not a readable picture"):
        read_still(str(tmp_path / "x"), "plate")


def test_a_picture_too_large_to_open_is_refused(tmp_path):
    save(tmp_path / "small", Image.new("1", (8, 8)), "PNG")
    data = bytearray((tmp_path / "small").read_bytes())
    data[16:24] = struct.pack(">II", 60_000, 60_000)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    (tmp_path / "large").write_bytes(data)
    assert is_still(str(tmp_path / "large"))
    with pytest.raises(ValueError, match="plate is too large"):
        read_still(str(tmp_path / "large"), "plate")


# ------------------------------------------------------------------------------------------- bad files


def test_playlists_are_refused(tmp_path):
    """They would bring in files that are no input: a result must depend on its inputs alone."""
    clip = made.numbered_video(tmp_path / "clip.mp4", 3)
    lists = {
        "x.m3u8": f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{clip}\n#EXT-X-ENDLIST\n",
        "x.ffconcat": f"ffconcat version 1.0\nfile {clip.name}\n",
        "x": f"ffconcat version 1.0\nfile {clip.name}\n",
    }
    for name, text in lists.items():
        (tmp_path / name).write_text(text)
        with pytest.raises(ValueError, match="the plate is not readable as video or audio"):
            decode.inspect(str(tmp_path / name), "the plate")


def test_tags_in_another_encoding_do_no_harm(tmp_path):
    with av.open(str(tmp_path / "x"), "w", format="wav") as file:
        file.metadata["title"] = "Kueste"
        stream = file.add_stream("pcm_s16le", rate=8000)
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 100), np.int16), format="s16", layout="mono")
        frame.sample_rate = 8000
        file.mux(stream.encode(frame))
    path = tmp_path / "x"
    data = path.read_bytes()
    assert b"Kueste" in data
    path.write_bytes(data.replace(b"Kueste", b"K\xfcsten"))
    assert decode.inspect(str(path)).sample_rate == 8000


@pytest.mark.parametrize("data", [b"", b"hello, world\n" * 50, b"\x00" * 5000])
def test_what_is_no_medium_is_refused(tmp_path, data):
    (tmp_path / "x").write_bytes(data)
    for look in (decode.inspect, decode.frame_count, lambda *a: list(decode.frames(a[0], what=a[1]))):
        with pytest.raises(ValueError, match="the plate") as caught:
            look(str(tmp_path / "x"), "the plate")
        assert type(caught.value) is ValueError
        assert str(tmp_path) not in str(caught.value), "a path in the store means nothing to the user"


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.95])
def test_cut_off_files_give_frames_or_a_clear_error(tmp_path, share):
    """What can be decoded of a torn Matroska is; an MP4 whose index is first tells that it is torn."""
    for media_type in VIDEO_TYPES:
        path = made.numbered_video(tmp_path / "x", 40, 24, media_type)
        path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
        try:
            seen = numbers(path, what="the plate")
        except ValueError as error:
            assert type(error) is ValueError
            assert "the plate" in str(error)
        else:
            assert seen == [(number, number) for number in range(len(seen))]


def test_a_video_without_sound_and_a_sound_without_video(tmp_path):
    clip, noise = made.numbered_video(tmp_path / "clip", 3), made.sound_file(tmp_path / "noise", made.levels(99))
    with pytest.raises(ValueError, match="the plate has no audio stream"):
        list(decode.sound_blocks(str(clip), what="the plate"))
    with pytest.raises(ValueError, match="the plate has no video stream"):
        list(decode.frames(str(noise), what="the plate"))


# ------------------------------------------------------------------------------------------- sound


@pytest.mark.parametrize("media_type", ["audio/wav", "audio/flac"])
def test_cuts_of_sound_are_exact(tmp_path, media_type):
    samples = made.levels(8000 * 3, 2)
    path = str(made.sound_file(tmp_path / "x", samples, 8000, media_type=media_type))
    for start, duration in ((0, 1), (0.5, 0.25), (1.000125, 0.000125), (2.9, 5), (0, None), (2.5, None)):
        cut = list(decode.sound_blocks(path, start=start, duration=duration))
        first = round(start * 8000)
        end = None if duration is None else first + round(duration * 8000)
        np.testing.assert_array_equal(np.concatenate(cut, axis=1), samples[:, first:end])
    assert list(decode.sound_blocks(path, start=3)) == []
