"""OpenTimelineIO: a timeline with the clip in the medium's timecode, as JSON in the shape that Resolve writes.

Clip.2 with ``media_references``; ``source_range`` and markers in the medium's timecode; a bare path as
``target_url``; tracks called "Video 1" and "Audio 1". Source: OpenTimelineIO's schema documentation. Numbers
beyond signed 64 bits are texts, because readers have none.
"""

from __future__ import annotations

import json
import math
from array import array
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any

from regenstore.errors import InvalidInput
from regenstore.export.context import Value, text_of
from regenstore.export.sidecar.legal_text import is_utf8, json_legal
from regenstore.export.sidecar.timeline import file_url, no_timeline, timebase_of, written
from regenstore.export.sidecar.writer import Clip, Filled, Options, Rendered, Row, Scope, Target
from regenstore.export.timebase import Timebase

VOCABULARY: Mapping[str, Target] = {
    "clip.*": Target("any", note="metadata of the clip; further dots make tables: clip.regenstore.seed"),
    "media.*": Target("any", note="metadata of the media reference"),
    "timeline.*": Target("any", note="metadata of the timeline"),
}
SETTINGS: Mapping[str, Target] = {"markers": Target("boolean", note="markers at doubtful spans; true by default")}
_LIMIT = 1 << 63


class OtioWriter:
    """See :class:`regenstore.export.sidecar.writer.Writer`."""

    name = "otio"
    scope: Scope = "clip"

    def vocabulary(self) -> Mapping[str, Target]:
        return VOCABULARY

    def settings(self) -> Mapping[str, Target]:
        return SETTINGS

    def refuses(self, clip: Clip, options: Options) -> str | None:
        return no_timeline(clip)

    def render(self, filled: Sequence[Filled], options: Options) -> list[Rendered]:
        (each,) = filled
        metadata: dict[str, dict[str, Any]] = {"clip": {}, "media": {}, "timeline": {}}
        values, rows = written(each, _json_value)
        for target, value in values:
            _put(metadata, target, value)
        marked = options.settings.get("markers") is not False
        timeline = _timeline(each.clip, metadata, marked)
        data = json.dumps(timeline, ensure_ascii=False, indent=4, allow_nan=False) + "\n"
        return [Rendered(options.name_for(each.clip), data.encode(), rows)]

    def check(self, data: bytes, name: str) -> list[str]:
        return check(data)


WRITER = OtioWriter()


def _json_value(row: Row) -> tuple[Any, Row]:
    """A row's value as JSON has it, and the row as written."""
    value = _plain(row.value)
    if isinstance(row.value, str) and value != row.value:
        return value, row.written(value, "sanitised", "NUL and characters without an encoding became U+FFFD")
    return value, row.written(text_of(row.value))


def _plain(value: Value) -> Any:
    if isinstance(value, (tuple, array)):
        return [_plain(each) for each in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Fraction) or (isinstance(value, int) and abs(value) >= _LIMIT):
        return text_of(value)
    return json_legal(value) if isinstance(value, str) else value


def _put(metadata: dict[str, Any], target: str, value: Any) -> None:
    *tables, last = target.split(".")
    place: Any = metadata
    for name in tables:
        place = place.setdefault(name, {}) if isinstance(place, dict) else None
    if not isinstance(place, dict) or not all((*tables, last)) or last in place:
        raise InvalidInput("bad-export", f"the target '{target}' is within another one, or has an empty name")
    place[last] = value


# ------------------------------------------------------------------------------------------- the timeline


def _object(schema: str, **fields: Any) -> dict[str, Any]:
    return {"OTIO_SCHEMA": schema, **fields}


def _time(frames: int, base: Timebase) -> dict[str, Any]:
    return _object("RationalTime.1", rate=float(base.rate), value=float(frames))


def _range(start: int, frames: int, base: Timebase) -> dict[str, Any]:
    return _object("TimeRange.1", duration=_time(frames, base), start_time=_time(start, base))


def _item(schema: str, name: str, **fields: Any) -> dict[str, Any]:
    """What tracks, stacks and clips have in common."""
    common: dict[str, Any] = {
        "metadata": {},
        "source_range": None,
        "effects": [],
        "markers": [],
        "enabled": True,
        "color": None,
    }
    return _object(schema, name=json_legal(name), **{**common, **fields})


def _timeline(clip: Clip, metadata: Mapping[str, Any], marked: bool) -> dict[str, Any]:
    base = timebase_of(clip)
    tracks = [
        _item("Track.1", f"{kind} 1", kind=kind, children=[_clip(clip, base, metadata, marked and kind == "Video")])
        for kind in ("Video", "Audio")
        if kind == "Video" or clip.info.audio
    ]
    return _object(
        "Timeline.1",
        metadata=metadata["timeline"],
        name=json_legal(clip.stem),
        global_start_time=_time(base.start, base),
        tracks=_item("Stack.1", "tracks", children=tracks),
    )


def _clip(clip: Clip, base: Timebase, metadata: Mapping[str, Any], marked: bool) -> dict[str, Any]:
    whole = _range(base.start, base.frames, base)
    reference = _object(
        "ExternalReference.1",
        metadata=metadata["media"],
        name=json_legal(clip.media_name),
        available_range=whole,
        available_image_bounds=None,
        target_url=json_legal(clip.media_path) if is_utf8(clip.media_path) else file_url(clip.media_path),
    )
    markers = [
        _object(
            "Marker.2",
            metadata={},
            name=marker.name,
            color="RED",
            marked_range=_range(base.start + marker.first, marker.frames, base),
            comment=marker.comment,
        )
        for marker in (clip.markers if marked else ())
    ]
    return _item(
        "Clip.2",
        clip.stem,
        metadata=metadata["clip"],
        source_range=whole,
        markers=markers,
        media_references={"DEFAULT_MEDIA": reference},
        active_media_reference_key="DEFAULT_MEDIA",
    )


# ------------------------------------------------------------------------------------------- checking

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
