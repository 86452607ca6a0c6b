"""OpenTimelineIO: a timeline with the clip at the medium's timecode, as JSON in the form that Resolve writes.

Clip.2 with ``media_references``; ``source_range`` and markers in the medium's timecode; a bare path as ``target_url``;
tracks named "Video 1" and "Audio 1". Source: OpenTimelineIO's schema documentation. Numbers beyond signed 64 bits are
written as text, because readers do not support them.
"""

from __future__ import annotations

import json
import math
from array import array
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from regenstore.errors import InvalidInput
from regenstore.export.context import Value, text_of
from regenstore.export.sidecar.legal_text import is_utf8, json_legal
from regenstore.export.sidecar.timeline import file_url, no_timeline, timebase_of, written
from regenstore.export.sidecar.writer import Clip, Filled, Options, Rendered, Row, Scope, Target
from regenstore.media.timecode import Timebase

VOCABULARY: Mapping[str, Target] = {
    "clip.*": Target("any", note="metadata of the clip; further dots nest tables: clip.regenstore.seed"),
    "media.*": Target("any", note="metadata of the media reference"),
    "timeline.*": Target("any", note="metadata of the timeline"),
}
SETTINGS: Mapping[str, Target] = {"markers": Target("boolean", note="markers at doubtful spans; true by default")}
_LIMIT = 1 << 63


class OtioWriter:
    """See :class:`regenstore.export.sidecar.writer.SidecarWriter`."""

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


WRITER = OtioWriter()


def _json_value(row: Row) -> tuple[Any, Row]:
    """A row's value as JSON, and the row as written."""
    value = _plain(row.value)
    if isinstance(row.value, str) and value != row.value:
        return value, row.written(value, "sanitised", "NUL and lone surrogates became U+FFFD")
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
        raise InvalidInput("bad-export", f"the target '{target}' is nested in another one, or has an empty name")
    place[last] = value


# ------------------------------------------------------------------------------------------- the timeline


def _object(schema: str, **fields: Any) -> dict[str, Any]:
    return {"OTIO_SCHEMA": schema, **fields}


def _time(frames: int, base: Timebase) -> dict[str, Any]:
    return _object("RationalTime.1", rate=float(base.rate), value=float(frames))


def _range(start: int, frames: int, base: Timebase) -> dict[str, Any]:
    return _object("TimeRange.1", duration=_time(frames, base), start_time=_time(start, base))


def _item(schema: str, name: str, **fields: Any) -> dict[str, Any]:
    """The common fields of tracks, stacks and clips."""
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
