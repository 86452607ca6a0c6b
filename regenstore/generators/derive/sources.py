"""The inputs of a derived medium: which there are, their order and their content."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from regenstore.generators.api import Item
from regenstore.generators.derive.geometry import Fitting
from regenstore.media import decode, stills
from regenstore.media.stills import Pixels


def only(item: Item, name: str = "source") -> str:
    """The path of a required input; raises ValueError if it is missing."""
    path = item.inputs.get(name)
    if path is None:
        raise ValueError(f"this operation needs the input '{name}' (give it with -i {name}=PATH)")
    return path


def ordered(inputs: Mapping[str, str]) -> list[tuple[str, str]]:
    """All inputs in the natural order of their names: ``shot2`` comes before ``shot10``."""

    def natural(name: str) -> list[tuple[int, int | str]]:
        return [(0, int(part)) if part.isdecimal() else (1, part) for part in re.split(r"(\d+)", name) if part]

    return sorted(inputs.items(), key=lambda pair: (natural(pair[0]), pair[0]))


def several(item: Item, least: int = 1) -> list[tuple[str, str]]:
    """All inputs in order; raises ValueError if there are fewer than ``least``."""
    found = ordered(item.inputs)
    if len(found) < least:
        raise ValueError(f"this operation needs {least} or more inputs, not {len(found)}")
    return found


def named(name: str) -> str:
    """An input as messages name it."""
    return f"the input '{name}'"


def all_named(item: Item) -> str:
    """All inputs of an item as messages name them."""
    return " and ".join(named(name) for name, _ in ordered(item.inputs))


def picture(path: str, name: str) -> Pixels:
    """Read a still, or the first frame of a video."""
    if stills.is_still(path):
        return stills.read_still(path, named(name))
    for _, frame in decode.frames(path, last=0, what=named(name)):
        return decode.to_rgb(frame)
    raise ValueError(f"{named(name)} has no picture")


def fitted(pixels: Pixels, fit: Fitting) -> Pixels:
    """Scale to the inner size, then crop to the outer one or centre in it on black."""
    scaled = stills.scale_still(pixels, *fit.inner)
    if fit.inner == fit.outer:
        return scaled
    (iw, ih), (ow, oh) = fit.inner, fit.outer
    if iw >= ow and ih >= oh:
        x, y = (iw - ow) // 2, (ih - oh) // 2
        return np.ascontiguousarray(scaled[y : y + oh, x : x + ow])
    framed = np.zeros((oh, ow, pixels.shape[2]), np.uint8)
    if pixels.shape[2] == 4:
        framed[..., 3] = 255
    x, y = (ow - iw) // 2, (oh - ih) // 2
    framed[y : y + ih, x : x + iw] = scaled
    return framed
