"""What is written is what was given, to the sample and to the codec's precision, and nothing else is in the file."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

from regenstore.media import decode
from regenstore.media.encode import AUDIO_TYPES, LAYOUTS, VIDEO_TYPES, MediaWriter, Sound, quantise
from regenstore.media.rates import exact_rate
from regenstore.media.stills import read_still, write_still
from tests.media import made

SOUNDS = (*AUDIO_TYPES, *VIDEO_TYPES)
COLOURS = [(255, 255, 255), (0, 0, 0), (255, 0, 0), (0, 255, 0), (0, 0, 255), (128, 128, 128), (200, 120, 40)]


def heard(path):
    return np.concatenate(list(decode.sound_blocks(str(path))), axis=1)


def with_sound(path, media_type, samples, rate, bits, cuts=()):
    """A file with that sound, handed over in pieces, and with a picture where the container is a video's."""
    video = media_type.startswith("video/")
    with MediaWriter(
        str(path),
        media_type,
        size=(16, 16) if video else None,
        rate=Fraction(24) if video else None,
        sound=Sound(rate, samples.shape[0], bits),
    ) as writer:
        if video:
            writer.picture(made.flat(16, 16, (9, 9, 9)))
        for piece in np.split(samples, cuts, axis=1):
            writer.samples(piece)
    return path


# ------------------------------------------------------------------------------------------- sound


@pytest.mark.parametrize("media_type", SOUNDS)
@pytest.mark.parametrize("bits", [16, 24])
def test_samples_survive_unchanged(tmp_path, media_type, bits):
    samples = made.levels(10_007, 2, bits)
    path = with_sound(tmp_path / "x", media_type, samples, 48_000, bits)
    np.testing.assert_array_equal(heard(path), samples)
    info = decode.inspect(str(path))
    assert (info.sample_rate, info.channels, info.bits) == (48_000, 2, bits)


@pytest.mark.parametrize("media_type", AUDIO_TYPES)
@pytest.mark.parametrize("channels", sorted(LAYOUTS))
def test_every_number_of_channels(tmp_path, media_type, channels):
    samples = made.levels(5000, channels)
    np.testing.assert_array_equal(heard(made.sound_file(tmp_path / "x", samples, media_type=media_type)), samples)


@pytest.mark.parametrize("media_type", SOUNDS)
def test_how_samples_are_handed_over_does_not_count(tmp_path, media_type):
    samples = made.levels(20_011, 2)
    whole = with_sound(tmp_path / "whole", media_type, samples, 44_100, 16)
    pieces = with_sound(tmp_path / "pieces", media_type, samples, 44_100, 16, (0, 1, 2, 4095, 4097, 4097, 19_999))
    assert whole.read_bytes() == pieces.read_bytes()


@pytest.mark.parametrize("media_type", AUDIO_TYPES)
@pytest.mark.parametrize("count", [1, 15, 4096, 4097])
def test_short_sounds(tmp_path, media_type, count):
    samples = made.levels(count)
    np.testing.assert_array_equal(heard(made.sound_file(tmp_path / "x", samples, media_type=media_type)), samples)


def test_levels_are_rounded_and_clipped():
    given = np.array([[-2, -1, -0.5, 0, 1 / 65536 * 1.2, 0.25, 1, 2]], np.float32)
    assert quantise(given, 16).tolist() == [[-32768, -32768, -16384, 0, 1, 8192, 32767, 32767]]
    assert quantise(given, 24)[0, -1] == 2**23 - 1


# ------------------------------------------------------------------------------------------- video


@pytest.mark.parametrize("media_type", VIDEO_TYPES)
def test_colours_survive(tmp_path, media_type):
    path = tmp_path / "x"
    with MediaWriter(str(path), media_type, size=(34, 18), rate=Fraction(25), quality=0) as writer:
        for colour in COLOURS:
            writer.picture(made.flat(34, 18, colour))
    seen = [decode.to_rgb(frame) for _, frame in decode.frames(str(path))]
    assert len(seen) == len(COLOURS)
    for pixels, colour in zip(seen, COLOURS):
        assert pixels.shape == (18, 34, 3)
        assert made.near(pixels, colour, 3), (colour, pixels[0, 0])


def test_colours_are_declared(tmp_path):
    made.flat_video(tmp_path / "x", (16, 16), (1, 2, 3))
    with av.open(str(tmp_path / "x")) as file:
        context = file.streams.video[0].codec_context
        assert (context.colorspace, context.color_primaries, context.color_trc, context.color_range) == (1, 1, 1, 1)
        assert context.pix_fmt == "yuv420p"


@pytest.mark.parametrize("media_type", VIDEO_TYPES)
@pytest.mark.parametrize("fps", [1, 12.5, 23.976, 24, 25, 29.97, 47.952, 59.94, 119.88, 240])
def test_rate_and_count_are_exact(tmp_path, media_type, fps):
    for count in (1, 2, 31):
        made.numbered_video(tmp_path / "x", count, exact_rate(fps), media_type, quality=30)
        assert decode.inspect(str(tmp_path / "x")).rate == exact_rate(fps)
        assert decode.frame_count(str(tmp_path / "x")) == count
        seen = [(number, made.number_of(decode.to_rgb(frame))) for number, frame in decode.frames(str(tmp_path / "x"))]
        assert seen == [(number, number) for number in range(count)]


@pytest.mark.parametrize("media_type", VIDEO_TYPES)
def test_no_version_and_no_time_is_written(tmp_path, media_type):
    path = with_sound(tmp_path / "x", media_type, made.levels(999), 48_000, 16)
    data = path.read_bytes()
    for name, version in av.library_versions.items():
        assert ".".join(map(str, version)).encode() not in data, name
    with av.open(str(path)) as file:
        tags = {**file.metadata, **file.streams.video[0].metadata, **file.streams.audio[0].metadata}
        assert "creation_time" not in tags


def test_lower_quality_is_smaller(tmp_path):
    sizes = []
    for quality in (0, 18, 35, 51):
        with MediaWriter(str(tmp_path / "x"), "video/mp4", size=(64, 64), rate=Fraction(24), quality=quality) as writer:
            for seed in range(6):
                writer.picture(np.random.default_rng(seed).integers(0, 256, (64, 64, 3), np.uint8))
        sizes.append((tmp_path / "x").stat().st_size)
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > 4 * sizes[-1]


# ------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("media_type", "more", "words"),
    [
        ("video/webm", {"size": (16, 16), "rate": Fraction(24)}, "video/webm"),
        ("audio/wav", {"size": (16, 16), "rate": Fraction(24)}, "audio/wav"),
        ("video/mp4", {"size": (15, 16), "rate": Fraction(24)}, "15x16"),
        ("audio/wav", {"sound": Sound(8000, 9)}, "9 audio channels"),
    ],
)
def test_what_cannot_be_written_is_said_and_leaves_nothing(tmp_path, media_type, more, words):
    with pytest.raises(ValueError, match=words):
        MediaWriter(str(tmp_path / "x"), media_type, **more)
    assert list(tmp_path.iterdir()) == []


def test_an_exception_leaves_no_file(tmp_path):
    with (
        pytest.raises(KeyboardInterrupt),
        MediaWriter(str(tmp_path / "x"), "video/mp4", size=(16, 16), rate=Fraction(24)) as writer,
    ):
        for _ in range(60):
            writer.picture(made.flat(16, 16, (1, 2, 3)))
        assert (tmp_path / "x").exists()
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


# ------------------------------------------------------------------------------------------- stills


@pytest.mark.parametrize(
    ("media_type", "within"), [("image/png", 0), ("image/tiff", 0), ("image/jpeg", 3), ("image/webp", 6)]
)
def test_stills_survive(tmp_path, media_type, within):
    for colour in COLOURS:
        write_still(str(tmp_path / "x"), made.flat(33, 17, colour), media_type)
        pixels = read_still(str(tmp_path / "x"))
        assert pixels.shape == (17, 33, 3)
        assert made.near(pixels, colour, within), (colour, pixels[0, 0])


@pytest.mark.parametrize("media_type", ["image/png", "image/tiff", "image/webp"])
def test_transparency_survives(tmp_path, media_type):
    write_still(str(tmp_path / "x"), made.flat(20, 10, (250, 0, 0, 128)), media_type)
    pixels = read_still(str(tmp_path / "x"))
    assert pixels.shape == (10, 20, 4)
    assert (pixels[..., 3] == 128).all()


def test_jpeg_puts_transparency_on_black(tmp_path):
    write_still(str(tmp_path / "x"), made.flat(20, 10, (200, 100, 0, 128)), "image/jpeg")
    assert made.near(read_still(str(tmp_path / "x")), (100, 50, 0))


@pytest.mark.parametrize(("media_type", "side"), [("image/webp", 16384), ("image/jpeg", 65501)])
def test_stills_beyond_their_format_are_refused(tmp_path, media_type, side):
    with pytest.raises(ValueError, match="pixels a side"):
        write_still(str(tmp_path / "x"), made.flat(side, 1, (1, 2, 3)), media_type)
    write_still(str(tmp_path / "y"), made.flat(side - 1, 1, (1, 2, 3)), media_type)
    assert [path.name for path in tmp_path.iterdir()] == ["y"]


def test_stills_hold_nothing_but_pixels(tmp_path):
    for media_type in ("image/png", "image/jpeg", "image/webp"):
        write_still(str(tmp_path / "x"), made.flat(20, 10, (1, 2, 3)), media_type)
        with Image.open(tmp_path / "x") as picture:
            assert not {"exif", "icc_profile", "Software", "date:create"} & picture.info.keys()


def test_an_unknown_still_type_is_refused(tmp_path):
    with pytest.raises(ValueError, match="image/gif"):
        write_still(str(tmp_path / "x"), made.flat(2, 2, (1, 2, 3)), "image/gif")
