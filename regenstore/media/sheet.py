"""Contact sheets: many pictures as thumbnails on one, with text below each."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFont

from regenstore.media.thumbnail import thumbnail

_SIDE, _EDGE, _GAP, _LINE = 256, 8, 16, 19
"""Pixels: the longest side of a thumbnail, the space around it, the space between cells, the height of a line."""
_TEXT = 14
_BACK, _CELL, _INK, _QUIET = "#161616", "#262626", "#f2f2f2", "#9a9a9a"
_WIDEST = 6
"""Cells in a row at most."""


class SheetFrame(NamedTuple):
    """A cell of a contact sheet."""

    file: str | None
    """The medium: a picture, or a video, of which a frame is shown. None leaves the frame empty."""
    media_type: str
    lines: tuple[str, ...]
    """The text below; its first line stands out."""
    empty: str
    """What stands in a frame without a picture."""


def sheet(frames: Sequence[SheetFrame]) -> bytes:
    """Return a PNG with all frames, row by row."""
    columns = min(_WIDEST, max(1, math.ceil(math.sqrt(len(frames) * 1.7))))
    rows = math.ceil(len(frames) / columns)
    lines = max((len(frame.lines) for frame in frames), default=0)
    width, height = _SIDE + 2 * _EDGE, _SIDE + 3 * _EDGE + lines * _LINE
    size = (columns * (width + _GAP) + _GAP, rows * (height + _GAP) + _GAP)
    picture = Image.new("RGB", size, _BACK)
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(_TEXT)
    for at, frame in enumerate(frames):
        left = _GAP + at % columns * (width + _GAP)
        top = _GAP + at // columns * (height + _GAP)
        draw.rectangle((left, top, left + width - 1, top + height - 1), fill=_CELL)
        _draw_frame(picture, draw, frame, (left + _EDGE, top + _EDGE), font)
        for number, line in enumerate(frame.lines):
            place = (left + _EDGE, top + _SIDE + 2 * _EDGE + number * _LINE)
            draw.text(place, _fitting(line, font), fill=_QUIET if number else _INK, font=font)
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def _draw_frame(
    picture: Image.Image, draw: ImageDraw.ImageDraw, frame: SheetFrame, at: tuple[int, int], font: _Font
) -> None:
    left, top = at
    jpeg = None if frame.file is None else thumbnail(frame.file, frame.media_type, _SIDE)
    if jpeg is not None:
        small = Image.open(io.BytesIO(jpeg))
        small.thumbnail((_SIDE, _SIDE))
        picture.paste(small, (left + (_SIDE - small.width) // 2, top + (_SIDE - small.height) // 2))
        return
    draw.rectangle((left, top, left + _SIDE - 1, top + _SIDE - 1), outline=_QUIET)
    text = _fitting(frame.empty if frame.file is None else f"no picture ({frame.media_type})", font)
    draw.text((left + _SIDE / 2, top + _SIDE / 2), text, fill=_QUIET, font=font, anchor="mm")


def _fitting(text: str, font: _Font) -> str:
    """The text, or its beginning, as far as a cell is wide."""
    if font.getlength(text) <= _SIDE:
        return text
    short = text[:200]
    while short and font.getlength(short + "…") > _SIDE:
        short = short[:-1]
    return short + "…"
