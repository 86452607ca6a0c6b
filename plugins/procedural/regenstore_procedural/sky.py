"""Skies: gradient, sun or moon with its glow, clouds, stars, aurora."""

from __future__ import annotations

import numpy as np

from regenstore_procedural.canvas import Canvas, View, blend, scaled
from regenstore_procedural.mood import Mood
from regenstore_procedural.noise import Noise
from regenstore_procedural.randomness import Floats, sine, smooth, stream

FAR = 0.06
"""Fraction of the camera's movement that the sky follows."""


class Sky:
    """A sky above ``horizon`` (scene units), and the light from it."""

    def __init__(self, mood: Mood, names: tuple[object, ...], horizon: float, aspect: float = 1.78) -> None:
        random = stream("sky", *names)
        self.mood, self.horizon = mood, horizon
        low_sun = mood.lit_by("dawn", "dusk", "golden", "fire") > 0.4
        reach = min(0.62, aspect * 0.36)
        self.sun_x = float(random.uniform(-reach, reach))
        height = random.uniform(0.02, 0.1) if low_sun else random.uniform(0.22, 0.34)
        self.sun_y = horizon - float(height)
        self.has_sun = not mood.has("sunless")
        self.cover = 0.62 if mood.has("storm", "rain") else float(random.uniform(0.12, 0.42))
        if mood.lit_by("space", "night") > 0.6:
            self.cover *= 0.5
        self._clouds = Noise("clouds", *names)
        self._wisps = Noise("wisps", *names)
        count = 900
        self._stars = random.random((count, 4))
        self._random_phase = float(random.random())

    def stops(self) -> list[tuple[float, tuple[float, float, float]]]:
        top, upper, lower, low = self.mood.sky
        h = self.horizon
        return [(-0.3, scaled(top, 0.85)), (0.0, top), (h * 0.42, upper), (h * 0.78, lower), (h, low), (h + 0.5, low)]

    def draw(self, canvas: Canvas, view: View) -> None:
        x, y = view.axes(FAR)
        canvas.vertical(self.stops(), y)
        if self.mood.dark or self.mood.has("aurora"):
            self.stars(canvas, view)
        if self.mood.has("aurora") or self.mood.lit_by("aurora") > 0.3:
            self._aurora(canvas, view, x, y)
        if self.has_sun:
            self._sun(canvas, view, x, y)
        self._draw_clouds(canvas, view, x, y)

    def _sun(self, canvas: Canvas, view: View, x: Floats, y: Floats) -> None:
        d2 = ((y - np.float32(self.sun_y)) ** 2)[:, None] + ((x - np.float32(self.sun_x)) ** 2)[None]
        light = self.mood.light
        night = self.mood.dark
        radius = 0.034 if night else 0.042
        wide = np.float32(0.02 if night else 0.055)
        glow = wide / (d2 + wide)
        canvas.add(scaled(light, 0.16 if night else 0.30), glow * glow)
        close = np.float32(radius**2 * 1.8)
        glow = close / (d2 + close)
        canvas.add(scaled(light, 0.22 if night else 0.42), glow)
        edge = view.pixel(FAR) * 1.5 * 2 * radius
        disc = np.clip((np.float32(radius**2) - d2) * np.float32(1 / edge) + 0.5, 0, 1)
        if night:
            rows = np.flatnonzero(disc.any(axis=1))
            if rows.size:
                part = slice(int(rows[0]), int(rows[-1]) + 1)
                box = view.band(view.first + part.start, view.first + part.stop).box(FAR)
                marks = self._wisps.plane(box, 28, 28, 4, dx=-self.sun_x, dy=-self.sun_y)
                tint = (0.86 + 0.13 * np.clip(marks, -1, 1)).astype(np.float32)
                canvas.mix([tint * np.float32(c) for c in light], disc[part], part)
        else:
            canvas.mix(blend(light, (1.0, 1.0, 1.0), 0.6), disc * np.float32(0.95))

    def _draw_clouds(self, canvas: Canvas, view: View, x: Floats, y: Floats) -> None:
        bottom = int(np.searchsorted(y, np.float32(self.horizon + 0.02)))
        if bottom < 2:
            return
        rows = slice(0, bottom)
        box = view.band(view.first, view.first + bottom).box(FAR)
        drift = view.time * 0.012
        stormy = self.mood.has("storm")
        if stormy:
            drift *= 2
        fx, fy = (1.5, 3.6) if stormy else (1.3, 5.2)
        shape = self._clouds.plane(box, fx, fy, 6, 0.52, dx=drift, dy=-drift * 0.1)
        # The same noise, sampled a little towards the light: where it is thinner there, this side is lit.
        side = 0.05 if self.sun_x > 0 else -0.05
        shifted = self._clouds.plane(box, fx, fy, 4, 0.52, dx=drift + side, dy=-drift * 0.1 - 0.035)
        threshold = 0.55 - self.cover * 1.35
        density = smooth(threshold, threshold + (0.75 if stormy else 0.6), shape)
        lit = np.clip(0.5 + (shape - shifted) * np.float32(1.5), 0, 1)
        # Clouds thin out towards the zenith and the haze at the horizon.
        band = smooth(self.horizon + 0.01, self.horizon - 0.18, y[rows])
        density = density * band[:, None] * np.float32(0.95 if stormy else 0.82)
        sky_low, light = self.mood.sky[3], self.mood.light
        night = 0.35 if self.mood.dark else 1.0
        bright = scaled(blend(sky_low, light, 0.6), (0.62 if stormy else 1.0) * night)
        shade = blend(self.mood.sky[1], self.mood.haze, 0.55)
        shade = scaled(shade, (0.42 if stormy else 0.85) * (0.6 if self.mood.dark else 1.0))
        colours = [np.float32(s) + lit * np.float32(b - s) for b, s in zip(bright, shade)]
        canvas.mix(colours, density, rows)

    def stars(self, canvas: Canvas, view: View, strength: float = 1.0) -> None:
        """Draw points of light, a few with a glow; they twinkle over time."""
        box = view.box(FAR)
        unit = 1.0 / view.pixel(FAR)
        size = max(0.7, view.height / 900)
        span = max(2.4, view.width / view.height * 1.1)
        for sx, sy, bright, phase in self._stars:
            px = ((sx - 0.5) * span - box.left) * unit - 0.5
            py = (sy * self.horizon * 1.02 - box.top) * unit - 0.5
            power = bright**6
            glow = size * (0.7 + 2.2 * power)
            reach = int(glow * 4) + 1
            if not (-reach < px < view.width + reach and -reach < py < view.rows + reach):
                continue
            twinkle = 1 + 0.25 * float(sine(view.time * (0.3 + phase) + phase * 7))
            height = max(0.0, 1 - (sy * 1.02) ** 3)
            self._dot(canvas, px, py, glow, reach, strength * twinkle * height * (0.25 + 0.75 * power + 0.2 * bright))

    @staticmethod
    def _dot(canvas: Canvas, px: float, py: float, glow: float, reach: int, power: float) -> None:
        rows, width = canvas.planes.shape[1:]
        x0, x1 = max(0, int(px) - reach), min(width, int(px) + reach + 2)
        y0, y1 = max(0, int(py) - reach), min(rows, int(py) + reach + 2)
        if x0 >= x1 or y0 >= y1:
            return
        dx = np.arange(x0, x1, dtype=np.float32) - np.float32(px)
        dy = np.arange(y0, y1, dtype=np.float32) - np.float32(py)
        d2 = ((dy * dy)[:, None] + (dx * dx)[None]) * np.float32(1 / (glow * glow))
        spot = np.float32(power) / (1 + d2 * 2) ** 2
        # Fade to nothing at the patch's edge, or bright stars would show as squares.
        spot *= np.clip(1.2 - d2 * np.float32(glow * glow / (reach * reach) * 1.2), 0, 1)
        canvas.planes[:, y0:y1, x0:x1] += spot

    def _aurora(self, canvas: Canvas, view: View, x: Floats, y: Floats) -> None:
        for index, colour in enumerate(((0.15, 0.9, 0.5), (0.2, 0.75, 0.65), (0.55, 0.25, 0.8))):
            wave = self._wisps.along(x + np.float32(view.time * 0.01 + index * 3.7), 1.1, 3)
            base = np.float32(self.horizon * (0.62 - 0.13 * index)) + wave * np.float32(0.13)
            rays = 0.45 + 0.55 * self._wisps.along(x + wave * 0.3 + np.float32(view.time * 0.02), 14, 3, ridged=True)
            above = (base[None] - y[:, None]) * np.float32(1 / (0.16 + 0.07 * index))
            curtain = np.clip(above * 9 + 1, 0, 1) / (1 + np.maximum(above, 0) * 2.2) ** 3
            canvas.add(scaled(colour, 0.42), curtain * rays.astype(np.float32)[None])
