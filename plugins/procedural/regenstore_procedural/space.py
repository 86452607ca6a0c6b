"""Space: coloured gas lit by stars, dust lanes, and sometimes a planet."""

from __future__ import annotations

import numpy as np

from regenstore_procedural.canvas import Canvas, Colour, View, blend, scaled
from regenstore_procedural.mood import Mood, hue_colour
from regenstore_procedural.noise import Noise
from regenstore_procedural.randomness import Floats, smooth, stream
from regenstore_procedural.sky import Sky


class Nebula:
    """Two clouds of gas with dust in front; stars behind and in front of it all."""

    def __init__(self, mood: Mood, names: tuple[object, ...], aspect: float) -> None:
        random = stream("nebula", *names)
        self.mood = mood
        self.stars = Sky(mood, names, 1.05, aspect)
        self.gas, self.veil, self.dust = (Noise(part, *names) for part in ("gas", "veil", "dust"))
        hue = mood.hue
        self.warm = hue_colour(hue, 0.58, 0.75)
        self.cool = hue_colour(hue + float(random.uniform(0.22, 0.42)), 0.46, 0.7)
        self.core = (float(random.uniform(-0.45, 0.45)), float(random.uniform(0.3, 0.62)))
        self.turn = float(random.uniform(-0.6, 0.6))
        self.planet: tuple[float, float, float, Colour] | None = None
        if mood.has("planet"):
            radius = float(random.uniform(0.16, 0.26))
            self.planet = (float(random.uniform(-0.4, 0.4)), float(random.uniform(0.45, 0.7)), radius, self.cool)

    def draw(self, canvas: Canvas, view: View) -> None:
        x, y = view.axes(0.3)
        canvas.vertical([(0.0, scaled(self.mood.sky[1], 0.7)), (1.0, scaled(self.mood.sky[0], 0.9))], y)
        self.stars.stars(canvas, view, 0.9)
        self._clouds(canvas, view, x, y)
        if self.planet is not None:
            self._draw_planet(canvas, view)

    def _clouds(self, canvas: Canvas, view: View, x: Floats, y: Floats) -> None:
        box, t = view.box(0.3), view.time
        dx, dy = x[None] - np.float32(self.core[0]), y[:, None] - np.float32(self.core[1])
        along = dy + dx * np.float32(self.turn)
        near = np.float32(1) / (1 + (dx * dx + dy * dy * 2) * np.float32(2.6))
        band = np.float32(1) / (1 + along * along * np.float32(16))
        shape = np.float32(0.35) * near + np.float32(0.65) * band * (np.float32(0.4) + np.float32(0.6) * near)
        thick = self.gas.plane(box, 1.3, 1.6, 7, 0.56, dx=t * 0.006)
        thin = self.veil.plane(box, 2.1, 2.4, 7, 0.55, dx=-t * 0.004, dy=t * 0.003)
        warm = np.clip(thick * np.float32(0.9) + np.float32(0.22), 0, 1) * shape
        cool = np.clip(thin * np.float32(0.9) + np.float32(0.25), 0, 1) * (np.float32(0.35) + np.float32(0.65) * shape)
        canvas.add(scaled(self.cool, 0.62), cool * cool * np.float32(1.5))
        canvas.add(scaled(self.warm, 0.95), warm * warm * np.float32(2.6))
        hot = near * near * near * np.clip(warm * np.float32(1.5), 0, 1)
        canvas.add(blend(self.warm, (1.0, 0.96, 0.9), 0.7), hot * np.float32(0.55))
        lanes = self.dust.plane(box, 1.9, 3.1, 6, 0.55, dx=t * 0.005)
        ridge = np.float32(1) - np.abs(lanes) * np.float32(1.9)
        canvas.mix(scaled(self.mood.sky[0], 0.55), smooth(0.55, 1.0, ridge) * band * np.float32(0.72))

    def _draw_planet(self, canvas: Canvas, view: View) -> None:
        assert self.planet is not None
        px, py, radius, colour = self.planet
        x, y = view.axes(0.45)
        nx = (x[None] - np.float32(px)) / np.float32(radius) + np.zeros_like(y)[:, None]
        ny = (y[:, None] - np.float32(py)) / np.float32(radius) + np.zeros_like(x)[None]
        d2 = nx * nx + ny * ny
        disc = np.clip((1 - d2) * np.float32(radius / view.pixel(0.45) / 2), 0, 1)
        nz = np.sqrt(np.maximum(0, 1 - d2))
        lit = np.clip(nx * np.float32(-0.62) + ny * np.float32(-0.42) + nz * np.float32(0.55), 0, 1)
        bands = self.dust.plane(view.box(0.45), 1.2 / radius * 0.2, 6.0, 5, 0.5, dx=view.time * 0.01)
        tone = (np.float32(0.65) + np.float32(0.3) * bands) * (np.float32(0.04) + np.float32(0.96) * lit)
        for plane, value in zip(canvas.planes, blend(colour, (0.9, 0.85, 0.78), 0.5)):
            plane += (tone * np.float32(value) - plane) * disc
        rim = np.clip(1 - np.abs(d2 - 1) * np.float32(9), 0, 1) * np.clip(lit + np.float32(0.25) - nz, 0, 1)
        canvas.add(self.cool, rim * np.float32(0.5))
