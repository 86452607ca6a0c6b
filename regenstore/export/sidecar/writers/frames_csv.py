"""Per-frame measurements as CSV: for spreadsheets and pandas, and as data footage of After Effects.

UTF-8 without a byte order mark, LF, a point in decimals, numbers only; a value that is not known is an empty
cell. The first line names the columns; ``frame`` counts from 0.
"""

from __future__ import annotations

import csv
import io
import math
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
        return [Rendered(options.name_for(each.clip), table(columns, counters), tuple(rows), tuple(warnings))]

    def check(self, data: bytes, name: str) -> list[str]:
        return check(data)


WRITER = FramesCsvWriter()


def table(columns: Mapping[str, Sequence[float]], counters: Set[str] = frozenset()) -> bytes:
    """Columns of numbers of one length as the file's bytes. All but ``counters`` are written with a point, so
    that a column has one type in every file, whatever its values."""
    forms = [shortest if name in counters else _decimal for name in columns]
    lines = [",".join(columns)]
    lines += (",".join(form(value) for form, value in zip(forms, row)) for row in zip(*columns.values()))
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


def check(data: bytes) -> list[str]:
    """Problems of a frame table: encoding, line ends, a ragged or texty table, frames out of order."""
    problems = []
    if data.startswith(b"\xef\xbb\xbf"):
        problems.append("it starts with a byte order mark")
    if b"\r" in data:
        problems.append("its lines end in CR")
    if not data.endswith(b"\n"):
        problems.append("its last line does not end")
    try:
        lines = list(csv.reader(io.StringIO(data.decode("utf-8"), newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        return [*problems, f"no CSV: {error}"]
    if not lines or not lines[0]:
        return [*problems, "it has no columns"]
    header, body = lines[0], lines[1:]
    if len(set(header)) != len(header) or not all(header):
        problems.append("columns without a name, or of the same name")
    for number, line in enumerate(body, 2):
        if len(line) != len(header):
            problems.append(f"line {number} has {len(line)} cells, not {len(header)}")
        problems += (f"line {number}: '{cell[:40]}' is no number" for cell in line if cell and not _is_number(cell))
        if len(problems) > 20:
            return problems
    if "frame" in header:
        at = header.index("frame")
        if [line[at] for line in body if len(line) > at] != [str(index) for index in range(len(body))]:
            problems.append("frames do not count 0, 1, 2 …")
    return problems


def _is_number(cell: str) -> bool:
    try:
        return math.isfinite(float(cell)) and cell.isascii() and "_" not in cell and cell.strip() == cell
    except ValueError:
        return False
