"""Shared by all timeline formats: which clips have a timeline, file URLs, and rows as text."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import PurePath, PureWindowsPath
from typing import TypeVar

from regenstore.export.context import text_of
from regenstore.export.sidecar.legal_text import one_line, xml_legal
from regenstore.export.sidecar.writer import Clip, Filled, Row
from regenstore.media.timecode import Timebase

T = TypeVar("T")
OWN_COLUMN = "Regen [^\x00-\x1f\x7f-\x9f\u2028\u2029\ufffe\uffff]+"
"""Pattern of custom columns, as a single-line cell can hold them."""


def written(filled: Filled, convert: Callable[[Row], tuple[T, Row]]) -> tuple[list[tuple[str, T]], tuple[Row, ...]]:
    """The fields to write, as (target, converted value) in order, and all rows as written."""
    values, rows = [], []
    for row in filled.rows:
        if row.status not in ("missing", "redacted"):
            value, row = convert(row)
            values.append((row.target, value))
        rows.append(row)
    return values, tuple(rows)


def no_timeline(clip: Clip) -> str | None:
    """Why a clip has no timeline, or None."""
    if clip.info.video is None:
        return "it has no picture"
    if clip.timebase is None:
        return "a still has no timeline"
    if clip.info.video.variable:
        return "its frame rate varies, so frames would not match times"
    if clip.timebase.frames <= 0:
        return "its number of frames is unknown"
    return None


def timebase_of(clip: Clip) -> Timebase:
    """The timebase of a clip that :func:`no_timeline` accepts."""
    assert clip.timebase is not None
    return clip.timebase


def file_url(path: str) -> str:
    """Convert an absolute path, also one of Windows (``P:/…``), to ``file:///…``, percent-encoded."""
    return (PureWindowsPath(path) if path[1:3] == ":/" else PurePath(path)).as_uri()


def xml_row(row: Row) -> tuple[str, Row]:
    """A row's value as text that XML can hold, and the row as written."""
    text, changed = xml_legal(text_of(row.value))
    note = "characters not allowed in XML became U+FFFD" if changed else ""
    return text, row.written(text, "sanitised" if changed else None, note)


def cell_row(row: Row) -> tuple[str, Row]:
    """A row's value as a table cell (one line, no tabs, valid Unicode only), and the row as written."""
    flat, changed = one_line(text_of(row.value))
    text, replaced = xml_legal(flat)
    note = "line ends, tabs and control characters became spaces" if changed or replaced else ""
    return text, row.written(text, "sanitised" if note else None, note)
