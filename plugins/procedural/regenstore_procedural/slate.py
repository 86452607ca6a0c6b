"""A production slate over a picture, saying what it is and how it was made."""

from __future__ import annotations

import textwrap

import numpy as np

from regenstore.generators.api import Item
from regenstore.generators.implementation import Pixels, plate, stamp


def lay_slate(pixels: Pixels, item: Item) -> None:
    """Darken the picture and write shot, prompt, seed and size over it, in place."""
    height, width = pixels.shape[:2]
    pixels[...] = (pixels.astype(np.uint16) * 2 // 5).astype(np.uint8)
    size = max(9, height // 14)
    params = item.params
    x, y = width // 14, height // 8
    title = str(params["shot"]) or "untitled"
    stamp(pixels, title, x, y, size * 2)
    y += size * 3
    small = max(8, size * 3 // 4)
    across = max(12, int((width - 2 * x) / max(1.0, plate("n", small).shape[1] * 0.62)))
    lines = textwrap.wrap(str(params["prompt"]), across)[:4]
    lines += [f"seed {params['seed']}", f"{width} x {height}" + _rate(item)]
    for line in lines:
        if y + small * 2 > height:
            return
        stamp(pixels, line, x, y, small)
        y += int(small * 1.7)


def _rate(item: Item) -> str:
    return f", {item.params['frames']} frames at {item.params['fps']:g}" if "frames" in item.params else ""
