"""Rain, snow and embers in the air, each particle at its own depth."""

from __future__ import annotations

import numpy as np

from regenstore_procedural.canvas import Canvas, View
from regenstore_procedural.mood import Mood
from regenstore_procedural.randomness import sine, stream


class Weather:
    """The falling particles of a mood. They repeat after a while, and never jump between frames."""

    def __init__(self, mood: Mood, names: tuple[object, ...], aspect: float) -> None:
        self.kind = next((kind for kind in ("snow", "rain", "embers") if mood.has(kind)), None)
        self.storm = mood.has("storm")
        self.dark = mood.dark
        count = {"rain": 1100, "snow": 700, "embers": 260}.get(self.kind or "", 0)
        self.drops = stream("drops", *names).random((count, 4))
        self.span = max(2.4, aspect * 1.2)

    def draw(self, canvas: Canvas, view: View) -> None:
        if self.kind is None:
            return
        slant = 0.26 if self.storm else 0.08
        for sx, sy, size, phase in self.drops:
            depth = 0.25 + 0.75 * size * size
            x, y = (sx - 0.5) * self.span - view.x * depth, sy
            if self.kind == "rain":
                fall = view.time * (1.5 + 1.1 * depth) + phase
                y = (y + fall) % 1.2 - 0.1
                self._streak(canvas, view, x - slant * y, y, depth, slant)
            else:
                up = -1.0 if self.kind == "embers" else 1.0
                sway = 0.03 * float(sine(view.time * (0.15 + 0.2 * phase) + phase * 5))
                y = (y + up * view.time * (0.05 + 0.08 * depth) + phase) % 1.2 - 0.1
                self._flake(canvas, view, x + sway, y, depth, phase)

    def _streak(self, canvas: Canvas, view: View, x: float, y: float, depth: float, slant: float) -> None:
        unit = view.height * view.zoom_at(depth)
        length = (0.018 + 0.05 * depth) * unit
        top = (y - 0.5) * unit + view.height / 2 - view.first
        rows = np.arange(max(0, int(top)), min(view.rows, int(top + length) + 1))
        if not rows.size:
            return
        columns = ((x * unit + view.width / 2) - slant * (rows - top)).astype(np.int64)
        seen = (columns >= 0) & (columns < view.width)
        along = (rows - top) / max(1.0, length)
        light = ((0.05 + 0.13 * depth) * (0.35 + 0.65 * along)).astype(np.float32)
        canvas.planes[:, rows[seen], columns[seen]] += light[seen]

    def _flake(self, canvas: Canvas, view: View, x: float, y: float, depth: float, phase: float) -> None:
        unit = view.height * view.zoom_at(depth)
        radius = max(0.7, (0.0012 + 0.0035 * depth * depth) * view.height)
        px, py = x * unit + view.width / 2, (y - 0.5) * unit + view.height / 2 - view.first
        reach = int(radius * 2) + 1
        x0, x1 = max(0, int(px) - reach), min(view.width, int(px) + reach + 1)
        y0, y1 = max(0, int(py) - reach), min(view.rows, int(py) + reach + 1)
        if x0 >= x1 or y0 >= y1:
            return
        dx, dy = np.arange(x0, x1, dtype=np.float32) - px, np.arange(y0, y1, dtype=np.float32) - py
        spot = np.clip(1.4 - np.sqrt((dy * dy)[:, None] + (dx * dx)[None]) / radius, 0, 1).astype(np.float32)
        if self.kind == "embers":
            for plane, value in zip(canvas.planes, (1.0, 0.55, 0.15)):
                plane[y0:y1, x0:x1] += spot * np.float32(value * (0.3 + 0.5 * phase))
        else:
            share = spot * np.float32((0.35 if self.dark else 0.55) * (0.4 + 0.6 * depth))
            part = canvas.planes[:, y0:y1, x0:x1]
            part += (np.float32(0.95) - part) * share
