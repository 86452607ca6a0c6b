"""``derive.image``: derive a picture from other media."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import numpy as np

from regenstore.generators.api import Item
from regenstore.generators.derive.geometry import fitting, parse_crop
from regenstore.generators.derive.sources import fitted, named, only, picture, several
from regenstore.generators.implementation import InProcess, Tick
from regenstore.generators.overlay import burn_in, counted, stamp
from regenstore.media import decode, stills
from regenstore.media.encode import Frame
from regenstore.media.stills import Pixels

GAP = 8
GROUND = 24
LARGEST = 1 << 28
"""Largest contact sheet, in pixels."""
FAR = 250
"""Number of frames between two cells from which seeking to a key frame is faster than decoding: x264's usual
distance between key frames."""
STILL_RATE = Fraction(24)
"""The rate at which timecode on a still counts."""


class DeriveImage(InProcess):
    """Operations: transform, frame, contact_sheet."""

    name = "derive.image"

    def make(self, item: Item, path: str, tick: Tick) -> None:
        operation = item.params["operation"]
        if operation == "contact_sheet":
            pixels = contact_sheet(item, tick)
        else:
            number, rate = 0, STILL_RATE
            if operation == "frame":
                pixels, number, rate = _frame(item)
            else:
                pixels = picture(only(item), "source")
            tick(1, 2, "decoded")
            pixels = _transformed(pixels, item)
            burn_in(pixels, item.params["shot"], item.params["timecode"], number, rate)
        tick(2, 2, "drawn")
        stills.write_still(path, pixels, item.media_type)


def _frame(item: Item) -> tuple[Pixels, int, Fraction]:
    """The frame selected by ``frame`` or ``time`` (default: the first), its number, and the video's rate."""
    path, what = only(item), named("source")
    rate = decode.inspect(path, what).rate
    if "frame" in item.params and "time" in item.params:
        raise ValueError("give 'frame' or 'time', not both")
    number = int(item.params.get("frame", 0))
    if "time" in item.params:
        number = int(Fraction(str(item.params["time"])) * rate)
    for found, frame in decode.frames(path, first=number, last=number, what=what):
        if found == number:
            return decode.to_rgb(frame), number, rate
    raise ValueError(f"{what} has no frame {number}: it has {decode.frame_count(path, what)}, counted from 0")


def _transformed(pixels: Pixels, item: Item) -> Pixels:
    box = parse_crop(item.params["crop"], pixels.shape[1], pixels.shape[0])
    if box is not None:
        x, y, width, height = box
        pixels = pixels[y : y + height, x : x + width]
    size = fitting(pixels.shape[1], pixels.shape[0], item.params, even=False)
    return np.array(fitted(np.ascontiguousarray(pixels), size))


def contact_sheet(item: Item, tick: Tick) -> Pixels:
    """A grid of frames spread over one video, or of one picture from each of several inputs."""
    sources = several(item)
    columns, width = int(item.params["columns"]), int(item.params["cell_width"])
    if len(sources) == 1 and not stills.is_still(sources[0][1]):
        cells = _spread(sources[0][1], sources[0][0], int(item.params["count"]), width, tick)
    else:
        cells = []
        for number, (name, path) in enumerate(sources):
            _add_cell(cells, name, picture(path, name)[..., :3], width)
            tick(number + 1, len(sources), name)
    return _grid(cells, columns, width, labels=bool(item.params["labels"]))


def _spread(path: str, name: str, count: int, width: int, tick: Tick) -> list[tuple[str, Pixels]]:
    total = decode.frame_count(path, named(name)) or 1
    rate = decode.inspect(path, named(name)).rate
    wanted = sorted({(2 * i + 1) * total // (2 * count) for i in range(min(count, total))})
    cells: list[tuple[str, Pixels]] = []
    for number, frame in _chosen(path, name, wanted, total > FAR * len(wanted)):
        if number == wanted[len(cells)]:
            _add_cell(cells, counted(number, rate), decode.to_rgb(frame), width)
        tick(len(cells), len(wanted), "frames")
        if len(cells) == len(wanted):
            break
    if not cells:
        raise ValueError(f"{named(name)} has no frame that can be decoded")
    return cells


def _chosen(path: str, name: str, wanted: list[int], far: bool) -> Iterator[tuple[int, Frame]]:
    """Yield the wanted frames, possibly with others between them."""
    if not far:
        yield from decode.frames(path, last=wanted[-1], what=named(name))
        return
    for number in wanted:
        yield from decode.frames(path, first=number, last=number, what=named(name))


def _add_cell(cells: list[tuple[str, Pixels]], label: str, pixels: Pixels, width: int) -> None:
    """Scale a picture to a cell. Raises ValueError before the sheet outgrows memory."""
    height = max(1, int(pixels.shape[0] * width / pixels.shape[1] + 0.5))
    if height * width + sum(cell.shape[0] * width for _, cell in cells) > LARGEST:
        raise ValueError(f"the contact sheet would have more than {LARGEST} pixels: make its cells smaller or fewer")
    cells.append((label, stills.scale_still(np.ascontiguousarray(pixels), width, height)))


def _grid(cells: list[tuple[str, Pixels]], columns: int, width: int, *, labels: bool) -> Pixels:
    columns = min(columns, len(cells))
    tall = max(cell.shape[0] for _, cell in cells)
    label = max(10, width // 16) if labels else 0
    step_x, step_y = width + GAP, tall + GAP + (2 * label if labels else 0)
    rows = -(-len(cells) // columns)
    if (rows * step_y + GAP) * (columns * step_x + GAP) > LARGEST:
        raise ValueError(
            f"the contact sheet would have {columns * step_x}x{rows * step_y} pixels: make its cells smaller"
        )
    sheet = np.full((rows * step_y + GAP, columns * step_x + GAP, 3), GROUND, np.uint8)
    for number, (name, cell) in enumerate(cells):
        x, y = GAP + number % columns * step_x, GAP + number // columns * step_y
        inset = (tall - cell.shape[0]) // 2
        sheet[y + inset : y + inset + cell.shape[0], x : x + width] = cell
        if labels:
            stamp(sheet[:, x : x + width], name, 0, y + tall + 2, label)
    return sheet
