"""mgJSON, by a reader of its own here, and by Adobe's schema where somebody has it."""

from __future__ import annotations

import json
import math
import os
import re
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

import pytest

from regenstore.export.sidecar import writers
from regenstore.export.sidecar.writer import Options
from tests.export.checks import check
from tests.export.clips import HOSTILE, LONG, RATES, clip, filled
from tests.export.one_file import by_template, render

NAN = math.nan
COLUMNS = {"blur": [1.5, NAN, -2.25, 1234.5678912, 0.0], "black": [0.0, 1.0, 1.0, 0.0, 0.0], "motion": [NAN] * 5}


def streams(data: bytes) -> dict[str, dict[float, float]]:
    """Display name -> milliseconds -> value."""
    made = json.loads(data)
    sets = {each["sampleSetID"]: each["samples"] for each in made.get("dataDynamicSamples", [])}
    start = datetime(1970, 1, 1, tzinfo=UTC)
    return {
        entry["displayName"]: {
            round((datetime.fromisoformat(each["time"]) - start).total_seconds() * 1000): float(each["value"])
            for each in sets[entry["sampleSetID"]]
        }
        for entry in made["dataOutline"]
        if entry["objectType"] == "dataDynamic"
    }


def statics(data: bytes) -> dict[str, object]:
    return {each["displayName"]: each["value"] for each in json.loads(data)["dataOutline"] if "value" in each}


def test_its_structure():
    data = by_template("aftereffects", "mgjson", clip(frames=5, columns=COLUMNS)).data
    made = json.loads(data)
    assert list(made) == [
        "version", "creator", "dynamicSamplesPresentB", "dynamicDataInfo", "dataOutline", "dataDynamicSamples",
    ]  # fmt: skip
    blur = next(each for each in made["dataOutline"] if each["displayName"] == "blur")
    assert blur == {
        "objectType": "dataDynamic",
        "displayName": "blur",
        "sampleSetID": "00001",
        "dataType": {
            "type": "numberString",
            "numberStringProperties": {
                "pattern": {"isSigned": True, "digitsInteger": 4, "digitsDecimal": 6},
                "range": {
                    "occuring": {"min": -2.25, "max": 1234.567891},
                    "legal": {"min": -2147483648, "max": 2147483648},
                },
            },
        },
        "interpolation": "linear",
        "hasExpectedFrequecyB": False,
        "sampleCount": 4,
        "matchName": "blur",
    }
    assert made["dataDynamicSamples"][0]["samples"][:2] == [
        {"time": "1970-01-01T00:00:00.000Z", "value": "+0001.500000"},
        {"time": "1970-01-01T00:00:00.083Z", "value": "-0002.250000"},
    ]
    assert next(each for each in made["dataOutline"] if each["displayName"] == "black")["interpolation"] == "hold"
    assert "motion" not in streams(data)
    assert statics(data)["seed"] == "1234567890123456789012"
    assert statics(data)["steps"] == 30


@pytest.mark.parametrize("rate", RATES)
def test_frames_come_back_at_every_rate(rate):
    values = [index / 64 for index in range(200)]
    found = streams(by_template("aftereffects", "mgjson", clip(rate=rate, frames=200, columns={"blur": values})).data)
    assert {round(Fraction(at, 1000) * rate): value for at, value in found["blur"].items()} == dict(enumerate(values))


@pytest.mark.parametrize("text", [HOSTILE, LONG])
def test_a_hostile_text_comes_back_or_is_sanitised_visibly(text):
    rendered = by_template("aftereffects", "mgjson", clip(frames=5, columns=COLUMNS, prompt=text))
    assert rendered.data.isascii()
    assert statics(rendered.data)["prompt"] == re.sub("[\x00\x0b\x1b\x7f\ufffe]", "\ufffd", text)
    (row,) = (row for row in rendered.rows if row.target == "static/prompt")
    assert row.status == ("sanitised" if text == HOSTILE else "ok")


def test_only_texts_make_a_file_without_samples():
    shown = clip(frames=1, columns={"blur": [NAN]})
    rendered = render(
        "mgjson", filled(shown, ("static/prompt", "gen.prompt"), ("stream/blur", "frames.blur")), Options("a")
    )
    assert list(json.loads(rendered.data)) == ["version", "creator", "dynamicSamplesPresentB", "dataOutline"]
    assert writers.find("mgjson").render([filled(shown, ("stream/blur", "frames.blur"))], Options("a")) == []
    assert writers.find("mgjson").refuses(clip(), Options("a")) is not None


def test_names_are_told_apart():
    shown = clip(frames=1, columns={"a": [1.0]})
    rows = [(f"stream/{name}", "frames.a") for name in ("a_b", "aB", "a b", "2", "é", "---")]
    made = json.loads(render("mgjson", filled(shown, *rows), Options("a")).data)
    assert [each["matchName"] for each in made["dataOutline"]] == ["aB", "aBn2", "aBn3", "n2", "data", "datan2"]


def test_a_variable_rate_needs_measured_times():
    shown = clip(frames=2, columns={"blur": [1.0, 2.0]}, variable=True)
    rendered = by_template("aftereffects", "mgjson", shown)
    assert streams(rendered.data) == {} and "varies" in rendered.warnings[0]
    timed = clip(frames=2, columns={"blur": [1.0, 2.0], "time": [0.0, 0.7]}, variable=True)
    assert streams(by_template("aftereffects", "mgjson", timed).data)["blur"] == {0: 1.0, 700: 2.0}


def test_numbers_that_the_format_does_not_have():
    shown = clip(frames=2, columns={"a": [1.0, 3e9], "b": [2147483647.5, -0.0]})
    rendered = render("mgjson", filled(shown, ("stream/a", "frames.a"), ("stream/b", "frames.b")), Options("a"))
    assert [row.status for row in rendered.rows] == ["missing", "ok"]
    assert streams(rendered.data)["b"] == {0: 2147483647.5, 42: 0.0}


def _first(made: dict, kind: str) -> dict:
    return next(each for each in made["dataOutline"] if each["objectType"] == kind)


def _stream(made: dict) -> dict:
    return _first(made, "dataDynamic")


def _static(made: dict) -> dict:
    return _first(made, "dataStatic")


def _samples(made: dict) -> list[dict]:
    return made["dataDynamicSamples"][0]["samples"]


BREAKS = {
    "order": lambda made: made.update(version=made.pop("version")),
    "version": lambda made: made.update(version="MGJSON2.0"),
    "another key": lambda made: made.update(more=1),
    "spelling": lambda made: _stream(made).update(hasExpectedFrequencyB=_stream(made).pop("hasExpectedFrequecyB")),
    "width": lambda made: _samples(made)[0].update(value="+1.5"),
    "number": lambda made: _samples(made)[0].update(value=1.5),
    "count": lambda made: _samples(made).pop(),
    "times": lambda made: _samples(made).reverse(),
    "no time": lambda made: _samples(made)[1].update(time="1970-01-01T00:00:61.000Z"),
    "timecode": lambda made: made["dynamicDataInfo"].update(useTimecodeB=True),
    "twice": lambda made: _stream(made).update(matchName=_static(made)["matchName"]),
    "digit": lambda made: _stream(made).update(matchName="1a"),
    "length": lambda made: _static(made).update(value=_static(made)["value"] + "!"),
    "range": lambda made: _stream(made)["dataType"]["numberStringProperties"]["range"]["occuring"].update(max=7),
    "set": lambda made: made["dataDynamicSamples"][0].update(sampleSetID="9"),
    "no samples": lambda made: made.pop("dataDynamicSamples"),
    "flag": lambda made: made.update(dynamicSamplesPresentB=False),
    "empty": lambda made: made.update(dataOutline=[]),
    "array": lambda made: _stream(made)["dataType"].update(type="numberStringArray"),
}


@pytest.mark.parametrize("how", BREAKS)
def test_the_checker_finds(how):
    made = json.loads(by_template("aftereffects", "mgjson", clip(frames=5, columns=COLUMNS)).data)
    assert check("mgjson", json.dumps(made).encode()) == []
    BREAKS[how](made)
    assert check("mgjson", json.dumps(made).encode())


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b'{"version": NaN}', b'{"a":1,"a":2}', "é".encode(), b"null"])
def test_the_checker_takes_anything(data):
    assert check("mgjson", data)


def repaired(schema: dict) -> dict:
    """Adobe's text as a legal JSON Schema: its own type names, a misspelt reference, and closed alternatives."""

    def walk(node):
        if isinstance(node, list):
            return [{"type": each} if each in ("string", "number", "boolean") else walk(each) for each in node]
        if not isinstance(node, dict):
            return node
        made = {key: walk(value) if key not in ("enum", "required") else value for key, value in node.items()}
        if made.get("type") == "numberString":
            made["type"] = "string"
        if "$ref" in made:
            made["$ref"] = made["$ref"].replace("dyamic", "dynamic")
        if "oneOf" in made:
            made.pop("additionalProperties", None)
        return made

    return walk(schema)


def test_adobes_schema_takes_it():
    """REGENSTORE_MGJSON_SCHEMA: path of Adobe's MGJSON schema (it comes with their SDK)."""
    place = os.environ.get("REGENSTORE_MGJSON_SCHEMA")
    if not place:
        pytest.skip("REGENSTORE_MGJSON_SCHEMA does not say where Adobe's schema is")
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed")
    schema = jsonschema.Draft4Validator(repaired(json.loads(Path(place).read_text())))
    made = json.loads(by_template("aftereffects", "mgjson", clip(frames=5, columns=COLUMNS, prompt=HOSTILE)).data)
    schema.validate(made)
    refused = 0
    for spoil in BREAKS.values():
        broken = json.loads(json.dumps(made))
        spoil(broken)
        refused += not schema.is_valid(broken)
    assert refused >= 3  # a schema cannot see order, widths and counts
