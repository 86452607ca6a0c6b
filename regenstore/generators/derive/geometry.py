"""Sizes of cropped and scaled pictures. Pure arithmetic."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_CROP = re.compile(r"(\d+)x(\d+)\+(\d+)\+(\d+)")
Box = tuple[int, int, int, int]
LONGEST = 16384
"""Longest side that scaling may produce, so that a long thin picture cannot exhaust memory."""


@dataclass(frozen=True)
class Fitting:
    """How a picture is fitted to a new size: scale to ``inner``, then cut or pad to ``outer``."""

    inner: tuple[int, int]
    outer: tuple[int, int]


def parse_crop(text: str, width: int, height: int) -> Box | None:
    """Parse ``WIDTHxHEIGHT+X+Y`` to (x, y, width, height) inside a picture; None for empty text."""
    if not text:
        return None
    match = _CROP.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"crop {text!r} is not of the form WIDTHxHEIGHT+X+Y")
    w, h, x, y = map(int, match.groups())
    if w < 1 or h < 1 or x + w > width or y + h > height:
        raise ValueError(f"crop {text} does not lie inside the picture, which is {width}x{height}")
    return x, y, w, h


def fitting(width: int, height: int, params: Mapping[str, Any], *, even: bool) -> Fitting:
    """The sizes for a picture of ``width`` x ``height`` under the parameters width, height and fit."""
    wanted_w: int | None = params.get("width")
    wanted_h: int | None = params.get("height")
    if wanted_w is None and wanted_h is None:
        size = _rounded(width, height, even)
        return Fitting(size, size)
    if wanted_w is None or wanted_h is None:
        scale = wanted_w / width if wanted_w is not None else (wanted_h or height) / height
        size = _scaled(width, height, scale, even)
        return Fitting(size, size)
    outer = _rounded(wanted_w, wanted_h, even)
    fit = params.get("fit", "contain")
    if fit == "stretch":
        return Fitting(outer, outer)
    scales = (outer[0] / width, outer[1] / height)
    scale = max(scales) if fit == "cover" else min(scales)
    inner = _scaled(width, height, scale, even)
    return Fitting(inner, inner if fit == "contain" else outer)


def _scaled(width: int, height: int, scale: float, even: bool) -> tuple[int, int]:
    size = _rounded(width * scale, height * scale, even)
    if max(size) > max(LONGEST, width, height):
        raise ValueError(
            f"{width}x{height} would be scaled to {size[0]}x{size[1]}; a side can have at most {LONGEST} pixels"
        )
    return size


def _rounded(width: float, height: float, even: bool) -> tuple[int, int]:
    if even:
        return max(2, int(width / 2 + 0.5) * 2), max(2, int(height / 2 + 0.5) * 2)
    return max(1, int(width + 0.5)), max(1, int(height + 0.5))
