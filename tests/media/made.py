"""Tiny media with known content: videos that carry their frame numbers, pictures of flat colours, ramps of sound."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from regenstore.media.encode import MediaWriter, Samples, Sound
from regenstore.media.stills import Pixels

BITS = 12
CELL = 8
NUMBERED = (BITS * CELL, 16)
"""Size of a numbered picture: one cell per bit, white for 1."""


def numbered(number: int) -> Pixels:
    """A picture that shows a number in binary, most significant bit at the left."""
    bits = [(number >> (BITS - 1 - place)) & 1 for place in range(BITS)]
    row = np.repeat(np.array(bits, np.uint8) * 219 + 16, CELL)
    return np.repeat(np.broadcast_to(row, (NUMBERED[1], row.size))[..., None], 3, axis=2).copy()


def number_of(pixels: Pixels) -> int:
    """The number that a picture shows, however it was scaled."""
    height, width = pixels.shape[:2]
    row = pixels[height // 2, :, 1].astype(int)
    places = [int((place + 0.5) * width / BITS) for place in range(BITS)]
    return sum((row[x] > 128) << (BITS - 1 - place) for place, x in enumerate(places))


def numbered_video(
    path: Path,
    count: int,
    rate: Fraction | int = 24,
    media_type: str = "video/mp4",
    *,
    first: int = 0,
    quality: int = 0,
) -> Path:
    with MediaWriter(str(path), media_type, size=NUMBERED, rate=Fraction(rate), quality=quality) as writer:
        for number in range(first, first + count):
            writer.picture(numbered(number))
    return path


def flat(width: int, height: int, colour: tuple[int, ...]) -> Pixels:
    return np.full((height, width, len(colour)), colour, np.uint8)


def flat_video(path: Path, size: tuple[int, int], colour: tuple[int, ...], count: int = 4, rate: int = 24) -> Path:
    with MediaWriter(str(path), "video/mp4", size=size, rate=Fraction(rate), quality=0) as writer:
        for _ in range(count):
            writer.picture(flat(*size, colour))
    return path


def levels(count: int, channels: int = 1, bits: int = 16, seed: int = 1) -> Samples:
    """Random samples that lie exactly on the levels of so many bits."""
    top = 2 ** (bits - 1)
    whole = np.random.default_rng(seed).integers(-top, top, (channels, count))
    return (whole / top).astype(np.float32)


def sound_file(path: Path, samples: Samples, rate: int = 8000, bits: int = 16, media_type: str = "audio/wav") -> Path:
    with MediaWriter(str(path), media_type, sound=Sound(rate, samples.shape[0], bits)) as writer:
        writer.samples(samples)
    return path


def uneven_video(path: Path, times: Iterable[int]) -> Path:
    """Numbered pictures at times in 24ths of a second that need not follow one another."""
    with av.open(str(path), "w", format="mp4") as file:
        stream = file.add_stream("libx264", rate=24, options={"crf": "0"})
        stream.width, stream.height = NUMBERED
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, 24)
        for number, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(numbered(number), format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 24)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


def near(pixels: Pixels, colour: tuple[int, ...], within: int = 4) -> bool:
    """Whether all of it has that colour, but for what 4:2:0 and rounding change."""
    away = np.abs(pixels[..., : len(colour)].astype(int) - np.array(colour))
    return pixels.size > 0 and int(away.max()) <= within


def quarters(width: int = 64, height: int = 48) -> Pixels:
    """Red, green, blue and white quarters."""
    pixels = flat(width, height, (255, 0, 0))
    pixels[: height // 2, width // 2 :] = (0, 255, 0)
    pixels[height // 2 :, : width // 2] = (0, 0, 255)
    pixels[height // 2 :, width // 2 :] = (255, 255, 255)
    return pixels


def still_video(path: Path, pixels: Pixels, count: int) -> Path:
    """One picture, shown for so many frames."""
    height, width = pixels.shape[:2]
    with MediaWriter(str(path), "video/mp4", size=(width, height), rate=Fraction(24), quality=0) as writer:
        for _ in range(count):
            writer.picture(pixels)
    return path


def ramp(first: int, end: int) -> Samples:
    """Sound whose sample n has the level n modulo 65536."""
    return (((np.arange(first, end) % 65536) - 32768) / 32768).astype(np.float32)[None]


def sounding_video(path: Path, count: int) -> Path:
    """Numbered pictures at 24 frames per second over a ramp at 48 kHz: 2000 samples a frame."""
    with MediaWriter(
        str(path), "video/mp4", size=NUMBERED, rate=Fraction(24), quality=0, sound=Sound(48_000, 1)
    ) as writer:
        for number in range(count):
            writer.picture(numbered(number))
        writer.samples(ramp(0, count * 2000))
    return path
