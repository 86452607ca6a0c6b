"""mgJSON (Motion Graphics JSON 2.0.0): measurements as keyframes for After Effects, with texts.

Sources: Adobe's schema of the format, with its spellings (``occuring``, ``hasExpectedFrequecyB``), and files that After
Effects accepts: samples in UTC from 1970 on, to the millisecond. The order of keys matters, and so do widths: all
values of a stream are texts of equal length. ASCII only.
"""

from __future__ import annotations

import json
import re
from array import array
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from regenstore.export.context import Value, text_of
from regenstore.export.sidecar.legal_text import xml_legal
from regenstore.export.sidecar.series import MEASURED, NOT_KNOWN, finite, left_out, times, whole_series, with_measured
from regenstore.export.sidecar.writer import Clip, Filled, Options, Rendered, Row, Scope, Target

LEGAL = 2147483648
"""Largest absolute value of a number."""
DECIMALS = 6
MAX_RATE = 500
"""Highest frame rate: samples are distinguished by milliseconds."""
VOCABULARY: Mapping[str, Target] = {
    "stream/*": Target("series", note="stream of keyframes, interpolated"),
    "steps/*": Target("series", note="stream of keyframes, each held until the next (for counts and flags)"),
    "static/*": Target("any", note="constant text or number"),
}


class MgjsonWriter:
    """See :class:`regenstore.export.sidecar.writer.SidecarWriter`."""

    name = "mgjson"
    scope: Scope = "clip"

    def vocabulary(self) -> Mapping[str, Target]:
        return VOCABULARY

    def settings(self) -> Mapping[str, Target]:
        return {"measured": MEASURED}

    def refuses(self, clip: Clip, options: Options) -> str | None:
        return "its frames were not measured" if clip.metrics is None else None

    def render(self, filled: Sequence[Filled], options: Options) -> list[Rendered]:
        (each,) = filled
        outline: list[dict[str, Any]] = []
        samples: list[dict[str, Any]] = []
        rows, warnings, names = [], list[str](), set[str]()
        for row in with_measured(each, options.settings.get("measured"), "stream/"):
            if row.status in ("missing", "redacted"):
                rows.append(row)
                continue
            problem = _unfit(row, each.clip)
            if problem:
                rows.append(left_out(row, problem, warnings))
                continue
            kind, _, label = row.target.partition("/")
            match = _match_name(label, names)
            if kind == "static":
                value, done = _static(row)
                outline.append(_static_entry(label, match, value))
                rows.append(done)
                continue
            assert isinstance(row.value, array)
            set_id = f"{len(samples) + 1:05d}"
            outline.append(_stream_entry(label, match, set_id, row.value, "hold" if kind == "steps" else "linear"))
            samples.append({"sampleSetID": set_id, "samples": _samples(row.value, each.clip)})
            rows.append(row.written(text_of(row.value)))
        if not outline:
            return []
        data = _document(outline, samples)
        return [Rendered(options.name_for(each.clip), data, tuple(rows), tuple(warnings))]


WRITER = MgjsonWriter()


def _document(outline: list[dict[str, Any]], samples: list[dict[str, Any]]) -> bytes:
    """The document, in the order that readers rely on."""
    made: dict[str, Any] = {"version": "MGJSON2.0.0", "creator": "regenstore", "dynamicSamplesPresentB": bool(samples)}
    if samples:
        made["dynamicDataInfo"] = {"useTimecodeB": False, "utcInfo": {"precisionLength": 3, "isGMT": True}}
    made["dataOutline"] = outline
    if samples:
        made["dataDynamicSamples"] = samples
    return (json.dumps(made, ensure_ascii=True, allow_nan=False, separators=(",", ":")) + "\n").encode("ascii")


def _unfit(row: Row, clip: Clip) -> str:
    kind, _, _ = row.target.partition("/")
    if kind == "static":
        if isinstance(row.value, array):
            return "one number per frame needs the target stream/NAME"
        return "" if text_of(row.value) else NOT_KNOWN
    found = whole_series(row, clip)
    if isinstance(found, str):
        return found
    if times(clip) is None:
        return "the frame rate varies, and the frames' times were not measured"
    if clip.timebase is not None and clip.timebase.rate > MAX_RATE:
        return f"there are more than {MAX_RATE} frames per second"
    if max(abs(value) for value in found if finite(value)) > LEGAL:
        return f"mgJSON allows numbers up to {LEGAL}"
    return ""


def _match_name(label: str, taken: set[str]) -> str:
    """A name of ASCII letters and digits that does not start with a digit, unique in the file."""
    first, *rest = re.findall("[A-Za-z0-9]+", label) or ["data"]
    name = first + "".join(part[0].upper() + part[1:] for part in rest)
    name = name if not name[0].isdigit() else f"n{name}"
    found, number = name, 2
    while found in taken:
        found, number = f"{name}n{number}", number + 1
    taken.add(found)
    return found


def _number_form(low: float, high: float) -> dict[str, Any]:
    digits = len(str(int(max(abs(low), abs(high)))))
    return {
        "pattern": {"isSigned": True, "digitsInteger": digits, "digitsDecimal": DECIMALS},
        "range": {"occuring": {"min": low, "max": high}, "legal": {"min": -LEGAL, "max": LEGAL}},
    }


def _static(row: Row) -> tuple[str | int | float, Row]:
    value: Value = row.value
    if isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= LEGAL:
        number = round(value, DECIMALS)
        return number, row.written(text_of(number))
    text, changed = xml_legal(text_of(value))
    note = "control characters became U+FFFD"
    return text, row.written(text, "sanitised", note) if changed else row.written(text)


def _static_entry(label: str, match: str, value: str | int | float) -> dict[str, Any]:
    entry: dict[str, Any] = {"objectType": "dataStatic", "displayName": label}
    if isinstance(value, str):
        length = len(value.encode("utf-16-le")) // 2
        padded = {"maxLen": length, "maxDigitsInStrLength": len(str(length)), "eventMarkerB": False}
        entry["dataType"] = {"type": "string", "paddedStringProperties": padded}
    else:
        entry["dataType"] = {"type": "number", "numberStringProperties": _number_form(value, value)}
    return {**entry, "matchName": match, "value": value}


def _stream_entry(label: str, match: str, set_id: str, values: array[float], between: str) -> dict[str, Any]:
    known = [round(value, DECIMALS) + 0.0 for value in values if finite(value)]
    return {
        "objectType": "dataDynamic",
        "displayName": label,
        "sampleSetID": set_id,
        "dataType": {"type": "numberString", "numberStringProperties": _number_form(min(known), max(known))},
        "interpolation": between,
        "hasExpectedFrequecyB": False,
        "sampleCount": len(known),
        "matchName": match,
    }


def _samples(values: array[float], clip: Clip) -> list[dict[str, str]]:
    """The known values with their times; unknown ones have no sample."""
    known = [round(value, DECIMALS) + 0.0 if finite(value) else None for value in values]
    digits = _number_form(0, max(abs(value) for value in known if value is not None))["pattern"]["digitsInteger"]
    width = 1 + digits + 1 + DECIMALS
    found = times(clip) or []
    return [
        {"time": utc(at), "value": f"{value:+0{width}.{DECIMALS}f}"}
        for at, value in zip(found, known)
        if value is not None
    ]


def utc(seconds: Fraction) -> str:
    """Seconds after the start of 1970, when the footage begins, rounded to milliseconds."""
    total = int(seconds * 1000 + Fraction(1, 2))
    whole, milli = divmod(total, 1000)
    days, second = divmod(whole, 86400)
    return f"1970-01-{days + 1:02d}T{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}.{milli:03d}Z"
