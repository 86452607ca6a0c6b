"""Per-frame measurements as CSV, for spreadsheets and pandas, and as data footage for After Effects.

UTF-8 without a byte order mark, LF, decimal points, numbers only; unknown values are empty cells. The first line has
the column names; ``frame`` counts from 0.
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
    """See :class:`regenstore.export.sidecar.writer.SidecarWriter`."""

    name = "frames-csv"
    scope: Scope = "clip"

    def vocabulary(self) -> Mapping[str, Target] | None:
        return None

    def settings(self) -> Mapping[str, Target]:
        return {"measured": MEASURED}

    def refuses(self, clip: Clip, options: Options) -> str | None:
        return "its frames were not measured" if clip.metrics is None else None

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
            problems.append("the column 'frame' must have the source frames.index, or another name")
        data = table(columns, counters)
        return [Rendered(options.name_for(each.clip), data, tuple(rows), tuple(warnings), tuple(problems))]


WRITER = FramesCsvWriter()


def table(columns: Mapping[str, Sequence[float]], counters: Set[str] = frozenset()) -> bytes:
    """Format columns of numbers of equal length as the file's bytes. All but ``counters`` have a decimal point, so
    that a column has the same type in every file, whatever its values."""
    forms = [shortest if name in counters else _decimal for name in columns]
    lines = [",".join(columns)]
    # Readers skip empty lines, so an empty cell is quoted if it is the only one in its line.
    lines += (",".join(form(value) for form, value in zip(forms, row)) or '""' for row in zip(*columns.values()))
    return ("\n".join(lines) + "\n").encode()


def _decimal(value: float) -> str:
    return repr(float(value) + 0.0) if finite(value) else ""


def _unfit(row: Row, clip: Clip, columns: Mapping[str, object]) -> str:
    if not _HEADER.fullmatch(row.target):
        return "a column name must start with a letter, followed by letters, digits and _ - . : /"
    if row.target in columns:
        return "this name is already used"
    if isinstance(row.value, array) and row.source != "frames.time":
        return ""  # an empty column is still written: readers expect it
    found = whole_series(row, clip)
    return found if isinstance(found, str) else ""
