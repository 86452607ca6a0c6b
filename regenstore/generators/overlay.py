"""Text on pictures: burnt-in shot name and timecode, and labels. Uses Pillow's bundled font, so that the machine's
fonts do not matter; FreeType's version is in the fingerprint."""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from regenstore.media.stills import Pixels
from regenstore.media.timecode import from_timecode, to_timecode


@lru_cache(maxsize=32)
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The bundled font at a size in pixels."""
    return ImageFont.load_default(max(6, size))


@lru_cache(maxsize=512)
def plate(text: str, size: int) -> Pixels:
    """Render a line of text as an alpha mask (rows x columns) with a margin. Cached: timecodes repeat digits often."""
    left, top, right, bottom = font(size).getbbox(text or " ")
    margin = max(2, size // 4)
    picture = Image.new("L", (int(right - left) + 2 * margin, size + 2 * margin), 0)
    ImageDraw.Draw(picture).text(
        (margin - left, margin + (size - (bottom - top)) / 2 - top), text, fill=255, font=font(size)
    )
    return np.asarray(picture)


def stamp(pixels: Pixels, text: str, x: int, y: int, size: int) -> None:
    """Write text in white on a darkened box, in place. ``x`` and ``y`` are the box's top left; negative values count
    from the right and from the bottom."""
    mask = plate(text, size)
    rows, columns = mask.shape
    height, width = pixels.shape[:2]
    x = width + x - columns if x < 0 else x
    y = height + y - rows if y < 0 else y
    x, y = max(0, min(x, width - 1)), max(0, min(y, height - 1))
    part = pixels[y : y + rows, x : x + columns, :3]
    mask = mask[: part.shape[0], : part.shape[1], None].astype(np.uint16)
    dark = part.astype(np.uint16) * 5 // 8
    part[...] = ((dark * (255 - mask) + 235 * mask + 127) // 255).astype(np.uint8)


def counted(frame: int, rate: Fraction) -> str:
    """A frame number as burnt in: never drop-frame, two digits for the frames at any rate. The bytes of existing
    media depend on this form."""
    return to_timecode(frame, rate, digits=2)


def burn_in(pixels: Pixels, shot: str, timecode: str, frame: int, rate: Fraction) -> None:
    """Burn in the shot name at the lower left and the running timecode at the lower right, in place."""
    size = max(8, pixels.shape[0] // 28)
    edge = max(2, size // 2)
    if shot:
        stamp(pixels, shot, edge, -edge, size)
    if timecode:
        number = from_timecode(timecode, rate, drop=False) + frame
        stamp(pixels, counted(number, rate), -edge, -edge, size)
