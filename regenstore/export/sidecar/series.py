"""Per-frame columns of numbers in the forms that sidecar formats need."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator
from fractions import Fraction

from regenstore.export.context import Value
from regenstore.export.sidecar.writer import Clip, Filled, Row, Target

MEASURED = Target("boolean", note="include every measured column that no field maps")
"""The setting ``measured``, for formats that can hold any column."""
NOT_KNOWN = "not known for any frame"
_OF_THE_CONTEXT = ("count", "index", "time")


def finite(value: float) -> bool:
    """Whether a number is known and finite."""
    return math.isfinite(value)


def with_measured(each: Filled, wanted: Value, prefix: str = "") -> tuple[Row, ...]:
    """The rows of a clip; if ``wanted``, with one more for each measured column that no row maps. Its target is the
    column's name after ``prefix``."""
    if wanted is not True or each.clip.metrics is None:
        return each.rows
    taken = {row.source for row in each.rows}
    more = (f"frames.{name}" for name in each.clip.metrics.columns if name not in _OF_THE_CONTEXT)
    rows = (
        Row(prefix + name.removeprefix("frames."), name, None, "redacted")
        if name in each.clip.redacted
        else Row(prefix + name.removeprefix("frames."), name, each.clip.fields.get(name))
        for name in more
        if name not in taken
    )
    return (*each.rows, *rows)


def whole_series(row: Row, clip: Clip) -> array[float] | str:
    """A row's column, or the reason why it cannot be written."""
    if not isinstance(row.value, array):
        return "not one number per frame (use a name from frames.…)"
    if not any(map(finite, row.value)):
        return NOT_KNOWN
    if row.source == "frames.time" and times(clip) is None:
        return "the frame rate varies, and the frames' times were not measured"
    return row.value


def left_out(row: Row, reason: str, warnings: list[str]) -> Row:
    """The row of a field that is not written, with a warning if there was a value."""
    if reason != NOT_KNOWN:
        warnings.append(f"{row.target} is omitted: {reason}")
    return row.written(None, "missing", reason)


def times(clip: Clip) -> list[Fraction] | None:
    """The start of each measured frame in seconds from the first; None if unknown."""
    metrics, base, video = clip.metrics, clip.timebase, clip.info.video
    if metrics is None or base is None or video is None:
        return None
    measured = metrics.columns.get("time")
    if measured is not None and all(map(finite, measured)):
        return [Fraction(value) for value in measured]
    if video.variable:
        return None
    return [index / base.rate for index in range(metrics.count)]


def runs(values: array[float]) -> Iterator[tuple[int, list[float]]]:
    """Runs of consecutive known values, each with the number of its first frame, from 0."""
    found: list[float] = []
    for index, value in enumerate(values):
        if finite(value):
            found.append(value)
        elif found:
            yield index - len(found), found
            found = []
    if found:
        yield len(values) - len(found), found


def shortest(value: float) -> str:
    """The shortest text that reads back as the same number; integers have no decimal point."""
    return repr(float(value) + 0.0).removesuffix(".0")
