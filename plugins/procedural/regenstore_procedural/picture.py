"""A complete picture: the scene described by a prompt, seen by a camera at a moment, as 8-bit RGB."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from regenstore.generators.implementation import Pixels
from regenstore_procedural.canvas import Canvas, View
from regenstore_procedural.charts import Bars, Grid
from regenstore_procedural.city import Skyline
from regenstore_procedural.flow import Flow
from regenstore_procedural.mood import Mood, mood_of
from regenstore_procedural.randomness import stream
from regenstore_procedural.space import Nebula
from regenstore_procedural.terrain import Landscape
from regenstore_procedural.water import Seascape
from regenstore_procedural.weather import Weather

BAND = 1 << 21
"""Pixels drawn at a time; this bounds the memory for a large picture."""
EXACT = ("bars", "grid")
"""Test charts, whose levels are not modified."""
GRAIN = 7.0


class Scene(Protocol):
    def draw(self, canvas: Canvas, view: View) -> None: ...


SCENES: dict[str, Callable[[Mood, tuple[object, ...], float], Scene]] = {
    "landscape": Landscape,
    "seascape": Seascape,
    "skyline": Skyline,
    "nebula": Nebula,
    "flow": Flow,
    "bars": Bars,
    "grid": Grid,
}


@dataclass(frozen=True)
class Camera:
    """The camera: its offset in scene units, its zoom, and the time in seconds."""

    x: float = 0.0
    y: float = 0.0
    zoom: float = 1.0
    time: float = 0.0


class Picture:
    """The picture for a prompt, seed, style and size. Drawing with the same camera again gives the same pixels."""

    def __init__(self, params: Mapping[str, Any], width: int, height: int) -> None:
        self.width, self.height = width, height
        prompt, seed = str(params["prompt"]), int(params["seed"])
        self.mood = mood_of(prompt, str(params["style"]), seed)
        names, aspect = (prompt, seed), width / height
        self._names = names
        self._scene = SCENES[self.mood.style](self.mood, names, aspect)
        plain = self.mood.style in EXACT
        self._weather = None if plain or self.mood.style in ("nebula", "flow") else Weather(self.mood, names, aspect)
        self._grain = 0.0 if plain else float(params["grain"])
        self._vignette = 0.0 if plain else 0.34

    def draw(self, camera: Camera | None = None, frame: int = 0, tick: Callable[[float], None] | None = None) -> Pixels:
        """Draw the picture as rows x columns x 3. ``tick`` is called with the fraction done."""
        camera = camera or Camera()
        out = np.empty((self.height, self.width, 3), np.uint8)
        step = max(16, BAND // self.width)
        for first in range(0, self.height, step):
            last = min(self.height, first + step)
            view = View(self.width, self.height, first, last, camera.x, camera.y, camera.zoom, camera.time)
            self._band(view, out[first:last], frame)
            if tick is not None:
                tick(last / self.height)
        return out

    def _band(self, view: View, out: Pixels, frame: int) -> None:
        canvas = Canvas(view.rows, view.width)
        self._scene.draw(canvas, view)
        if self._weather is not None:
            self._weather.draw(canvas, view)
        if self._vignette:
            canvas.vignette(view, self._vignette)
        grain = None
        if self._grain:
            random = stream("grain", *self._names, frame, view.first)
            grain = random.random((view.rows, view.width), np.float32)
            grain += random.random((view.rows, view.width), np.float32)
            grain -= np.float32(1)
            grain *= np.float32(GRAIN * self._grain)
            grain += np.float32(0.5)
        canvas.quantise(out, grain)
