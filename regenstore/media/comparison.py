"""Compare two media by bytes, by decoded content, or by a metric.

Media that cannot be decoded here, or that differ in size, length or rate, count as different.

Metrics: PSNR in dB over 8-bit RGB (of a video: its worst frame). For stills SSIM as well, after Wang, Bovik, Sheikh and
Simoncelli, "Image quality assessment: from error visibility to structural similarity" (2004), with 8 x 8 windows and
equal weights. For audio, the signal-to-noise ratio in dB. The PSNR of equal content is infinite.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regenstore.media import decode, stills
from regenstore.media.likeness import BYTES, CONTENT, DIFFERENT, EQUIVALENT, Likeness
from regenstore.media.sound import rechunked
from regenstore.media.types import kind

LEAST_PSNR, LEAST_SSIM, LEAST_SNR = 45.0, 0.99, 60.0
_WINDOW = 8
_BLOCK = 1 << 15
Floats = NDArray[np.float64]


def compare(one: str, other: str, media_type: str) -> Likeness:
    """Compare two files of the same media type."""
    if _same_bytes(one, other):
        return Likeness(BYTES)
    comparer = {"image": _stills, "video": _videos, "audio": _sounds}.get(kind(media_type))
    if comparer is None:
        return Likeness(DIFFERENT, difference=f"the bytes differ, and {media_type} cannot be decoded here")
    try:
        return comparer(one, other)
    except ValueError as error:
        return Likeness(DIFFERENT, difference=f"the bytes differ, and decoding failed: {error}")


def _same_bytes(one: str, other: str) -> bool:
    with open(one, "rb") as a, open(other, "rb") as b:
        while True:
            left, right = a.read(1 << 20), b.read(1 << 20)
            if left != right:
                return False
            if not left:
                return True


# ------------------------------------------------------------------------------------------- stills


def _stills(one: str, other: str) -> Likeness:
    a, b = stills.read_still(one, "the take"), stills.read_still(other, "the second run")
    if a.shape != b.shape:
        return Likeness(DIFFERENT, difference=f"sizes differ: {_shape(a)} and {_shape(b)}")
    if np.array_equal(a, b):
        return Likeness(CONTENT, difference="the pixels are equal; only other parts of the files differ")
    words = _changed(a, b)
    score, similar = psnr(a, b), ssim(a, b)
    if similar < LEAST_SSIM:
        return Likeness(DIFFERENT, "SSIM", round(similar, 5), LEAST_SSIM, words)
    return _graded("PSNR", score, LEAST_PSNR, words)


def _shape(pixels: NDArray[Any]) -> str:
    return f"{pixels.shape[1]}x{pixels.shape[0]}" + (" with alpha" if pixels.shape[2] == 4 else "")


def _changed(a: NDArray[Any], b: NDArray[Any]) -> str:
    off = np.abs(a.astype(np.int16) - b.astype(np.int16))
    return f"{np.count_nonzero(off)} of {off.size} values differ, by at most {off.max()}"


def _graded(metric: str, score: float, threshold: float, words: str) -> Likeness:
    return Likeness(EQUIVALENT if score >= threshold else DIFFERENT, metric, round(score, 2), threshold, words)


def psnr(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Peak signal-to-noise ratio of 8-bit values, in dB; infinite when they are equal."""
    error = float(np.mean((a.astype(np.float32) - b.astype(np.float32)) ** 2, dtype=np.float64))
    return math.inf if error == 0 else 10 * math.log10(255**2 / error)


def ssim(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Mean structural similarity of luma, -1 to 1. A picture smaller than the window counts as one window."""
    x, y = _luma(a), _luma(b)
    size = min(_WINDOW, *x.shape)
    mean_x, mean_y = _windows(x, size), _windows(y, size)
    var_x, var_y = _windows(x * x, size) - mean_x**2, _windows(y * y, size) - mean_y**2
    both = _windows(x * y, size) - mean_x * mean_y
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    top = (2 * mean_x * mean_y + c1) * (2 * both + c2)
    return float(np.mean(top / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2))))


def _luma(pixels: NDArray[Any]) -> Floats:
    """Luma with BT.709 weights."""
    return pixels[..., 0] * 0.2126 + pixels[..., 1] * 0.7152 + pixels[..., 2] * 0.0722


def _windows(values: Floats, size: int) -> Floats:
    """The mean of every size x size window, computed from a summed-area table."""
    total = np.zeros((values.shape[0] + 1, values.shape[1] + 1))
    np.cumsum(np.cumsum(values, axis=0), axis=1, out=total[1:, 1:])
    inside = total[size:, size:] - total[:-size, size:] - total[size:, :-size] + total[:-size, :-size]
    return np.asarray(inside / (size * size))


# ------------------------------------------------------------------------------------------- video and sound


def _videos(one: str, other: str) -> Likeness:
    a, b = decode.inspect(one, "the take"), decode.inspect(other, "the second run")
    if (a.width, a.height, a.rate, a.has_audio) != (b.width, b.height, b.rate, b.has_audio):
        return Likeness(DIFFERENT, difference="sizes, frame rates or tracks differ")
    worst, changed, total = math.inf, 0, 0
    pairs = itertools.zip_longest(decode.frames(one, what="the take"), decode.frames(other, what="the second run"))
    for left, right in pairs:
        if left is None or right is None:
            return Likeness(DIFFERENT, difference=f"the frame counts differ: one video ends after {total}")
        total += 1
        score = psnr(decode.to_rgb(left[1]), decode.to_rgb(right[1]))
        changed += score < math.inf
        worst = min(worst, score)
    heard = _sounds(one, other) if a.has_audio else Likeness(CONTENT)
    if not changed:
        return heard if heard.tier != CONTENT else Likeness(CONTENT, difference="all frames are equal")
    words = f"{changed} of {total} frames differ; the worst has {worst:.1f} dB"
    if heard.tier == DIFFERENT:
        return heard
    return _graded("PSNR", worst, LEAST_PSNR, words)


def _sounds(one: str, other: str) -> Likeness:
    a, b = decode.inspect(one, "the take"), decode.inspect(other, "the second run")
    if (a.sample_rate, a.channels) != (b.sample_rate, b.channels) or not a.has_audio:
        return Likeness(DIFFERENT, difference="sample rates or channels differ")
    signal = noise = 0.0
    for left, right in itertools.zip_longest(_blocks(one), _blocks(other)):
        if left is None or right is None or left.shape != right.shape:
            return Likeness(DIFFERENT, difference="the durations differ")
        signal += float(np.sum(left.astype(np.float64) ** 2))
        noise += float(np.sum((left.astype(np.float64) - right) ** 2))
    if noise == 0:
        return Likeness(CONTENT, difference="all samples are equal; only other parts of the files differ")
    score = 10 * math.log10(signal / noise) if signal else -math.inf
    return _graded("SNR", score, LEAST_SNR, f"the difference is {score:.1f} dB below the signal")


def _blocks(path: str) -> Iterator[NDArray[Any]]:
    blocks: Iterable[NDArray[Any]] = decode.sound_blocks(path, what="a sound")
    return rechunked(blocks, _BLOCK)
