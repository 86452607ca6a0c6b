"""Build clips, the input of sidecar writers, from media and their metadata."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from regenstore.export.color_names import assume
from regenstore.export.context import fields, markers, redacted
from regenstore.export.media_set import Medium
from regenstore.export.sidecar.writer import Clip
from regenstore.media.frame_table import FrameMetrics
from regenstore.media.media_info import UNKNOWN_COLOR, MediaInfo, Timecode
from regenstore.media.timecode import Timebase, decimal_rate

_TIMECODE = re.compile(r"\d\d:\d\d:\d\d[:;]\d\d")


def make_clip(
    medium: Medium,
    info: MediaInfo,
    metrics: FrameMetrics | None,
    media_path: str,
    *,
    assume_color: str | None = None,
    redact: frozenset[str] = frozenset(),
) -> Clip:
    """The clip of a medium. Raises InvalidInput (``bad-export``) for an unknown colour space to assume."""
    info = replace(info, timecode=info.timecode or _given_timecode(medium))
    timebase = timebase_of(info)
    stated = info.video.color if info.video is not None else UNKNOWN_COLOR
    color, assumed = assume(stated, assume_color)
    recipe = replace(medium.recipe, params={**medium.defaults, **medium.recipe.params})
    known = fields(replace(medium, recipe=recipe), info, metrics, timebase=timebase, assume_color=assume_color)
    gone = redacted(known, redact)
    return Clip(
        medium,
        medium.stem,
        media_path,
        info,
        metrics,
        {name: None if name in gone else value for name, value in known.items()},
        gone,
        timebase,
        color,
        assumed and info.video is not None,
        markers(metrics),
    )


def _given_timecode(medium: Medium) -> Timecode | None:
    """The timecode that a recipe gives to a medium whose container has none."""
    text = medium.recipe.params.get("timecode")
    return Timecode(text, ";" in text) if isinstance(text, str) and _TIMECODE.fullmatch(text) else None


def timebase_of(info: MediaInfo) -> Timebase | None:
    """The timebase of a video; None for stills and audio. A timecode that does not exist at the video's rate is
    ignored, and reported by :func:`doubts`."""
    video = info.video
    if video is None or video.rate is None:
        return None
    if info.timecode is not None:
        try:
            return Timebase.of(video.rate, video.frames, info.timecode.text, drop=info.timecode.drop)
        except ValueError:
            pass
    return Timebase(video.rate, video.frames)


def doubts(clip: Clip) -> Iterator[str]:
    """Warnings about a clip that apply to sidecars of every format."""
    video, told = clip.info.video, clip.info.timecode
    if video is None:
        return
    if clip.info.kind == "video":
        if clip.color_assumed:
            yield "the file states no colour space; the one from --assume-color is used"
        elif not clip.color.stated:
            yield "the file states no colour space; programs will guess (set it with --assume-color)"
    if video.variable:
        yield "the frame rate varies: frame numbers and timecode of other programs will not agree with the file"
    if told is not None and clip.timebase is not None:
        try:
            Timebase.of(clip.timebase.rate, 1, told.text, drop=told.drop)
        except ValueError as error:
            yield f"its timecode is ignored: {error}"
    if video.rate is not None and not video.variable and decimal_rate(video.rate, 3) not in _USUAL:
        yield f"there is no SMPTE timecode at {decimal_rate(video.rate, 3)} frames per second"


_USUAL = {"23.976", "24.000", "25.000", "29.970", "30.000", "50.000", "59.940", "60.000"}
