"""``procedural.image``: a still drawn from a prompt and a seed."""

from __future__ import annotations

from fractions import Fraction

from regenstore.generators.api import Item
from regenstore.generators.implementation import InProcess, Tick, burn_in, write_still
from regenstore_procedural.picture import Picture
from regenstore_procedural.slate import lay_slate

STILL_RATE = Fraction(24)
"""The rate at which timecode on a still counts."""


class ProceduralImage(InProcess):
    """Draws one picture; memory is bounded by its 8-bit size and one band of floats."""

    name = "procedural.image"

    def make(self, item: Item, path: str, tick: Tick) -> None:
        params = item.params
        picture = Picture(params, int(params["width"]), int(params["height"]))
        pixels = picture.draw(tick=lambda share: tick(share * 0.9, 1.0, "drawing"))
        if params["slate"]:
            lay_slate(pixels, item)
        burn_in(pixels, "" if params["slate"] else params["shot"], params["timecode"], 0, STILL_RATE)
        write_still(path, pixels, item.media_type)
        tick(1.0, 1.0, "written")
