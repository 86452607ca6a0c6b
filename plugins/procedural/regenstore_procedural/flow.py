"""Abstract pictures: domain-warped noise in the prompt's palette, like ink or marble."""

from __future__ import annotations

import numpy as np

from regenstore_procedural.canvas import Canvas, View, blend, gradient
from regenstore_procedural.mood import Mood, hue_colour
from regenstore_procedural.noise import Noise
from regenstore_procedural.randomness import sine, stream


class Flow:
    """Noise distorted by noise, drawn as bands of colour with a sheen."""

    def __init__(self, mood: Mood, names: tuple[object, ...], aspect: float) -> None:
        random = stream("flow", *names)
        self.mood = mood
        self.bend, self.shape = Noise("bend", *names), Noise("shape", *names)
        self.bands = float(random.uniform(1.4, 2.6))
        accent = hue_colour(mood.hue, 0.55, 0.75)
        top, upper, lower, low = mood.sky
        self.stops = [(0.0, mood.near), (0.22, top), (0.42, upper), (0.58, accent), (0.74, lower), (0.9, low)]
        self.stops.append((1.0, blend(low, mood.light, 0.6)))

    def draw(self, canvas: Canvas, view: View) -> None:
        box, t = view.box(0.5), view.time
        u = self.bend.plane(box, 0.9, 0.9, 4, 0.5, dx=t * 0.02)
        v = self.bend.plane(box, 0.9, 0.9, 4, 0.5, dx=37.2, dy=t * 0.015)
        x, y = view.axes(0.5)
        at_x = x[None] * np.float32(0.16) + u * np.float32(0.075) + np.float32(t * 0.002)
        at_y = y[:, None] * np.float32(0.16) + v * np.float32(0.075)
        value = self.shape.gathered(at_x, at_y)
        turned = sine(value * np.float32(self.bands * 0.5) + u * np.float32(0.35) + np.float32(t * 0.01))
        place = np.clip(turned * np.float32(0.5) + np.float32(0.5), 0, 1)
        table = np.linspace(0, 1, 1024, dtype=np.float32)
        index = (place * np.float32(1023)).astype(np.int32)
        for channel, plane in enumerate(canvas.planes):
            plane[...] = gradient(self.stops, table, channel).take(index)
        crest = np.clip(1 - np.abs(turned - np.float32(0.72)) * np.float32(9), 0, 1)
        canvas.add(self.mood.light, crest * crest * np.float32(0.16))
