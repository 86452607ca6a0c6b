"""Differences that encode the corrected content again, with settings found by trying: lossless WebP and FLAC.

They need the same version of the same encoder and say so (``*_here``), so that another version is never tried.
"""

from __future__ import annotations

import io
import struct
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import av
import numpy as np
from PIL import Image, features

from regenstore.media.correction.packing import joined, packed, sparse, split, unpacked, with_sparse

_MOST_SAMPLES = 128 << 20


def zlib_here() -> str:
    """The zlib version of this interpreter."""
    return f"zlib {zlib.ZLIB_RUNTIME_VERSION}"


# ------------------------------------------------------------------------------------------- WebP


def webp_here() -> str:
    """The libwebp version that Pillow uses here."""
    return f"libwebp {features.version('webp')}"


def _webp(data: bytes) -> tuple[bytes, bytes, Any]:
    """Split a lossless still into everything but the coded picture, the coded picture, and its pixels."""
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP":
        raise ValueError("it is not a WebP")
    at = 12
    while at + 8 <= len(data):
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        if data[at : at + 4] == b"VP8L" and at + 8 + size <= len(data):
            break
        at += 8 + size + size % 2
    else:
        raise ValueError("it is not lossless")
    start, end = at + 8, at + 8 + size
    try:
        with Image.open(io.BytesIO(data), formats=("WEBP",)) as picture:
            pixels = np.asarray(picture)
    except (OSError, SyntaxError, Image.DecompressionBombError, Warning) as error:
        raise ValueError(f"it cannot be read ({error})") from None
    return struct.pack("<I", start) + data[:start] + data[end:], data[start:end], pixels


def _encoded_webp(pixels: Any, quality: int, method: int, exact: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "WEBP", lossless=True, quality=quality, method=method, exact=bool(exact))
    return _webp(file.getvalue())[1]


def webp_difference(base: bytes, take: bytes, limit: int, deadline: float) -> bytes | None:
    """The difference in pixels, with the encoder's settings; None if there is none that fits."""
    (ours, _, before), (theirs, stream, after) = _webp(base), _webp(take)
    if before.shape != after.shape:
        return None
    content = sparse(before.ravel(), after.ravel(), limit)
    if content is None:
        return None
    for quality, method in ((80, 4), (100, 4), (75, 4), (100, 6), (80, 6), (90, 4), (90, 6), (50, 4), (0, 0), (80, 0)):
        for exact in (0, 1) if after.shape[2] == 4 else (0,):
            if time.monotonic() < deadline and _encoded_webp(after, quality, method, exact) == stream:
                return joined([packed(theirs, ours), content, bytes([quality, method, exact])])
    return None


def webp_with(base: bytes, data: bytes, size: int) -> bytes:
    """Apply a :func:`webp_difference`."""
    around, content, settings = split(data, 3)
    ours, _, before = _webp(base)
    pixels = with_sparse(before.ravel(), content).reshape(before.shape)
    return _inserted(unpacked(around, size + 16, ours), _encoded_webp(pixels, *settings))


def _inserted(around: bytes, stream: bytes) -> bytes:
    """Insert a stream into the bytes around it, which begin with its position (32 bits)."""
    at = 4 + int(struct.unpack_from("<I", around)[0])
    return around[4:at] + stream + around[at:]


# ------------------------------------------------------------------------------------------- FLAC


def flac_here() -> str:
    """The version of FFmpeg's libavcodec that PyAV uses here."""
    return "libavcodec " + ".".join(map(str, av.library_versions["libavcodec"]))


def _flac(data: bytes) -> tuple[bytes, bytes]:
    """Split a FLAC file into its metadata and its frames."""
    if data[:4] != b"fLaC":
        raise ValueError("it is not a FLAC file")
    at, last = 4, False
    while not last:
        if at + 4 > len(data):
            raise ValueError("its metadata is cut off")
        last = bool(data[at] & 0x80)
        at += 4 + int.from_bytes(data[at + 1 : at + 4], "big")
    return data[:at], data[at:]


@dataclass(frozen=True)
class _Form:
    """Sample format, channel layout and sample rate."""

    name: str
    layout: str
    rate: int


def _samples(data: bytes) -> tuple[Any, _Form]:
    """All samples (1 x interleaved) and their form."""
    blocks, total = [], 0
    try:
        with av.open(io.BytesIO(data), "r", format="flac", metadata_errors="replace") as file:
            stream = file.streams.audio[0]
            for frame in file.decode(stream):
                block = frame.to_ndarray()
                total += block.size
                if total > _MOST_SAMPLES or frame.format.name not in ("s16", "s32"):
                    raise ValueError("it is too long, or of an unusual format")
                blocks.append(block)
            if not blocks:
                raise ValueError("it has no samples")
            return np.concatenate(blocks, axis=1), _Form(frame.format.name, frame.layout.name, frame.sample_rate)
    except (av.FFmpegError, IndexError) as error:
        raise ValueError(f"it cannot be decoded ({error})") from None


def _encoded_flac(samples: Any, form: _Form, level: int, bits: int) -> Iterator[bytes]:
    """Encode samples as FLAC, frame by frame."""
    context: Any = av.CodecContext.create("flac", "w")
    context.sample_rate, context.layout, context.format, context.thread_count = form.rate, form.layout, form.name, 1
    context.options = {"compression_level": str(level), "bits_per_raw_sample": str(bits)}
    context.open()
    channels = av.AudioLayout(form.layout).nb_channels
    step = context.frame_size * channels
    for at in range(0, samples.shape[1], step):
        block = np.ascontiguousarray(samples[:, at : at + step])
        frame = av.AudioFrame.from_ndarray(block, format=form.name, layout=form.layout)
        frame.sample_rate, frame.pts = form.rate, at // channels
        yield from map(bytes, context.encode(frame))
    yield from map(bytes, context.encode(None))


def _flac_level(frames: bytes, samples: Any, form: _Form, bits: int) -> int | None:
    """The compression level at which the encoder here reproduces these frames."""
    for level in (5, 8, 12, 0, 1, 2, 3, 4, 6, 7, 9, 10, 11):
        at = 0
        for frame in _encoded_flac(samples, form, level, bits):
            if not frames.startswith(frame, at):
                break
            at += len(frame)
        else:
            if at == len(frames):
                return level
    return None


def flac_difference(base: bytes, take: bytes, limit: int, deadline: float) -> bytes | None:
    """The difference in samples, with the encoder's level; None if there is none that fits."""
    (ours, _), (theirs, frames) = _flac(base), _flac(take)
    (before, form), (after, other) = _samples(base), _samples(take)
    if form != other or before.shape != after.shape:
        return None
    content = sparse(before.view(np.uint8).ravel(), after.view(np.uint8).ravel(), limit)
    bits = 16 if form.name == "s16" else 24
    level = None if content is None else _flac_level(frames, after, form, bits)
    return None if content is None or level is None else joined([packed(theirs, ours), content, bytes([level, bits])])


def flac_with(base: bytes, data: bytes, size: int) -> bytes:
    """Apply a :func:`flac_difference`."""
    around, content, settings = split(data, 3)
    before, form = _samples(base)
    changed = with_sparse(before.view(np.uint8).ravel(), content).view(before.dtype).reshape(before.shape)
    frames = b"".join(_encoded_flac(changed, form, *settings))
    return unpacked(around, size, _flac(base)[0]) + frames
