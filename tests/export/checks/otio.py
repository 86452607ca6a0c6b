"""What is wrong with a timeline of OpenTimelineIO."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

_NEEDS: Mapping[str, Mapping[str, type | tuple[type, ...]]] = {
    "Timeline.1": {"metadata": dict, "name": str, "global_start_time": dict, "tracks": dict},
    "Stack.1": {"metadata": dict, "name": str, "children": list},
    "Track.1": {"metadata": dict, "name": str, "children": list, "kind": str},
    "Clip.2": {
        "metadata": dict,
        "name": str,
        "source_range": dict,
        "media_references": dict,
        "active_media_reference_key": str,
    },
    "ExternalReference.1": {"metadata": dict, "available_range": dict, "target_url": str},
    "Marker.2": {"metadata": dict, "name": str, "marked_range": dict},
    "TimeRange.1": {"duration": dict, "start_time": dict},
    "RationalTime.1": {"rate": (int, float), "value": (int, float)},
}


def check(data: bytes) -> list[str]:
    """Problems of a timeline: schemas that are known and whole, whole frames, one rate, ranges within the media."""
    try:
        timeline = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        return [f"no JSON: {error}"]
    if not isinstance(timeline, dict) or timeline.get("OTIO_SCHEMA") != "Timeline.1":
        return ["no Timeline.1"]
    objects = list(_objects(timeline))
    problems = [problem for each in objects for problem in _lacks(each)]
    if problems:
        return problems
    times = [each for each in objects if each["OTIO_SCHEMA"] == "RationalTime.1"]
    if any(each["value"] != int(each["value"]) for each in times):
        problems.append("a time is no whole number of frames")
    if len({each["rate"] for each in times}) != 1 or times[0]["rate"] <= 0:
        problems.append("times have several rates, or none")
    for clip in (each for each in objects if each["OTIO_SCHEMA"] == "Clip.2"):
        problems += _outside(clip)
    return problems


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    """All schema objects; what metadata holds is free."""
    if isinstance(value, dict):
        if "OTIO_SCHEMA" in value:
            yield value
        for key, inner in value.items():
            if key != "metadata":
                yield from _objects(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _objects(inner)


def _lacks(each: Mapping[str, Any]) -> Iterator[str]:
    needs = _NEEDS.get(each["OTIO_SCHEMA"])
    if needs is None:
        yield f"the schema {each['OTIO_SCHEMA']!r} is not known"
        return
    for name, kind in needs.items():
        if not isinstance(each.get(name), kind) or isinstance(each[name], bool):
            yield f"{each['OTIO_SCHEMA']} has no {name}"


def _outside(clip: Mapping[str, Any]) -> Iterator[str]:
    reference = clip["media_references"].get(clip["active_media_reference_key"])
    if reference is None:
        yield "a clip's active media reference is not there"
        return
    if "://" in reference["target_url"]:
        yield "target_url is a URL; Resolve wants a bare path"
    first, last = _ends(reference["available_range"])
    for span in (clip["source_range"], *(marker["marked_range"] for marker in clip.get("markers", ()))):
        start, end = _ends(span)
        if not first <= start <= end <= last:
            yield "a clip or a marker reaches beyond its medium"


def _ends(span: Mapping[str, Any]) -> tuple[float, float]:
    start = float(span["start_time"]["value"])
    return start, start + float(span["duration"]["value"])
