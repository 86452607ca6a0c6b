"""What is wrong with a table of frames."""

from __future__ import annotations

import csv
import io
import math


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
