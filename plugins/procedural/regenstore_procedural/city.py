"""Skylines: rows of towers with lit windows against a sky, reflected on wet ground."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from regenstore_procedural.canvas import Canvas, Colour, View, blend
from regenstore_procedural.mood import Mood, hue_colour
from regenstore_procedural.noise import Noise
from regenstore_procedural.randomness import Floats, smooth, stream
from regenstore_procedural.sky import Sky
from regenstore_procedural.water import mirrored

SPAN = 3.2
"""Length of the x axis that is built up, around 0; wider pictures repeat the street."""
CELLS = 4096


@dataclass(frozen=True)
class _Tower:
    left: float
    width: float
    top: float
    columns: int
    lit: float
    colour: Colour
    spire: float


class Skyline:
    """Three rows of towers, from far to near."""

    def __init__(self, mood: Mood, names: tuple[object, ...], aspect: float) -> None:
        self.mood = mood
        self.ground = 0.80
        self.sky = Sky(mood, names, self.ground - 0.06, aspect)
        self.rows = [(depth, self._towers(names, depth)) for depth in (0.25, 0.45, 0.7)]
        self.ripples = Noise("street", *names)
        self.window = stream("windows", *names).random(CELLS, np.float32)

    def _towers(self, names: tuple[object, ...], depth: float) -> list[_Tower]:
        random = stream("towers", depth, *names)
        towers, x = [], -SPAN / 2
        night = 0.75 if self.mood.dark or self.mood.lit_by("dusk", "storm") > 0.4 else 0.12
        while x < SPAN / 2:
            width = float(random.uniform(0.045, 0.11)) * (0.6 + 0.8 * depth)
            middle = 1 - min(1.0, abs(x + width / 2) / 1.1) ** 2
            height = (0.12 + 0.34 * float(random.random()) ** 1.6 * (0.45 + middle)) * (1.15 - 0.45 * depth)
            warm = float(random.random())
            colour = blend((1.0, 0.80, 0.50), (0.72, 0.86, 1.0), warm * 0.6)
            if self.mood.lit_by("neon") > 0.3 and random.random() < 0.45:
                colour = hue_colour(float(random.choice([0.86, 0.52, 0.93, 0.60])), 0.62, 0.95)
            spire = float(random.uniform(0.02, 0.07)) if random.random() < 0.16 else 0.0
            lit = night * float(random.uniform(0.35, 0.95))
            towers.append(_Tower(x, width, self.ground - height, max(3, int(width * 110)), lit, colour, spire))
            x += width * float(random.uniform(0.85, 1.15))
        return towers

    def draw(self, canvas: Canvas, view: View) -> None:
        self._city(canvas, view)
        mirrored(
            canvas, view, self.ground, self._city, self.ripples, self.mood.near, 0.5 if self.mood.has("rain") else 0.25
        )

    def _city(self, canvas: Canvas, view: View) -> None:
        self.sky.draw(canvas, view)
        far = blend(self.mood.haze, self.mood.sky[3], 0.3)
        for depth, towers in self.rows:
            body = blend(far, self.mood.near, 0.35 + 0.6 * depth)
            self._row(canvas, view, depth, towers, body)
            if self.mood.has("fog", "rain"):
                _, y = view.axes(depth)
                veil = smooth(self.ground - 0.4, self.ground, y)[:, None] * np.ones((1, view.width), np.float32)
                canvas.mix(far, veil * np.float32(0.30 if self.mood.has("fog") else 0.14))

    def _row(self, canvas: Canvas, view: View, depth: float, towers: list[_Tower], body: Colour) -> None:
        x, y = view.axes(depth)
        pixel = view.pixel(depth)
        for number, tower in enumerate(towers):
            first, last = np.searchsorted(x, [tower.left, tower.left + tower.width])
            top = int(np.searchsorted(y, tower.top))
            if tower.spire:
                self._spire(canvas, x, y, tower, body, pixel)
            if first >= last or top >= view.rows:
                continue
            part = canvas.planes[:, top:, first:last]
            side = np.linspace(1.06, 0.9, last - first, dtype=np.float32)[None]
            for plane, value in zip(part, body):
                plane[...] = side * np.float32(value)
            self._windows(part, x[first:last], y[top:], tower, number, pixel, view.time)

    def _windows(
        self, part: Floats, x: Floats, y: Floats, tower: _Tower, number: int, pixel: float, time: float
    ) -> None:
        cell = tower.width / tower.columns
        if cell < pixel * 2.2:
            glow = np.float32(0.30 * tower.lit)
            for plane, value in zip(part, tower.colour):
                plane += glow * np.float32(value)
            return
        across = (x - np.float32(tower.left)) / np.float32(cell)
        down = (y - np.float32(tower.top)) / np.float32(cell * 1.5)
        column, row = np.floor(across).astype(np.int64), np.floor(down).astype(np.int64)
        pane = _pane(across, cell / pixel)[None] * _pane(down, cell * 1.5 / pixel)[:, None]
        index = (row[:, None] * 37 + column[None] * 101 + number * 977) % CELLS
        chance = self.window.take(index)
        flicker = np.float32(0.02) * np.float32(np.floor(time * 0.7) % 3)  # a window's light changes now and then
        on = (chance + flicker < np.float32(tower.lit)) & (row >= 1)[:, None] & (column < tower.columns)[None]
        light = pane * on * (np.float32(0.35) + np.float32(0.65) * self.window.take((index * 7 + 13) % CELLS))
        for plane, value in zip(part, tower.colour):
            plane += light * np.float32(value * 0.85)

    def _spire(self, canvas: Canvas, x: Floats, y: Floats, tower: _Tower, body: Colour, pixel: float) -> None:
        middle = tower.left + tower.width / 2
        first, last = np.searchsorted(x, [middle - pixel * 0.8, middle + pixel * 0.8])
        top, bottom = np.searchsorted(y, [tower.top - tower.spire, tower.top])
        if first < last and top < bottom:
            for plane, value in zip(canvas.planes[:, top:bottom, first:last], body):
                plane[...] = np.float32(value)
            if self.mood.dark:
                canvas.planes[0, top : top + 2, first:last] += np.float32(0.8)


def _pane(place: Floats, pixels: float) -> Floats:
    """1 inside a cell's window, 0 on the wall around it, with an edge one pixel soft."""
    inside = np.float32(0.5) - np.abs(place - np.floor(place) - np.float32(0.5))
    pane: Floats = np.clip((inside - np.float32(0.17)) * np.float32(max(1.0, pixels)) + np.float32(0.5), 0, 1)
    return pane
