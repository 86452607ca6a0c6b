"""Water: scenery mirrored with ripples, and the open sea in perspective."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from regenstore_procedural.canvas import Canvas, Colour, View, blend, gradient, scaled
from regenstore_procedural.mood import Mood
from regenstore_procedural.noise import Noise
from regenstore_procedural.randomness import Floats, sine, smooth, stream
from regenstore_procedural.sky import Sky

WATER_DEPTH = 0.4
"""Fraction of the camera's movement that a waterline follows."""


def mirrored(
    canvas: Canvas,
    view: View,
    line: float,
    scenery: Callable[[Canvas, View], None],
    ripples: Noise,
    deep: Colour,
    roughness: float,
) -> None:
    """Replace everything below ``line`` with the scenery above it, upside down and rippled."""
    x, y = view.axes(WATER_DEPTH)
    first = int(np.searchsorted(y, np.float32(line)))
    if first >= view.rows:
        return
    edge = view.first + first
    # The mirror row of row r is 2 * edge - 1 - r, with the edge of the whole picture, not of this band.
    whole = _edge_row(view, line)
    top, bottom = 2 * whole - view.last, 2 * whole - edge
    above = Canvas(bottom - top, view.width)
    scenery(above, view.band(top, bottom))
    away = (y[first:] - np.float32(line)) + np.float32(0.004)
    z = np.float32(0.05) / away
    u = x[None] * z[:, None] * np.float32(0.55)
    v = z[:, None] * np.float32(1.3) + np.zeros_like(x)[None] + np.float32(view.time * 0.05)
    wave = ripples.gathered(u + np.float32(view.time * 0.02), v)
    shift = (
        wave * (away * np.float32(0.10 * roughness) + np.float32(0.002))[:, None] / np.float32(view.pixel(WATER_DEPTH))
    )
    column = np.clip(np.arange(view.width)[None] + shift, 0, view.width - 1).astype(np.int32)
    shine = np.clip(0.80 + wave * np.float32(0.16 * roughness), 0, 1.4)
    shine *= (1 - smooth(0.0, 0.5, away) * np.float32(0.35))[:, None]
    for channel in range(3):
        flipped = above.planes[channel, ::-1]
        seen = np.take_along_axis(flipped, column, axis=1)
        seen *= shine
        tint = np.float32(deep[channel] * 0.6)
        canvas.planes[channel, first:] = seen + (tint - seen) * np.float32(0.14)


def _edge_row(view: View, line: float) -> int:
    whole = view.band(0, view.height)
    _, y = whole.axes(WATER_DEPTH)
    return int(np.searchsorted(y, np.float32(line)))


class Seascape:
    """The open sea below a sky: reflections broken by waves, a glitter path, foam and swell in a storm."""

    def __init__(self, mood: Mood, names: tuple[object, ...], aspect: float) -> None:
        random = stream("seascape", *names)
        self.mood = mood
        self.stormy = mood.has("storm")
        self.horizon = float(random.uniform(0.46, 0.56)) if self.stormy else float(random.uniform(0.5, 0.6))
        self.sky = Sky(mood, names, self.horizon, aspect)
        self.rough = 1.0 if self.stormy else 0.25 if mood.has("calm") else float(random.uniform(0.42, 0.65))
        self.waves, self.swell = Noise("waves", *names), Noise("swell", *names)
        self.island = Noise("island", *names) if mood.has("lighthouse") or random.random() < 0.35 else None
        self.island_x = float(random.uniform(-0.7, 0.7))

    def draw(self, canvas: Canvas, view: View) -> None:
        self.sky.draw(canvas, view)
        self._islands(canvas, view)
        self._sea(canvas, view)
        if self.stormy:
            self._breakers(canvas, view)

    def _islands(self, canvas: Canvas, view: View) -> None:
        if self.island is None:
            return
        x, y = view.axes(0.12)
        hump = np.maximum(0, 1 - ((x - np.float32(self.island_x)) / np.float32(0.42)) ** 2)
        crest = hump * (0.035 + 0.075 * self.island.along(x, 4, 6, 0.5, ridged=True) ** 2)
        crest = crest.astype(np.float32) - (hump <= 0) * np.float32(0.02)
        line = np.float32(self.horizon) - crest
        mask = np.clip((y[:, None] - line[None]) * np.float32(1 / view.pixel(0.12)) + 0.5, 0, 1)
        mask *= (y < np.float32(self.horizon + 0.01))[:, None]
        canvas.mix(blend(self.mood.haze, self.mood.near, 0.62), mask)

    def _sea(self, canvas: Canvas, view: View) -> None:
        x, y = view.axes(0.12)
        pixel = view.pixel(0.12)
        first = int(np.searchsorted(y, np.float32(self.horizon - pixel)))
        if first >= view.rows:
            return
        rows = slice(first, view.rows)
        away = np.maximum(y[rows] - np.float32(self.horizon), np.float32(pixel * 0.5))
        z = (np.float32(0.09) / (away + np.float32(0.006)))[:, None]
        t = view.time
        u, v = x[None] * z, z + np.zeros_like(x)[None]
        small = self.waves.gathered(u * 0.9 + np.float32(t * 0.03), v * 2.2 + np.float32(t * 0.055))
        large = self.swell.gathered(u * 0.30 - np.float32(t * 0.02), v * 0.75 + np.float32(t * 0.045))
        slope = small * np.float32(0.55) + large * np.float32(0.7)
        fade = away / (away + np.float32(0.05))
        steep = slope * fade[:, None]
        self._body(canvas, view, rows, away, steep, fade)
        self._glints(canvas, rows, x, away, small, large)
        if self.rough > 0.6:
            foam = smooth(0.52, 1.0, small * np.float32(0.6) + large * np.float32(0.8)) * fade[:, None]
            white = blend(self.mood.sky[3], (0.93, 0.95, 0.96), 0.45)
            if self.mood.dark:
                white = scaled(white, 0.6)
            canvas.mix(white, foam * np.float32(0.6), rows)

    def _body(self, canvas: Canvas, view: View, rows: slice, away: Floats, steep: Floats, fade: Floats) -> None:
        """The reflected sky, sampled higher up where a wave is steeper, over the water's own colour."""
        up = np.clip(away[:, None] * np.float32(0.85) + steep * np.float32(0.16 + 0.3 * self.rough), 0.002, 0.8)
        index = np.minimum((up * np.float32(1023 / 0.8)).astype(np.int32), 1023)
        heights = np.float32(self.horizon) - np.linspace(0, 0.8, 1024).astype(np.float32)
        deep = blend(self.mood.near, self.mood.sky[1], 0.30)
        tint = hued(deep)
        mirror = np.clip(np.float32(0.88) - fade * np.float32(0.36 + 0.2 * self.rough), 0.1, 1)[:, None]
        mirror = np.clip(mirror - steep * np.float32(0.16), 0.05, 0.95)
        for channel in range(3):
            table = gradient(self.sky.stops(), heights, channel)
            seen = table.take(index)
            own = np.float32(tint[channel] * 0.9) + steep * np.float32(0.06 + 0.05 * channel * self.rough)
            canvas.planes[channel, rows] = own + (seen - own) * mirror
        # Haze over the last strip below the horizon, which would otherwise be a hard line.
        veil = np.float32(0.006) / (away + np.float32(0.006)) * np.float32(0.6)
        canvas.mix(blend(self.mood.sky[3], self.mood.haze, 0.4), np.repeat(veil[:, None], view.width, axis=1), rows)

    def _glints(self, canvas: Canvas, rows: slice, x: Floats, away: Floats, small: Floats, large: Floats) -> None:
        if not self.sky.has_sun:
            return
        off = (x - np.float32(self.sky.sun_x))[None]
        width = (np.float32(0.035) + away * np.float32(0.45 + 0.5 * self.rough))[:, None]
        share = 1 / (1 + (off / width) ** 2 * np.float32(2.2))
        path: Floats = (share * share).astype(np.float32)
        sparkle: Floats = smooth(
            0.10, 0.95, small + large * np.float32(0.35) + path * np.float32(0.55) - np.float32(0.28)
        )
        power = 0.75 if self.mood.dark else 1.0
        light = blend(self.mood.light, (1.0, 1.0, 1.0), 0.2)
        canvas.add(scaled(light, power), sparkle * path, rows)
        canvas.add(scaled(self.mood.light, 0.16 * power), path, rows)

    def _breakers(self, canvas: Canvas, view: View) -> None:
        """Three swells in the foreground, each a dark crest with foam."""
        for place in range(3):
            depth = 0.45 + 0.3 * place
            x, y = view.axes(depth)
            base = self.horizon + 0.16 + 0.145 * place
            move = np.float32(view.time * (0.05 + 0.035 * place))
            crest = self.swell.along(x + move + place * 9, 1.5 - 0.25 * place, 3, 0.42, ridged=True) ** 3
            chop = self.waves.along(x * 1.0 + move * 1.6, 9, 4, 0.5) * np.float32(0.014)
            bob = 0.015 * float(sine(view.time * 0.11 + place * 0.37))
            top = np.float32(base + bob) - crest * np.float32(0.13 + 0.055 * place) - chop
            first = max(0, int(np.searchsorted(y, top.min() - 0.01)))
            if first >= view.rows:
                continue
            rows = slice(first, view.rows)
            below = y[rows, None] - top[None].astype(np.float32)
            mask = np.clip(below * np.float32(1 / view.pixel(depth)) + 0.5, 0, 1)
            box = view.band(view.first + first, view.last).box(depth)
            streaks = self.waves.plane(box, 5, 14, 5, 0.6, dx=float(move) * 1.2 + place * 3, dy=view.time * 0.02)
            body = smooth(0.0, 0.26, below)
            foam = smooth(0.10, 0.75, streaks + (crest * np.float32(1.0))[None] - below * np.float32(9))
            foam = np.maximum(foam * np.float32(0.75), smooth(0.55, 1.1, streaks) * (1 - body) * np.float32(0.35))
            lit = blend(hued(blend(self.mood.near, self.mood.haze, 0.5)), self.mood.sky[2], 0.25)
            dark = blend(hued(self.mood.near), self.mood.sky[0], 0.35)
            white = blend(self.mood.sky[3], (0.95, 0.97, 0.98), 0.5)
            relief = streaks * np.float32(0.05)
            planes = []
            for a, d, w in zip(lit, dark, white):
                plane = np.float32(a) + body * np.float32(d - a) + relief
                plane += (np.float32(w) - plane) * foam
                planes.append(plane)
            canvas.mix(planes, mask, rows)


def hued(colour: Colour) -> Colour:
    """A colour as water reflects it: a little greener and bluer."""
    r, g, b = colour
    return r * 0.72, g * 1.02 + 0.012, b * 1.06 + 0.02
