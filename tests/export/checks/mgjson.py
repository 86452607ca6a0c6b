"""What is wrong with an mgJSON file, by the structure that Adobe's schema describes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from regenstore.export.sidecar.writers.mgjson import LEGAL

_TOP = ("version", "creator", "dynamicSamplesPresentB", "dynamicDataInfo", "dataOutline", "dataDynamicSamples")
_STATIC = {"objectType", "displayName", "dataType", "matchName", "value"}
_DYNAMIC = {
    "objectType", "displayName", "sampleSetID", "dataType", "interpolation", "hasExpectedFrequecyB", "sampleCount",
    "matchName",
}  # fmt: skip
_INFO = {"useTimecodeB": False, "utcInfo": {"precisionLength": 3, "isGMT": True}}


class _Wrong(Exception):
    """One thing that makes reading on pointless."""


def check(data: bytes) -> list[str]:
    """Problems of a file; empty when it is as After Effects wants it."""
    try:
        text = data.decode("ascii")
        made = json.loads(text, object_pairs_hook=_no_twins, parse_constant=_no_constant)
    except (ValueError, _Wrong) as error:
        return [f"no ASCII JSON: {error}"]
    try:
        return list(_document(made))
    except (KeyError, TypeError, AttributeError, _Wrong) as error:
        return [f"something is missing or of the wrong kind: {error}"]


def _no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        raise _Wrong("a key is there twice")
    return dict(pairs)


def _no_constant(name: str) -> None:
    raise _Wrong(f"{name} is no number of JSON")


def _document(made: dict[str, Any]) -> Iterator[str]:
    keys = list(made)
    if keys != [key for key in _TOP if key in made]:
        yield f"its keys are {', '.join(keys)}, which is not their order, or not all are known"
    if made["version"] != "MGJSON2.0.0":
        yield f"the version is {made['version']!r}"
    dynamic = made["dynamicSamplesPresentB"]
    if dynamic not in (True, False) or any((key in made) != dynamic for key in ("dynamicDataInfo", _TOP[-1])):
        yield "dynamicSamplesPresentB does not say whether there are samples"
    if dynamic and made["dynamicDataInfo"] != _INFO:
        yield "dynamicDataInfo is not UTC to the millisecond"
    outline, sets = made["dataOutline"], made.get("dataDynamicSamples", [])
    if not outline:
        yield "nothing is in dataOutline"
    names = [entry["matchName"] for entry in outline]
    if len(set(names)) != len(names):
        yield "a matchName is there twice"
    streams = [entry for entry in outline if entry["objectType"] == "dataDynamic"]
    if [entry["sampleSetID"] for entry in streams] != [each["sampleSetID"] for each in sets]:
        yield "streams and sample sets do not belong together"
    for entry in outline:
        yield from (f"{entry['matchName']}: {problem}" for problem in _entry(entry))
    for entry, each in zip(streams, sets):
        yield from (f"{entry['matchName']}: {problem}" for problem in _stream(entry, each["samples"]))


def _entry(entry: dict[str, Any]) -> Iterator[str]:
    kind = entry["objectType"]
    wanted = {"dataStatic": _STATIC, "dataDynamic": _DYNAMIC}.get(kind)
    if wanted is None or entry.keys() != wanted:
        yield f"{kind} has the keys {', '.join(sorted(entry))}"
        return
    if not re.fullmatch("[A-Za-z][A-Za-z0-9]*", entry["matchName"]):
        yield "the matchName is not of ASCII letters and digits"
    kinds = {"dataStatic": ("number", "string"), "dataDynamic": ("numberString",)}[kind]
    data_type, value = entry["dataType"], entry.get("value")
    if data_type["type"] not in kinds:
        yield f"its type is {data_type['type']!r}"
        return
    if kind == "dataStatic" and isinstance(value, str) != (data_type["type"] == "string"):
        yield f"the value is no {data_type['type']}"
    if data_type["type"] == "string":
        told = data_type["paddedStringProperties"]
        length = len(value.encode("utf-16-le")) // 2 if isinstance(value, str) else -1
        if told != {"maxLen": length, "maxDigitsInStrLength": len(str(length)), "eventMarkerB": False}:
            yield "its length is not the one that it states"
        return
    told = data_type["numberStringProperties"]
    if told.keys() != {"pattern", "range"} or told["range"].keys() != {"occuring", "legal"}:
        yield "its pattern or its ranges are missing"
    elif told["range"]["legal"] != {"min": -LEGAL, "max": LEGAL}:
        yield "its legal range is another"


def _stream(entry: dict[str, Any], samples: Sequence[dict[str, str]]) -> Iterator[str]:
    if entry["interpolation"] not in ("linear", "hold") or entry["hasExpectedFrequecyB"] is not False:
        yield "interpolation or frequency is another"
    if entry["sampleCount"] != len(samples) or not samples:
        yield f"{entry['sampleCount']} samples are told, {len(samples)} are there"
        return
    told = entry["dataType"]["numberStringProperties"]
    pattern = told["pattern"]
    sign = "[+-]" if pattern["isSigned"] else ""
    form = re.compile(rf"{sign}\d{{{pattern['digitsInteger']}}}\.\d{{{pattern['digitsDecimal']}}}")
    before, values = "", []
    for number, sample in enumerate(samples):
        if list(sample) != ["time", "value"] or not form.fullmatch(sample["value"]):
            yield f"sample {number} is not of the stream's width: {sample}"
            return
        if sample["time"] <= before or not _is_time(sample["time"]):
            yield f"sample {number} has the time {sample['time']!r} after {before!r}"
            return
        before = sample["time"]
        values.append(float(sample["value"]))
    if told["range"]["occuring"] != {"min": min(values), "max": max(values)}:
        yield f"its values go from {min(values)} to {max(values)}, not as told"


def _is_time(text: str) -> bool:
    if not re.fullmatch(r"1970-01-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", text):
        return False
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True
