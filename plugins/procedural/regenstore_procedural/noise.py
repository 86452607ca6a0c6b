"""Fractal noise on regular grids of any size. The value at a point does not depend on the grid around it.

Noise is a random lattice sampled with Pillow's bicubic resampling (plain C in double precision, the same on every
processor of one architecture), in several octaves. Lattices repeat after ``PERIOD`` cells.
"""

from __future__ import annotations

import math

import numpy as np
from PIL import Image

from regenstore_procedural.randomness import Floats, stream

PERIOD = 256


class Box:
    """A rectangle of the plane, and the number of pixels to sample it with."""

    def __init__(self, left: float, top: float, right: float, bottom: float, width: int, height: int) -> None:
        self.left, self.top, self.right, self.bottom = left, top, right, bottom
        self.width, self.height = width, height


def resampled(tile: Floats, box: Box, sx: float, sy: float, dx: float = 0.0, dy: float = 0.0) -> Floats:
    """Sample a periodic tile in a box, with ``sx`` and ``sy`` tile cells per unit, offset by ``dx`` and ``dy``."""
    rows, columns = tile.shape
    left, right = box.left * sx + dx, box.right * sx + dx
    top, bottom = box.top * sy + dy, box.bottom * sy + dy
    # Bicubic needs a margin of two cells, and more where the tile is reduced.
    reach_x = 3 + math.ceil(2 * (right - left) / box.width)
    reach_y = 3 + math.ceil(2 * (bottom - top) / box.height)
    x0, x1 = math.floor(left) - reach_x, math.ceil(right) + reach_x
    y0, y1 = math.floor(top) - reach_y, math.ceil(bottom) + reach_y
    part = tile.take(np.arange(y0, y1) % rows, axis=0).take(np.arange(x0, x1) % columns, axis=1)
    seen = Image.fromarray(part).resize(
        (box.width, box.height),
        Image.Resampling.BICUBIC,
        box=(left - x0, top - y0, right - x0, bottom - y0),
    )
    return np.asarray(seen)


class Noise:
    """One family of fractal noise, from about -1 to 1."""

    def __init__(self, *names: object) -> None:
        random = stream("noise", *names)
        self.lattice: Floats = random.random((PERIOD, PERIOD), np.float32) * 2 - 1
        self.line: Floats = random.random(PERIOD, np.float32) * 2 - 1
        self._shift = random.random((16, 2)) * PERIOD
        self._tile: Floats | None = None

    def plane(
        self, box: Box, fx: float, fy: float, octaves: int = 5, gain: float = 0.5, dx: float = 0.0, dy: float = 0.0
    ) -> Floats:
        """Two-dimensional noise with ``fx`` and ``fy`` features per unit, offset by ``dx`` and ``dy`` units."""
        total = np.zeros((box.height, box.width), np.float32)
        # An octave finer than the pixels only costs time. Rounded, so that every band of a picture decides the same.
        limit = 0.7 * min(
            box.width / max(1e-9, (box.right - box.left)) / fx, box.height / max(1e-9, box.bottom - box.top) / fy
        )
        limit = round(limit, 6)
        amplitude, scale, whole = 1.0, 1.0, 0.0
        for octave in range(octaves):
            whole += amplitude
            if scale <= max(1.0, limit):
                ox, oy = self._shift[octave]
                seen = resampled(self.lattice, box, fx * scale, fy * scale, ox + dx * fx * scale, oy + dy * fy * scale)
                total += seen * np.float32(amplitude)
            amplitude *= gain
            scale *= 2.0
        total *= np.float32(1.6 / whole)
        return total

    def along(self, x: Floats, frequency: float, octaves: int = 5, gain: float = 0.5, ridged: bool = False) -> Floats:
        """One-dimensional noise along x. Ridged noise has sharp crests and ranges from 0 to 1."""
        total = np.zeros(x.shape, np.float64)
        amplitude, scale, whole = 1.0, frequency, 0.0
        for octave in range(octaves):
            place = x.astype(np.float64) * scale + self._shift[octave, 0]
            index = np.floor(place).astype(np.int64)
            part = place - index
            part = part * part * (3 - 2 * part)
            low = self.line.take(index % PERIOD)
            value = low + (self.line.take((index + 1) % PERIOD) - low) * part
            total += amplitude * ((1 - np.abs(value)) if ridged else value)
            whole += amplitude
            amplitude *= gain
            scale *= 2.03
        return (total / whole).astype(np.float32)

    def gathered(self, u: Floats, v: Floats) -> Floats:
        """Noise at arbitrary points that form no grid; one unit holds one period of 8 features."""
        if self._tile is None:
            self._tile = self._fractal_tile(512)
        size = self._tile.shape[0]
        flat = self._tile.ravel()
        x, y = u * np.float32(size), v * np.float32(size)
        fx, fy = np.floor(x), np.floor(y)
        x, y = x - fx, y - fy
        ix, iy = fx.astype(np.int32) & (size - 1), fy.astype(np.int32) & (size - 1)
        jx = (ix + 1) & (size - 1)
        above, below = iy * size, ((iy + 1) & (size - 1)) * size
        upper, lower = flat.take(above + ix), flat.take(below + ix)
        upper = upper + (flat.take(above + jx) - upper) * x
        lower = lower + (flat.take(below + jx) - lower) * x
        found: Floats = upper + (lower - upper) * y
        return found

    def _fractal_tile(self, size: int) -> Floats:
        """A seamless tile, as each octave's lattice is cut to a whole period."""
        box = Box(0, 0, 1, 1, size, size)
        total = np.zeros((size, size), np.float32)
        cells, amplitude = 8, 1.0
        while cells * 2 <= size and cells <= PERIOD:
            total += resampled(np.ascontiguousarray(self.lattice[:cells, :cells]), box, cells, cells) * np.float32(
                amplitude
            )
            cells, amplitude = cells * 2, amplitude * 0.55
        return total
