"""What is wrong with an ALE: read back by the columns that Avid has."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from fractions import Fraction

from regenstore.export.sidecar.writers.ale import COLUMNS, RATES, STRUCTURAL
from regenstore.media.rates import exact_rate
from regenstore.media.timecode import DROPPING, from_timecode, to_timecode


def check(data: bytes) -> list[str]:
    """Problems of an ALE: sections, line ends, columns, one rate, Start + Duration = End."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        return [f"no UTF-8: {error}"]
    if "\n" in text.replace("\r\n", "") or "\r" in text.replace("\r\n", "") or not text.endswith("\r\n"):
        return ["lines have to end in CRLF"]
    form = re.fullmatch(
        r"Heading\r\n((?:[^\r\n]+\r\n)+)\r\nColumn\r\n([^\r\n]+)\r\n\r\nData\r\n((?:[^\r\n]+\r\n)*)", text
    )
    if form is None:
        return ["it has no Heading, Column and Data, with blank lines between"]
    heading = dict(line.partition("\t")[::2] for line in form[1].splitlines())
    columns, rows = form[2].split("\t"), [line.split("\t") for line in form[3].split("\r\n")[:-1]]
    problems = [f"the heading has no {key}" for key in ("FIELD_DELIM", "VIDEO_FORMAT", "FPS") if key not in heading]
    problems += [
        f"Avid has no column '{name}'"
        for name in columns
        if name not in (*STRUCTURAL, *COLUMNS) and not re.fullmatch("Regen .+", name)
    ]
    problems += [f"the column '{name}' is there twice" for name in sorted({n for n in columns if columns.count(n) > 1})]
    problems += [f"there is no column '{name}'" for name in STRUCTURAL if name not in columns]
    if not re.fullmatch(r"\d+(\.\d+)?", heading.get("FPS", "")) or exact_rate(float(heading["FPS"])) not in RATES:
        return [*problems, f"FPS is '{heading.get('FPS')}', which Avid does not have"]
    rate = exact_rate(float(heading["FPS"]))
    for number, row in enumerate(rows, 1):
        if len(row) != len(columns):
            problems.append(f"row {number} has {len(row)} cells for {len(columns)} columns")
        elif not problems:
            problems += [f"row {number}: {problem}" for problem in _row_problems(dict(zip(columns, row)), rate)]
    return problems


def _row_problems(row: Mapping[str, str], rate: Fraction) -> Iterator[str]:
    drop = ";" in row["Start"]
    if drop and rate not in DROPPING:
        yield "drop-frame timecode at a rate that has none"
        return
    try:
        start, length = (from_timecode(row[name], rate, drop=drop) for name in ("Start", "Duration"))
    except ValueError as error:
        yield str(error)
        return
    end = to_timecode(start + length, rate, drop=drop)
    if row["End"] != end:
        yield f"End is {row['End']}; Start and Duration give {end}"
