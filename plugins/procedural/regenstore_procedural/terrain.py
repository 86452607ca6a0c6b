"""Landscapes: mountain ranges in haze, forests, dunes, snow, lakes."""

from __future__ import annotations

import numpy as np

from regenstore_procedural.canvas import Canvas, Colour, View, blend, scaled
from regenstore_procedural.mood import Mood
from regenstore_procedural.noise import Box, Noise
from regenstore_procedural.randomness import Floats, smooth, stream
from regenstore_procedural.sky import Sky
from regenstore_procedural.water import mirrored


class Ridge:
    """One layer of terrain: a profile along x, at a ``depth`` from 0 (far) to 1 (near)."""

    def __init__(self, mood: Mood, names: tuple[object, ...], depth: float, base: float, height: float) -> None:
        self.mood, self.depth, self.base, self.height = mood, depth, base, height
        self.noise = Noise("ridge", depth, *names)
        self.trees = mood.has("forest") and depth > 0.35
        self._tree = stream("trees", depth, *names).random((512, 3))

    def profile(self, x: Floats) -> Floats:
        """The y of the crest at each x."""
        if self.mood.has("desert"):
            crest = self.noise.along(x, 0.9 + 0.8 * self.depth, 2, 0.35, ridged=True) ** 2
        else:
            rough = self.noise.along(x, 1.25 + 0.9 * self.depth, 7, 0.47, ridged=True)
            crest = rough * rough * np.float32(1.15) + self.noise.along(x, 0.7, 2) * np.float32(0.3)
            if self.trees or self.depth > 0.75:
                crest = self.noise.along(x, 1.1, 4, 0.42) * np.float32(0.5) + np.float32(0.5)
        top = np.float32(self.base) - crest * np.float32(self.height)
        if self.trees:
            top = top - self._treetops(x)
        return top.astype(np.float32)

    def _treetops(self, x: Floats) -> Floats:
        """Conifers side by side as a skyline: each x is covered by the tallest of its neighbours."""
        size = 0.014 + 0.05 * self.depth**2
        cell = x / np.float32(size * 0.42)
        index = np.floor(cell).astype(np.int64)
        best = np.zeros(x.shape, np.float32)
        for step in (-2, -1, 0, 1, 2):
            tree = self._tree.take((index + step) % 512, axis=0).astype(np.float32)
            away = np.abs(cell - (index + step) - tree[:, 0])
            tall = (0.45 + 0.75 * tree[:, 1] ** 2) * np.float32(size)
            # Branches: the outline of a fir descends in steps.
            slope = away * np.float32(0.42 * size * 2.6) / (0.6 + tree[:, 2] * 0.5)
            part = slope * np.float32(9 / size)
            jag = (part - np.floor(part)) * np.float32(size * 0.05)
            best = np.maximum(best, tall - slope - jag)
        return best

    def draw(self, canvas: Canvas, view: View, colour: Colour, haze: Colour, light_x: float, sun: Colour) -> None:
        x, y = view.axes(self.depth)
        top = self.profile(x)
        pixel = view.pixel(self.depth)
        first = max(0, int(np.searchsorted(y, top.min() - pixel)))
        if first >= view.rows:
            return
        rows = slice(first, view.rows)
        below = y[rows, None] - top[None]
        mask = np.clip(below * np.float32(1 / pixel) + 0.5, 0, 1)
        mist = smooth(0.0, 0.34 - 0.16 * self.depth, below) * np.float32(0.72 * (1 - self.depth) ** 0.7)
        box = view.band(view.first + first, view.last).box(self.depth)
        shade = self._shade(x, top, box, light_x, pixel)
        shade *= 1 - mist
        strength = np.float32(0.42 * (0.35 + 0.65 * (1 - self.depth)))
        snow = self._snow(below, shade, box) if self._snowy() else None
        planes = []
        for c, h, s in zip(colour, haze, sun):
            plane = np.float32(c) + (np.float32(0.25 * s) + np.float32(c)) * shade * strength
            if snow is not None:
                white = np.float32(0.5 * h + 0.5 * (0.35 * c + 0.62)) + shade * np.float32(0.26)
                plane += (white - plane) * snow
            plane += (np.float32(h) - plane) * mist
            planes.append(plane)
        canvas.mix(planes, mask, rows)

    def _shade(self, x: Floats, top: Floats, box: Box, light_x: float, pixel: float) -> Floats:
        """Light on the slopes, from about -1 to 1: from the slope of the crest, and from gullies below it."""
        side = 1.0 if light_x > float(x.mean()) else -1.0
        if self.mood.has("desert"):
            fine = self.noise.plane(box, 3, 40, 3, 0.5) * np.float32(0.22)
        elif self.trees or (self.mood.has("forest") and self.depth > 0.3):
            fine = self.noise.plane(box, 34, 16, 3, 0.6) * np.float32(0.5) - np.float32(0.1)
        else:
            a = self.noise.plane(box, 5.5, 3.2, 6, 0.56)
            b = self.noise.plane(box, 5.5, 3.2, 5, 0.56, dx=0.012 * side, dy=-0.006)
            fine = (a - b) * np.float32(4.2) + a * np.float32(0.14)
        reach = max(1, int(0.012 / pixel))
        padded = np.concatenate((np.full(reach, top[0]), top, np.full(reach, top[-1]))).astype(np.float32)
        slope = (padded[: -2 * reach] - padded[2 * reach :]) * np.float32(-side / (2 * reach * pixel))
        result: Floats = fine + (np.clip(slope, -1, 1) * np.float32(-0.45))[None]
        return np.clip(result, -1.1, 1.1)

    def _snowy(self) -> bool:
        return self.mood.has("white") or (
            self.depth < 0.55 and not self.mood.has("desert", "embers", "forest") and self.height > 0.2
        )

    def _snow(self, below: Floats, shade: Floats, box: Box) -> Floats:
        deep = 0.32 if self.mood.has("white") else 0.085
        edge = self.noise.plane(box, 9, 7, 4, 0.6, dx=5.3) * np.float32(0.07) + shade * np.float32(0.05)
        return smooth(deep, deep * 0.35, below + edge) * np.float32(0.9)


class Landscape:
    """Sky, ridges and, if asked for, a lake that mirrors them."""

    def __init__(self, mood: Mood, names: tuple[object, ...], aspect: float) -> None:
        random = stream("landscape", *names)
        self.mood = mood
        lake = mood.has("lake")
        self.horizon = 0.66 if lake else float(random.uniform(0.56, 0.64))
        self.sky = Sky(mood, names, self.horizon, aspect)
        self.ridges: list[Ridge] = []
        count = 5
        desert = mood.has("desert")
        for place in range(count):
            depth = place / (count - 1) * (0.5 if lake else 1.0)
            base = self.horizon + 0.015 + (0.02 if lake else 0.42) * (place / (count - 1)) ** 1.5
            height = (0.36 - 0.30 * place / count) * float(random.uniform(0.75, 1.15))
            if desert:
                height = 0.09 + 0.14 * place / count
            self.ridges.append(Ridge(mood, names, round(depth, 3), base, height))
        self.water = 0.685 if lake else None
        self.ripples = Noise("ripples", *names)
        self._mist = Noise("mist", *names)

    def draw(self, canvas: Canvas, view: View) -> None:
        self._land(canvas, view)
        if self.water is not None:
            mirrored(canvas, view, self.water, self._land, self.ripples, self.mood.sky[0], 1.1)
            self._shore(canvas, view)
        elif self.mood.has("fog"):
            self._fog(canvas, view)

    def _land(self, canvas: Canvas, view: View) -> None:
        self.sky.draw(canvas, view)
        mood = self.mood
        far = blend(mood.haze, mood.sky[3], 0.35)
        near = mood.near if mood.ground is None else blend(scaled(mood.ground, 0.75), mood.near, 0.35)
        if mood.ground is not None and (mood.dark or mood.lit_by("storm", "dusk") > 0.5):
            near = blend(near, mood.near, 0.55)
        for place, ridge in enumerate(self.ridges):
            share = ((place + 0.6) / len(self.ridges)) ** 1.25
            colour = blend(far, near, share)
            haze = blend(far, mood.sky[3], 0.3)
            ridge.draw(canvas, view, colour, haze, self.sky.sun_x, mood.light)

    def _shore(self, canvas: Canvas, view: View) -> None:
        """A thin line of mist where water meets land."""
        assert self.water is not None
        _, y = view.axes(0.4)
        near = (y - np.float32(self.water)) * np.float32(1 / 0.012)
        line = np.float32(0.35) / (1 + near * near)
        canvas.mix(blend(self.mood.haze, self.mood.sky[3], 0.5), np.repeat(line[:, None], view.width, axis=1))

    def _fog(self, canvas: Canvas, view: View) -> None:
        _, y = view.axes(0.5)
        veil = self._mist.plane(view.box(0.5), 1.2, 5, 4, 0.5, dx=view.time * 0.03)
        veil = np.clip(veil * 0.6 + 0.5, 0, 1) * smooth(self.horizon - 0.25, self.horizon + 0.12, y)[:, None]
        canvas.mix(blend(self.mood.haze, self.mood.sky[3], 0.5), veil * np.float32(0.7))
