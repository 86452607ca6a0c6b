"""Derived media: exactly the frames, places and samples asked for, and one clear error for inputs that will not do."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import av
import numpy as np
import pytest

from regenstore.generators.shared_params import VIDEO_TYPES
from regenstore.media import decode
from regenstore.media.stills import read_still, write_still
from tests.generators.making import digest, make
from tests.media import made
from tests.media.test_decode import turned, two_halves

IMAGE, VIDEO, AUDIO = "derive.image", "derive.video", "derive.audio"
RED, GREEN, BLUE, WHITE, BLACK = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0)


def frames(path):
    return [decode.to_rgb(frame) for _, frame in decode.frames(str(path))]


def numbers(path):
    return [made.number_of(pixels) for pixels in frames(path)]


def heard(path):
    return np.concatenate(list(decode.sound_blocks(str(path))), axis=1)


@pytest.fixture
def plate(tmp_path):
    write_still(str(tmp_path / "plate"), made.quarters(), "image/png")
    return tmp_path / "plate"


@pytest.fixture
def shot(tmp_path):
    """The same quarters as a video."""
    return made.still_video(tmp_path / "shot", made.quarters(), 3)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return made.sounding_video(tmp_path_factory.mktemp("clip") / "clip", 150)


# ------------------------------------------------------------------------------------------- sizes and places

FITS = [
    # parameters, size, and where which colour is (as x, y in shares of the picture)
    ({}, (64, 48), "quarters"),
    ({"width": 32}, (32, 24), "quarters"),
    ({"height": 96}, (128, 96), "quarters"),
    ({"width": 100, "height": 48}, (64, 48), "quarters"),
    ({"width": 100, "height": 48, "fit": "contain"}, (64, 48), "quarters"),
    ({"width": 100, "height": 48, "fit": "stretch"}, (100, 48), "quarters"),
    ({"width": 100, "height": 48, "fit": "pad"}, (100, 48), "sides"),
    ({"width": 64, "height": 80, "fit": "pad"}, (64, 80), "above"),
    ({"width": 100, "height": 48, "fit": "cover"}, (100, 48), "quarters"),
    ({"width": 20, "height": 48, "fit": "cover"}, (20, 48), "quarters"),
    ({"crop": "32x24+0+0"}, (32, 24), RED),
    ({"crop": "32x24+32+0"}, (32, 24), GREEN),
    ({"crop": "20x20+2+26", "width": 50}, (50, 50), BLUE),
    ({"crop": "20x10+40+30", "width": 40, "height": 40, "fit": "stretch"}, (40, 40), WHITE),
]


def shows(pixels, what):
    height, width = pixels.shape[:2]
    if isinstance(what, tuple):
        # 4:2:0 colour runs over by a few pixels where another one was beside it.
        return made.near(pixels[height // 4 : -height // 4, width // 4 : -width // 4], what)
    if what in ("sides", "above"):
        inner = pixels[:, 18:-18] if what == "sides" else pixels[16:-16]
        edges = (pixels[:, :14], pixels[:, -14:]) if what == "sides" else (pixels[:12], pixels[-12:])
        return all(made.near(edge, BLACK) for edge in edges) and shows(inner, "quarters")
    x, y = max(4, width // 8), max(4, height // 8)
    left, right = slice(x, width // 2 - x), slice(width // 2 + x, width - x)
    upper, lower = slice(y, height // 2 - y), slice(height // 2 + y, height - y)
    found = (pixels[upper, left], pixels[upper, right], pixels[lower, left], pixels[lower, right])
    return all(made.near(part, colour, 6) for part, colour in zip(found, (RED, GREEN, BLUE, WHITE)))


@pytest.mark.parametrize(("params", "size", "what"), FITS)
def test_pictures_are_cut_and_scaled(tmp_path, plate, params, size, what):
    pixels = read_still(str(make(IMAGE, tmp_path, {"source": plate}, **params)))
    assert pixels.shape == (size[1], size[0], 3)
    assert shows(pixels, what)


@pytest.mark.parametrize(("params", "size", "what"), FITS)
def test_videos_are_cut_and_scaled(tmp_path, shot, params, size, what):
    seen = frames(make(VIDEO, tmp_path, {"source": shot}, quality=0, **params))
    assert len(seen) == 3
    for pixels in seen:
        assert pixels.shape == (size[1], size[0], 3)
        assert shows(pixels, what)


def test_odd_sizes(tmp_path, plate, shot):
    assert read_still(str(make(IMAGE, tmp_path, {"source": plate}, width=31, height=17, fit="stretch"))).shape == (
        17,
        31,
        3,
    )
    odd = make(VIDEO, tmp_path, {"source": shot}, crop="33x17+3+5")
    assert frames(odd)[0].shape == (18, 34, 3), "H.264 needs even sizes: they are rounded up"


def test_transparency_stays(tmp_path):
    write_still(str(tmp_path / "x"), made.flat(40, 20, (10, 200, 30, 100)), "image/png")
    pixels = read_still(str(make(IMAGE, tmp_path, {"source": tmp_path / "x"}, width=60, height=60, fit="pad")))
    assert pixels.shape == (60, 60, 4)
    assert pixels[30, 30, 3] == 100
    assert tuple(pixels[2, 2]) == (0, 0, 0, 255)


@pytest.mark.parametrize("quarter", [1, 2, 3])
def test_turned_videos_stay_upright(tmp_path, quarter):
    """Also where the video is joined to others, which takes another way."""
    source = turned(two_halves(tmp_path / "x"), quarter)
    expected = decode.to_rgb(next(decode.frames(str(source)))[1])
    for params in ({}, {"operation": "concatenate"}, {"shot": "x"}, {"width": 64, "height": 64, "fit": "pad"}):
        pixels = frames(make(VIDEO, tmp_path, {"source": source}, quality=0, **params))[0]
        if "fit" in params:
            side = (64 - min(expected.shape[:2])) // 2
            pixels = pixels[side:-side] if quarter == 2 else pixels[:, side:-side]
        assert pixels.shape == expected.shape
        assert np.abs(pixels[:16].astype(int) - expected[:16]).mean() < 4, params
    still = read_still(str(make(IMAGE, tmp_path, {"source": source})))
    np.testing.assert_array_equal(still, expected)


# ------------------------------------------------------------------------------------------- which frames

CUTS = [
    ({}, range(150)),
    ({"first_frame": 10, "last_frame": 19}, range(10, 20)),
    ({"first_frame": 149}, range(149, 150)),
    ({"last_frame": 0}, range(1)),
    ({"first_frame": 100, "last_frame": 10_000_000}, range(100, 150)),
    ({"start": 1}, range(24, 150)),
    ({"duration": 0.5}, range(12)),
    ({"start": 2.5, "duration": 1}, range(60, 84)),
    ({"start": 5, "duration": 100}, range(120, 150)),
    ({"start": 6.2, "duration": 0.001}, range(149, 150)),
]


@pytest.mark.parametrize(("params", "expected"), CUTS)
def test_cuts_have_exactly_their_frames_and_samples(tmp_path, clip, params, expected):
    path = make(VIDEO, tmp_path, {"source": clip}, quality=0, **params)
    assert numbers(path) == list(expected)
    np.testing.assert_array_equal(heard(path), made.ramp(expected[0] * 2000, (expected[-1] + 1) * 2000))
    silent = make(VIDEO, tmp_path, {"source": clip}, audio=False, **params)
    assert not decode.inspect(str(silent)).has_audio


def test_key_frames_of_the_source_are_not_forced_on_the_result(tmp_path):
    """A proxy of an all-key-frame camera file would be many times too large."""
    with av.open(str(tmp_path / "x"), "w", format="mov") as file:
        stream = file.add_stream("mjpeg", rate=24)
        stream.width, stream.height, stream.pix_fmt = *made.NUMBERED, "yuvj420p"
        for number in range(30):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(made.numbered(number // 20), format="rgb24")))
        file.mux(stream.encode(None))
    path = make(VIDEO, tmp_path, {"source": tmp_path / "x"})
    assert numbers(path) == [number // 20 for number in range(30)]
    with av.open(str(path)) as file:
        assert sum(packet.is_keyframe for packet in file.demux(video=0)) < 5


@pytest.mark.parametrize("media_type", VIDEO_TYPES)
def test_late_cuts_of_long_clips(tmp_path, media_type):
    """Beyond several key frames, from a clip with B-frames."""
    source = made.numbered_video(tmp_path / "long", 700, Fraction(30000, 1001), media_type, quality=20)
    for first in (249, 251, 400, 690):
        path = make(VIDEO, tmp_path, {"source": source}, first_frame=first, last_frame=first + 5, media_type=media_type)
        assert numbers(path) == list(range(first, first + 6))
        assert decode.inspect(str(path)).rate == Fraction(30000, 1001)


@pytest.mark.parametrize("frame", [0, 1, 47, 49, 77, 149])
def test_frames_by_number_and_time(tmp_path, clip, frame):
    by_number = make(IMAGE, tmp_path, {"source": clip}, operation="frame", frame=frame)
    assert made.number_of(read_still(str(by_number))) == frame
    for time in (frame / 24, (frame + 0.9) / 24):
        by_time = make(IMAGE, tmp_path, {"source": clip}, operation="frame", time=round(time + 0.0005, 4))
        assert digest(by_time) == digest(by_number), time


def test_a_frame_carries_its_own_timecode(tmp_path, clip):
    """Burnt in as a running one would be."""
    marked = frames(make(VIDEO, tmp_path, {"source": clip}, quality=0, timecode="01:00:00:00", last_frame=60))
    still = read_still(
        str(make(IMAGE, tmp_path, {"source": clip}, operation="frame", frame=55, timecode="01:00:00:00"))
    )
    assert np.abs(marked[55].astype(int) - still).mean() < 6
    assert np.abs(marked[54].astype(int) - still).mean() > np.abs(marked[55].astype(int) - still).mean()


def test_burn_in_runs(tmp_path):
    grey = made.flat_video(tmp_path / "grey", (64, 48), (120, 120, 120))
    marked = frames(make(VIDEO, tmp_path, {"source": grey}, quality=0, width=128, timecode="10:00:00:00", shot="A"))
    for pixels in marked:
        assert made.near(pixels[:70], (120, 120, 120))
        assert np.abs(pixels[76:, 60:].astype(int) - 120).max() > 80
        assert np.abs(pixels[76:, :16].astype(int) - 120).max() > 40
    for one, other in pairwise(marked):
        assert np.abs(one[76:, 60:].astype(int) - other[76:, 60:]).max() > 50


# ------------------------------------------------------------------------------------------- several inputs


def test_inputs_are_joined_in_the_natural_order_of_their_names(tmp_path):
    inputs = {}
    for name, first in (("s10", 20), ("s2", 10), ("s1", 0), ("t01", 40), ("t1", 50), ("²", 60)):
        inputs[name] = made.numbered_video(tmp_path / f"in-{first}", 3, first=first)
    joined = make(VIDEO, tmp_path, inputs, operation="concatenate", quality=0)
    assert numbers(joined) == [0, 1, 2, 10, 11, 12, 20, 21, 22, 40, 41, 42, 50, 51, 52, 60, 61, 62]
    backwards = make(VIDEO, tmp_path, dict(reversed(inputs.items())), operation="concatenate", quality=0)
    assert digest(backwards) == digest(joined)


def test_joined_videos_are_letterboxed_into_the_first(tmp_path):
    inputs = {
        "a": made.flat_video(tmp_path / "a", (64, 32), RED),
        "b": made.flat_video(tmp_path / "b", (32, 32), GREEN),
        "c": made.flat_video(tmp_path / "c", (128, 16), BLUE),
    }
    for more in ({}, {"shot": "."}):
        seen = frames(make(VIDEO, tmp_path, inputs, operation="concatenate", quality=0, **more))
        assert len(seen) == 12
        assert {pixels.shape for pixels in seen} == {(32, 64, 3)}
        assert made.near(seen[0][:12], RED)
        assert made.near(seen[5][:12, 22:42], GREEN)
        assert made.near(seen[5][:12, :10], BLACK)
        assert made.near(seen[5][:12, -10:], BLACK)
        assert made.near(seen[9][15:17, 20:], BLUE, 12)
        assert made.near(seen[9][:9], BLACK)


def test_joined_videos_take_the_first_rate_and_keep_their_length(tmp_path):
    inputs = {
        "a": made.numbered_video(tmp_path / "a", 24, 24),
        "b": made.numbered_video(tmp_path / "b", 60, 60, first=100),
        "c": made.numbered_video(tmp_path / "c", 12, 12, first=200),
    }
    path = make(VIDEO, tmp_path, inputs, operation="concatenate", quality=0)
    seen = numbers(path)
    assert decode.inspect(str(path)).rate == 24
    assert seen[:24] == list(range(24))
    assert seen[24:48] == [100 + place * 60 // 24 for place in range(24)]
    assert seen[48:] == [200 + place // 2 for place in range(24)]


def test_joined_sound_lies_under_its_picture(tmp_path, clip):
    quiet = made.numbered_video(tmp_path / "quiet", 24)
    path = make(VIDEO, tmp_path, {"a": quiet, "b": clip, "c": quiet}, operation="concatenate", quality=0)
    sound = heard(path)
    assert sound.shape == (1, (24 + 150 + 24) * 2000)
    assert not sound[:, :48_000].any()
    np.testing.assert_array_equal(sound[:, 48_000:-48_000], made.ramp(0, 300_000))
    assert not sound[:, -48_000:].any()


@pytest.mark.parametrize("seconds", [0.1, 2.0, 9.0])
@pytest.mark.parametrize("media_type", VIDEO_TYPES)
def test_added_sound_gets_the_length_of_the_video(tmp_path, seconds, media_type):
    video = made.numbered_video(tmp_path / "video", 48)
    samples = made.levels(int(seconds * 16_000), 2)
    sound = made.sound_file(tmp_path / "sound", samples, 16_000)
    path = make(VIDEO, tmp_path, {"source": video, "audio": sound}, operation="mux", quality=0, media_type=media_type)
    assert numbers(path) == list(range(48))
    result = heard(path)
    assert result.shape == (2, 32_000)
    count = min(32_000, samples.shape[1])
    np.testing.assert_array_equal(result[:, :count], samples[:, :count])
    assert not result[:, count:].any()


def test_stills_are_held(tmp_path):
    inputs = {}
    for number, name in enumerate(("p1", "p2", "p10")):
        write_still(str(tmp_path / name), made.numbered(number + 1), "image/png")
        inputs[name] = tmp_path / name
    path = make(VIDEO, tmp_path, inputs, operation="stills", hold=3, fps=29.97, quality=0)
    assert numbers(path) == [1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert decode.inspect(str(path)).rate == Fraction(30000, 1001)


def test_stills_of_other_shapes_are_letterboxed(tmp_path):
    for name, size, colour in (("a", (65, 31), RED), ("b", (20, 20), (*GREEN, 255))):
        write_still(str(tmp_path / name), made.flat(*size, colour), "image/png")
    seen = frames(make(VIDEO, tmp_path, {"a": tmp_path / "a", "b": tmp_path / "b"}, operation="stills", quality=0))
    assert {pixels.shape for pixels in seen} == {(32, 66, 3)}
    assert made.near(seen[1][:, 23:43], GREEN)
    assert made.near(seen[1][:, :11], BLACK)


# ------------------------------------------------------------------------------------------- contact sheets

GAP = 8


def test_cells_stand_in_rows(tmp_path):
    colours = [RED, GREEN, BLUE, WHITE, (200, 100, 0)]
    inputs = {}
    for number, colour in enumerate(colours):
        write_still(str(tmp_path / f"c{number}"), made.flat(40, 20, colour), "image/png")
        inputs[f"s{number + 7}"] = tmp_path / f"c{number}"  # s7 … s11
    sheet = read_still(
        str(make(IMAGE, tmp_path, inputs, operation="contact_sheet", columns=2, cell_width=40, labels=False))
    )
    assert sheet.shape == (GAP + 3 * (20 + GAP), GAP + 2 * (40 + GAP), 3)
    for number, colour in enumerate(colours):
        x, y = GAP + number % 2 * 48, GAP + number // 2 * 28
        assert made.near(sheet[y : y + 20, x : x + 40], colour, 0)
    assert made.near(sheet[64:84, 56:96], (24, 24, 24), 0), "the last cell is empty"
    labelled = read_still(str(make(IMAGE, tmp_path, inputs, operation="contact_sheet", columns=2, cell_width=40)))
    assert labelled.shape[0] > sheet.shape[0]


def test_long_labels_stay_below_their_own_picture(tmp_path):
    for name in ("a", "b"):
        write_still(str(tmp_path / name), made.flat(40, 20, RED), "image/png")
    params = {"operation": "contact_sheet", "cell_width": 40}
    short, long = (
        read_still(str(make(IMAGE, tmp_path, {first: tmp_path / "a", "z": tmp_path / "b"}, **params)))
        for first in ("n", "n" * 60)
    )
    np.testing.assert_array_equal(short[:, GAP + 40 :], long[:, GAP + 40 :])
    assert (short != long).any()


@pytest.mark.parametrize("length", [5, 100, 1300])
def test_a_sheet_of_a_video_spreads_over_its_length(tmp_path, length):
    """Also where cells lie so far apart that they are looked up one by one."""
    video = made.numbered_video(tmp_path / "v", length, 24, quality=10)
    params = {"operation": "contact_sheet", "count": 5, "columns": 5, "cell_width": 96, "labels": False}
    sheet = read_still(str(make(IMAGE, tmp_path, {"source": video}, **params)))
    cells = [sheet[GAP : GAP + 16, GAP + place * 104 : GAP + place * 104 + 96] for place in range(5)]
    assert [made.number_of(cell) for cell in cells] == [(2 * place + 1) * length // 10 for place in range(5)]


def test_pictures_and_videos_share_a_sheet(tmp_path, plate, shot):
    sheet = read_still(
        str(make(IMAGE, tmp_path, {"a": plate, "b": shot}, operation="contact_sheet", cell_width=64, labels=False))
    )
    assert shows(sheet[GAP : GAP + 48, GAP : GAP + 64], "quarters")
    assert shows(sheet[GAP : GAP + 48, 80 : 80 + 64], "quarters")


# ------------------------------------------------------------------------------------------- sound


@pytest.fixture
def noise(tmp_path):
    return made.sound_file(tmp_path / "noise", made.levels(16_000, 2), 8000)


@pytest.mark.parametrize("media_type", ["audio/wav", "audio/flac"])
def test_sound_passes_unchanged(tmp_path, noise, media_type):
    np.testing.assert_array_equal(
        heard(make(AUDIO, tmp_path, {"source": noise}, media_type=media_type)), made.levels(16_000, 2)
    )


def test_cuts_of_sound(tmp_path, noise):
    cut = heard(make(AUDIO, tmp_path, {"source": noise}, start=0.25, duration=1.5))
    np.testing.assert_array_equal(cut, made.levels(16_000, 2)[:, 2000:14_000])


def test_a_videos_sound_is_extracted(tmp_path, clip):
    path = make(AUDIO, tmp_path, {"source": clip}, operation="extract", start=1, duration=2)
    np.testing.assert_array_equal(heard(path), made.ramp(48_000, 144_000))


def test_gain_and_fades(tmp_path):
    flat = np.full((1, 8000), 0.25, np.float32)
    source = made.sound_file(tmp_path / "x", flat, 8000, 24)
    out = heard(make(AUDIO, tmp_path, {"source": source}, gain=6, fade_in=0.25, fade_out=0.5))[0]
    level = 0.25 * 10 ** (6 / 20)
    assert out.shape == (8000,)
    np.testing.assert_allclose(out[2000:4000], level, atol=1e-6)
    np.testing.assert_allclose(out[:2000], level * np.arange(2000) / 2000, atol=1e-6)
    np.testing.assert_allclose(out[4000:], level * np.arange(3999, -1, -1) / 4000, atol=1e-6)
    loud = heard(make(AUDIO, tmp_path, {"source": source}, gain=48))
    assert loud.max() == 1 - 2**-23, "clipped and not wrapped"


def test_sounds_are_mixed_and_joined_in_order(tmp_path):
    parts = [made.levels(count, 1, seed=count) / np.float32(4) for count in (8000, 3000, 5000)]
    parts = [np.rint(part * 32768) / np.float32(32768) for part in parts]
    inputs = {
        name: made.sound_file(tmp_path / name, part.astype(np.float32), 8000)
        for name, part in zip(("s1", "s2", "s10"), parts)
    }
    joined = heard(make(AUDIO, tmp_path, dict(reversed(inputs.items())), operation="concatenate"))
    np.testing.assert_array_equal(joined, np.concatenate(parts, axis=1))
    total = np.zeros((1, 8000), np.float32)
    for part in parts:
        total[:, : part.shape[1]] += part
    np.testing.assert_array_equal(heard(make(AUDIO, tmp_path, inputs, operation="mix")), total)


def test_joined_sounds_take_the_form_of_the_first(tmp_path):
    first = made.sound_file(tmp_path / "a", made.levels(4410, 2, 24), 44_100, 24)
    second = made.sound_file(tmp_path / "b", made.levels(8000, 1), 8000)
    path = make(AUDIO, tmp_path, {"a": first, "b": second}, operation="concatenate")
    info = decode.inspect(str(path))
    assert (info.sample_rate, info.channels, info.bits) == (44_100, 2, 24)
    sound = heard(path)
    assert sound.shape == (2, 4410 + 44_100)
    np.testing.assert_array_equal(sound[:, :4410], made.levels(4410, 2, 24))
    np.testing.assert_array_equal(sound[0, 4410:], sound[1, 4410:])


def test_channels_rate_and_bits_are_changed(tmp_path):
    def tones(rate):
        at = np.arange(2 * rate) / rate
        return np.stack([np.sin(2 * np.pi * 440 * at), np.sin(2 * np.pi * 300 * at)]).astype(np.float32) / 2

    source = made.sound_file(tmp_path / "x", tones(8000), 8000, 24)
    path = make(AUDIO, tmp_path, {"source": source}, channels=1, sample_rate=16_000, bits=24)
    info = decode.inspect(str(path))
    assert (info.sample_rate, info.channels, info.bits) == (16_000, 1, 24)
    assert heard(path).shape == (1, 32_000)
    np.testing.assert_allclose(heard(path)[0, 400:-400], tones(16_000).mean(axis=0)[400:-400], atol=2e-3)
