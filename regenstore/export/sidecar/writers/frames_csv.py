"""Per-frame measurements as CSV: for spreadsheets and pandas, and as data footage of After Effects.

UTF-8 without a byte order mark, LF, a point in decimals, numbers only; a value that is not known is an empty
cell. The first line names the columns; ``frame`` counts from 0.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Mapping, Sequence, Set

from regenstore.export.context import text_of
from regenstore.export.sidecar.series import MEASURED, finite, left_out, shortest, whole_series, with_measured
from regenstore.export.sidecar.writer import Clip, Filled, Options, Rendered, Row, Scope, Target

_HEADER = re.compile(r"[A-Za-z_][\w .:/-]*", re.ASCII)


class FramesCsvWriter:
    """See :class:`regenstore.export.sidecar.writer.Writer`."""

    name = "frames-csv"
    scope: Scope = "clip"

    def vocabulary(self) -> Mapping[str, Target] | None:
        return None

    def settings(self) -> Mapping[str, Target]:
        return {"measured": MEASURED}

    def refuses(self, clip: Clip, options: Options) -> str | None:
        return "no frames of it were measured" if clip.metrics is None else None

    def render(self, filled: Sequence[Filled], options: Options) -> list[Rendered]:
        (each,) = filled
        columns: dict[str, array[float]] = {}
        counters: set[str] = set()
        rows, warnings = [], list[str]()
        for row in with_measured(each, options.settings.get("measured")):
            if row.status in ("missing", "redacted"):
                rows.append(row)
                continue
            problem = _unfit(row, each.clip, columns)
            if problem:
                rows.append(left_out(row, problem, warnings))
                continue
            assert isinstance(row.value, array)
            columns[row.target] = row.value
            if row.source == "frames.index":
                counters.add(row.target)
            rows.append(row.written(text_of(row.value)))
        problems = [] if columns else ["it has no columns"]
        if "frame" in columns.keys() - counters:
            problems.append("the column 'frame' counts frames: its source is frames.index, or call it otherwise")
        data = table(columns, counters)
        return [Rendered(options.name_for(each.clip), data, tuple(rows), tuple(warnings), tuple(problems))]


WRITER = FramesCsvWriter()


def table(columns: Mapping[str, Sequence[float]], counters: Set[str] = frozenset()) -> bytes:
    """Columns of numbers of one length as the file's bytes. All but ``counters`` are written with a point, so
    that a column has one type in every file, whatever its values."""
    forms = [shortest if name in counters else _decimal for name in columns]
    lines = [",".join(columns)]
    # A line without anything is none to readers: the only cell of a line is quoted where it is empty.
    lines += (",".join(form(value) for form, value in zip(forms, row)) or '""' for row in zip(*columns.values()))
    return ("\n".join(lines) + "\n").encode()


def _decimal(value: float) -> str:
    return repr(float(value) + 0.0) if finite(value) else ""


def _unfit(row: Row, clip: Clip, columns: Mapping[str, object]) -> str:
    if not _HEADER.fullmatch(row.target):
        return "a column's name starts with a letter and goes on with letters, digits and _ - . : /"
    if row.target in columns:
        return "there is one of this name already"
    if isinstance(row.value, array) and row.source != "frames.time":
        return ""  # a column that is empty throughout still has its place: readers count on it
    found = whole_series(row, clip)
    return found if isinstance(found, str) else ""
