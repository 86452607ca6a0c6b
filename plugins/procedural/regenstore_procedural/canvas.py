"""The drawing surface: planar float colours for one band of rows, and the camera's view of the scene.

Scene units: the picture's height is 1, y grows downwards from 0, and x is 0 in the middle. A band of rows is drawn
independently and every operation is a function of position, so bands join without a seam and a large picture needs no
more memory than its 8-bit result.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regenstore_procedural.noise import Box
from regenstore_procedural.randomness import Floats

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class View:
    """The rows to draw, in which picture, from which camera position, at which time."""

    width: int
    height: int
    first: int
    last: int
    """One past the last row."""
    x: float = 0.0
    y: float = 0.0
    zoom: float = 1.0
    time: float = 0.0

    @property
    def rows(self) -> int:
        return self.last - self.first

    def zoom_at(self, depth: float) -> float:
        return 1.0 + (self.zoom - 1.0) * depth

    def pixel(self, depth: float = 1.0) -> float:
        """The size of a pixel, in scene units."""
        return 1.0 / (self.height * self.zoom_at(depth))

    def box(self, depth: float = 1.0) -> Box:
        """The band in scene units. ``depth`` 1 moves with the camera; 0 is infinitely far away."""
        unit, zoom = self.height, self.zoom_at(depth)
        half = self.width / 2
        left, right = -half / unit / zoom + self.x * depth, half / unit / zoom + self.x * depth
        top = 0.5 + (self.first / unit - 0.5) / zoom + self.y * depth
        bottom = 0.5 + (self.last / unit - 0.5) / zoom + self.y * depth
        return Box(left, top, right, bottom, self.width, self.rows)

    def axes(self, depth: float = 1.0) -> tuple[Floats, Floats]:
        """Positions of the pixel centres: x along columns, y along rows."""
        box, pixel = self.box(depth), self.pixel(depth)
        x = box.left + (np.arange(self.width) + 0.5) * pixel
        y = box.top + (np.arange(self.rows) + 0.5) * pixel
        return x.astype(np.float32), y.astype(np.float32)

    def band(self, first: int, last: int) -> View:
        return replace(self, first=first, last=last)


class Canvas:
    """The red, green and blue planes of a band, 0 to 1."""

    def __init__(self, rows: int, width: int) -> None:
        self.planes: Floats = np.zeros((3, rows, width), np.float32)

    def mix(self, colour: Any, mask: Floats, rows: slice = slice(None)) -> None:
        """Blend a colour (three numbers or three planes) over the canvas, by a mask."""
        for plane, value in zip(self.planes, colour):
            part = plane[rows]
            change = value - part
            change *= mask
            part += change

    def add(self, colour: Any, mask: Floats, rows: slice = slice(None)) -> None:
        """Add light, by a mask."""
        for plane, value in zip(self.planes, colour):
            if value:
                plane[rows] += mask * np.float32(value)

    def vertical(self, stops: list[tuple[float, Colour]], y: Floats) -> None:
        """Fill with a vertical gradient."""
        for channel, plane in enumerate(self.planes):
            plane[...] = gradient(stops, y, channel)[:, None]

    def vignette(self, view: View, strength: float) -> None:
        """Darken towards the corners."""
        x = (np.arange(view.width, dtype=np.float32) + 0.5) / view.width * 2 - 1
        y = (np.arange(view.first, view.last, dtype=np.float32) + 0.5) / view.height * 2 - 1
        radius = (y * y)[:, None] + (x * x)[None]
        radius *= radius * np.float32(-strength / 4)
        radius += 1
        self.planes *= radius

    def quantise(self, out: NDArray[np.uint8], grain: Floats | None = None) -> None:
        """Write 8-bit pixels (rows x columns x 3). Grain is added before rounding, so it dithers as well."""
        for channel, plane in enumerate(self.planes):
            levels = plane * np.float32(255)
            levels += np.float32(0.5) if grain is None else grain
            np.clip(levels, 0, 255, out=levels)
            out[..., channel] = levels.astype(np.uint8)


def gradient(stops: list[tuple[float, Colour]], at: Floats, channel: int) -> Floats:
    """One channel of a colour gradient at the given positions, smooth between its stops."""
    places = np.array([place for place, _ in stops], np.float64)
    values = np.array([colour[channel] for _, colour in stops], np.float64)
    value: Floats = np.interp(at.astype(np.float64), places, values).astype(np.float32)
    return value


def hex_colour(text: str) -> Colour:
    """Parse ``rrggbb`` to three numbers from 0 to 1."""
    return int(text[:2], 16) / 255, int(text[2:4], 16) / 255, int(text[4:6], 16) / 255


def blend(one: Colour, other: Colour, share: float) -> Colour:
    """Interpolate between two colours: ``share`` 0 gives the first, 1 the second."""
    r, g, b = (a + (c - a) * share for a, c in zip(one, other))
    return r, g, b


def scaled(colour: Colour, factor: float) -> Colour:
    return colour[0] * factor, colour[1] * factor, colour[2] * factor
