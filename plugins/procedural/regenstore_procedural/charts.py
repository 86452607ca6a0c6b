"""Test charts: colour bars with a ramp, and a framing grid. Exact levels, no weather, no grain."""

from __future__ import annotations

import numpy as np

from regenstore_procedural.canvas import Canvas, View
from regenstore_procedural.mood import Mood
from regenstore_procedural.randomness import Floats

BARS = (
    (0.75, 0.75, 0.75),
    (0.75, 0.75, 0.0),
    (0.0, 0.75, 0.75),
    (0.0, 0.75, 0.0),
    (0.75, 0.0, 0.75),
    (0.75, 0.0, 0.0),
    (0.0, 0.0, 0.75),
)
"""75 % colour bars in their standard order (SMPTE EG 1), as fractions of 8-bit RGB."""


class Bars:
    """Seven bars, a grey ramp, and black and white steps below."""

    def __init__(self, mood: Mood, names: tuple[object, ...], aspect: float) -> None:
        self.aspect = aspect

    def draw(self, canvas: Canvas, view: View) -> None:
        column = (np.arange(view.width) * len(BARS)) // view.width
        table = np.array(BARS, np.float32)
        ramp = np.arange(view.width, dtype=np.float32) / np.float32(max(1, view.width - 1))
        steps = np.floor(ramp * 10.999) / np.float32(10)
        for row in range(view.rows):
            place = (view.first + row) / view.height
            for channel, plane in enumerate(canvas.planes):
                plane[row] = table[column, channel] if place < 0.7 else ramp if place < 0.85 else steps


class Grid:
    """Squares of a sixteenth of the height, centre cross, safe areas and circles."""

    def __init__(self, mood: Mood, names: tuple[object, ...], aspect: float) -> None:
        self.mood = mood

    def draw(self, canvas: Canvas, view: View) -> None:
        x, y = view.axes(1.0)
        pixel = np.float32(view.pixel(1.0))
        canvas.planes[...] = np.float32(0.16)
        lines = np.maximum(_lines(x, 1 / 16, pixel)[None], _lines(y - np.float32(0.5), 1 / 16, pixel)[:, None])
        canvas.mix((0.42, 0.44, 0.46), lines)
        radius = np.sqrt((x * x)[None] + ((y - np.float32(0.5)) ** 2)[:, None])
        for size in (0.125, 0.25, 0.45):
            ring = np.clip(np.float32(1.2) - np.abs(radius - np.float32(size)) / pixel, 0, 1)
            canvas.mix((0.95, 0.75, 0.25), ring.astype(np.float32))
        cross = np.maximum(_near(x, 0, pixel)[None], _near(y, 0.5, pixel)[:, None])
        canvas.mix((0.9, 0.3, 0.25), cross)
        half = view.width / view.height / 2
        for share in (0.9, 0.93):
            self._frame(canvas, x, y, half * share, 0.5 * share, pixel)

    @staticmethod
    def _frame(canvas: Canvas, x: Floats, y: Floats, half_x: float, half_y: float, pixel: np.float32) -> None:
        inside_x = (np.abs(x) <= half_x + pixel)[None]
        inside_y = (np.abs(y - np.float32(0.5)) <= half_y + pixel)[:, None]
        upright = np.maximum(_near(x, -half_x, pixel), _near(x, half_x, pixel))[None] * inside_y
        level = np.maximum(_near(y, 0.5 - half_y, pixel), _near(y, 0.5 + half_y, pixel))[:, None] * inside_x
        canvas.mix((0.85, 0.88, 0.9), np.maximum(upright, level))


def _near(at: Floats, place: float, pixel: np.float32) -> Floats:
    line: Floats = np.clip(np.float32(1.1) - np.abs(at - np.float32(place)) / pixel, 0, 1)
    return line


def _lines(at: Floats, step: float, pixel: np.float32) -> Floats:
    away = np.abs(at / np.float32(step) - np.rint(at / np.float32(step))) * np.float32(step)
    lines: Floats = np.clip(np.float32(0.9) - away / pixel, 0, 1)
    return lines
