"""Frame tables, read back by Python's csv module and by pandas."""

from __future__ import annotations

import csv
import io
import math

import pytest

from regenstore.export.sidecar import writers
from regenstore.export.sidecar.writer import Options
from tests.export.checks import check
from tests.export.clips import RATES, clip, filled
from tests.export.one_file import by_template, render

NAN = math.nan
VALUES = [0.1 + 0.2, NAN, -1e-300, 5e300, -0.0, 7.0]


def read(data: bytes) -> dict[str, list[float]]:
    header, *body = csv.reader(io.StringIO(data.decode("ascii"), newline=""), strict=True)
    return {name: [float(row[at] or "nan") for row in body] for at, name in enumerate(header)}


@pytest.mark.parametrize("rate", RATES)
def test_every_value_comes_back_at_every_rate(rate):
    shown = clip(rate=rate, frames=6, columns={"blur": VALUES, "face_count": [1.0] * 6, "own": [2.0] * 6})
    table = read(by_template("frames", "frames-csv", shown).data)
    assert list(table) == ["frame", "time_s", "blur", "face_count", "own"]
    assert table["frame"] == [0, 1, 2, 3, 4, 5]
    assert [round(time * rate) for time in table["time_s"]] == table["frame"]
    assert table["blur"] == pytest.approx(VALUES, rel=0, abs=0, nan_ok=True)


@pytest.mark.heavy  # the lane that installs what it needs
def test_pandas_sees_the_same_types_whatever_the_values():
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    for values in ([1.0, 2.0], [NAN, NAN], [0.5, NAN]):
        data = by_template("frames", "frames-csv", clip(frames=2, columns={"black": values})).data
        frame = pandas.read_csv(io.BytesIO(data))
        assert [str(kind) for kind in frame.dtypes] == ["int64", "float64", "float64"]
        assert frame["black"].tolist() == pytest.approx(values, nan_ok=True)


def test_without_measurements_there_is_no_table():
    assert writers.find("frames-csv").refuses(clip(), Options("a")) is not None


def test_a_variable_rate_has_no_times_unless_they_were_measured():
    guessed = by_template("frames", "frames-csv", clip(frames=2, columns={"blur": [1.0, 2.0]}, variable=True))
    assert list(read(guessed.data)) == ["frame", "blur"]
    assert "varies" in guessed.warnings[0]
    columns = {"blur": [1.0, 2.0], "time": [0.0, 0.7]}
    measured = by_template("frames", "frames-csv", clip(frames=2, columns=columns, variable=True))
    assert read(measured.data)["time_s"] == [0.0, 0.7]


def test_what_is_no_column_is_left_out():
    shown = clip(frames=1, columns={"a": [1.0]})
    rows = [("a", "frames.a"), ("a", "frames.a"), ("prompt", "gen.prompt"), ("=1+1", "frames.a"), ("x,y", "frames.a")]
    rendered = render("frames-csv", filled(shown, *rows), Options("a.csv"))
    assert rendered.data == b"a\n1.0\n"
    assert [row.status for row in rendered.rows] == ["ok", *["missing"] * 4]


def test_a_lone_column_keeps_its_lines():
    shown = clip(frames=3, columns={"a": [1.0, float("nan"), 3.0]})
    rendered = render("frames-csv", filled(shown, ("a", "frames.a")), Options("a.csv"))
    assert list(csv.reader(rendered.data.decode().splitlines())) == [["a"], ["1.0"], [""], ["3.0"]]


def test_redacted_columns_are_gone():
    shown = clip(frames=1, columns={"a": [1.0], "b": [2.0]}, redact=frozenset({"frames.b"}))
    assert read(by_template("frames", "frames-csv", shown).data).keys() == {"frame", "time_s", "a"}


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        (b"frame,", b"\xef\xbb\xbfframe,", "byte order"),
        (b"\n", b"\r\n", "CR"),
        (b"\n1,", b"\n2,", "count 0, 1"),
        (b"0.5", b"0,5", "cells"),
        (b"0.5", b"=A1", "no number"),
        (b"0.5", b"nan", "no number"),
        (b"blur", b"frame", "same name"),
        (b"0.5\n", b"0.5", "does not end"),
        (b"0.5", b"\xff", "no CSV"),
        (b"0.5", b'"0.5', "no CSV"),
    ],
)
def test_the_checker_finds(old, new, found):
    data = by_template("frames", "frames-csv", clip(frames=2, columns={"blur": [1.5, 0.5]})).data
    changed = data.replace(old, new, 1) if old != b"0.5\n" else data.rstrip(b"\n")
    problems = check("frames-csv", changed)
    assert any(found in problem for problem in problems), problems
