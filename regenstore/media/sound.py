"""Audio in blocks: channel mixing, resampling, gain and fades in plain numpy arithmetic.

FFmpeg's resampler is not used because its float code rounds differently from one processor to the next. The arithmetic
here is additions and multiplications in a fixed order, so it is the same everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import numpy as np

from regenstore.media.encode import Samples

TAPS = 32
"""Samples on each side of a point that resampling takes into account."""


def remix(blocks: Iterable[Samples], channels: int) -> Iterator[Samples]:
    """Convert to ``channels`` channels: mono is duplicated, more are folded down, added ones are silent."""
    for block in blocks:
        yield _remixed(block, channels)


def _remixed(block: Samples, channels: int) -> Samples:
    have = block.shape[0]
    if have == channels:
        return block
    if have == 1:
        return np.repeat(block, channels, axis=0)
    if channels == 1:
        total = block[0].copy()
        for other in block[1:]:
            total += other
        mono: Samples = (total / np.float32(have))[None]
        return mono
    if channels == 2 and have >= 5:
        # The usual surround fold-down: front, with centre and back at -3 dB, scaled so that it cannot clip.
        half = np.float32(math.sqrt(0.5))
        back = have - 2
        left = block[0] + half * block[2] + half * block[back]
        right = block[1] + half * block[2] + half * block[back + 1]
        folded: Samples = (np.stack((left, right)) / np.float32(1 + 2 * math.sqrt(0.5))).astype(np.float32)
        return folded
    if channels < have:
        return block[:channels]
    return np.concatenate((block, np.zeros((channels - have, block.shape[1]), np.float32)))


def resample(blocks: Iterable[Samples], have: int, want: int) -> Iterator[Samples]:
    """Resample with a windowed sinc. Output sample n lies exactly at n * have / want."""
    if have == want:
        yield from blocks
        return
    common = math.gcd(have, want)
    up, down = want // common, have // common
    table = _sinc_table(up, min(1.0, want / have))
    reach = table.shape[1] // 2
    kept: Samples | None = None
    start, made, total = -reach, 0, 0
    for block in blocks:
        if kept is None:
            kept = np.zeros((block.shape[0], reach), np.float32)
        kept = np.concatenate((kept, block), axis=1)
        total += block.shape[1]
        ready = max(made, ((start + kept.shape[1] - reach) * up) // down)
        if ready > made:
            yield _interpolated(kept, start, made, ready, up, down, table)
            made = ready
            gone = max(0, (made * down) // up - reach - start)
            kept, start = kept[:, gone:], start + gone
    if kept is None:
        return
    kept = np.concatenate((kept, np.zeros((kept.shape[0], 2 * reach + 1), np.float32)), axis=1)
    end = -((-total * up) // down)
    if end > made:
        yield _interpolated(kept, start, made, end, up, down, table)


def _sinc_table(up: int, cutoff: float) -> Samples:
    """Filter weights by phase, in ``up`` rows. A lower cutoff (downsampling) makes the filter longer."""
    reach = math.ceil(TAPS / cutoff)
    table = np.zeros((up, 2 * reach), np.float32)
    for phase in range(up):
        weights = []
        for tap in range(2 * reach):
            distance = tap - (reach - 1) - phase / up
            x = distance * cutoff * 0.97
            sinc = 1.0 if x == 0 else math.sin(math.pi * x) / (math.pi * x)
            window = 0.5 + 0.5 * math.cos(math.pi * min(1.0, abs(distance) / reach))
            weights.append(sinc * window)
        whole = math.fsum(weights)
        table[phase] = [weight / whole for weight in weights]
    return table


def _interpolated(kept: Samples, start: int, first: int, end: int, up: int, down: int, table: Samples) -> Samples:
    positions = np.arange(first, end, dtype=np.int64) * down
    phase = positions % up
    reach = table.shape[1] // 2
    index = positions // up - start - (reach - 1)
    out = np.zeros((kept.shape[0], end - first), np.float32)
    weights = table[phase]
    for tap in range(table.shape[1]):
        column = weights[:, tap]
        for channel in range(kept.shape[0]):
            out[channel] += kept[channel].take(index + tap) * column
    return out


def shaped(
    blocks: Iterable[Samples], *, rate: int, gain: float, fade_in: float, fade_out: float, total: int | None
) -> Iterator[Samples]:
    """Apply gain in dB and linear fades in seconds; a fade-out needs the ``total`` number of samples."""
    factor = np.float32(10 ** (gain / 20))
    rise, fall = round(fade_in * rate), round(fade_out * rate)
    place = 0
    for block in blocks:
        out = block * factor if gain else block
        at = np.arange(place, place + block.shape[1])
        if rise and place < rise:
            out = out * np.clip(at / rise, 0, 1).astype(np.float32)
        if fall and total is not None and place + block.shape[1] > total - fall:
            out = out * np.clip((total - 1 - at) / fall, 0, 1).astype(np.float32)
        place += block.shape[1]
        yield out


def rechunked(blocks: Iterable[Samples], size: int) -> Iterator[Samples]:
    """Regroup samples in blocks of exactly ``size``; the last may be shorter."""
    held: list[Samples] = []
    count = 0
    for block in blocks:
        held.append(block)
        count += block.shape[1]
        if count < size:
            continue
        joined = np.concatenate(held, axis=1)
        for at in range(0, count - size + 1, size):
            yield joined[:, at : at + size]
        held = [joined[:, count - count % size :]]
        count %= size
    if count:
        yield np.concatenate(held, axis=1)


def mixed(sources: list[Iterator[Samples]], channels: int, size: int) -> Iterator[Samples]:
    """Sum all sources; the result is as long as the longest."""
    chunks = [rechunked(source, size) for source in sources]
    while chunks:
        total = np.zeros((channels, 0), np.float32)
        still = []
        for chunk in chunks:
            block = next(chunk, None)
            if block is None:
                continue
            still.append(chunk)
            longest = max(total.shape[1], block.shape[1])
            summed = np.zeros((channels, longest), np.float32)
            summed[:, : total.shape[1]] = total
            summed[:, : block.shape[1]] += block
            total = summed
        chunks = still
        if total.shape[1]:
            yield total
