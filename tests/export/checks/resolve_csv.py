"""What is wrong with a metadata CSV for Resolve."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator, Mapping

from regenstore.export.sidecar.writers.resolve_csv import MATCHING, VOCABULARY, _column
from regenstore.media.rates import exact_rate
from regenstore.media.timecode import from_timecode, to_timecode


def check(data: bytes) -> list[str]:
    """Problems of a metadata CSV: encoding, line ends, columns that Resolve knows, timecode that adds up."""
    if not data.startswith(codecs.BOM_UTF16_LE):
        return ["it does not begin with the byte order mark of UTF-16LE"]
    try:
        text = data[2:].decode("utf-16-le")
        table = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        return [f"no CSV in UTF-16LE: {error}"]
    if "\r" in text or not text.endswith("\n"):
        return ["lines have to end in a line feed alone"]
    header, *rows = table
    known = {*MATCHING, *map(_column, VOCABULARY)}
    problems = [
        f"Resolve has no field '{name}'" for name in header if name not in known and not name.startswith("Regen ")
    ]
    problems += [f"the column '{name}' is there twice" for name in sorted({n for n in header if header.count(n) > 1})]
    problems += [f"there is no column '{name}'" for name in ("File Name", "Start TC", "End TC") if name not in header]
    for number, row in enumerate(rows, 2):
        if len(row) != len(header):
            problems.append(f"line {number} has {len(row)} cells, the header has {len(header)}")
        else:
            problems += [f"line {number}: {problem}" for problem in _row_problems(dict(zip(header, row)))]
    return problems


def _row_problems(row: Mapping[str, str]) -> Iterator[str]:
    if not row.get("File Name"):
        yield "no file name"
    start, end, rate, frames = (row.get(name, "") for name in ("Start TC", "End TC", "Shot Frame Rate", "Frames"))
    if not any((start, end, frames)):
        return
    if not re.fullmatch(r"\d+\.\d{3}", rate) or not frames.isdigit():
        yield "timecode needs a frame rate with three decimals, and a number of frames"
        return
    exact = exact_rate(float(rate))
    try:
        first = from_timecode(start, exact)
        last = to_timecode(first + int(frames), exact, drop=";" in start)
    except ValueError as error:
        yield str(error)
        return
    if last != end:
        yield f"End TC is {end}; {start} and {frames} frames give {last}"
    if row.get("End Frame") and int(frames) - 1 != int(row["End Frame"]):
        yield "End Frame is not the last of Frames"
