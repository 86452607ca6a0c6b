"""FCPXML 1.10: a timeline with the clip at its timecode, for DaVinci Resolve (18 and later) and Final Cut Pro.

1.10 is the newest version that Resolve 18 reads. Sources: Apple's FCPXML reference and the DTD's content models. All
times are rational seconds in whole frames, counted from timecode 00:00:00:00, so 01:00:00:00 at 24000/1001 is
``86486400/24000s``. The file is referenced by a ``media-rep`` (since 1.9), and the clip is in a project: directly in an
event, Final Cut treats it as an invalid edit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from regenstore.export.color_names import names_of
from regenstore.export.context import text_of
from regenstore.export.sidecar.timeline import file_url, no_timeline, timebase_of, written, xml_row
from regenstore.export.sidecar.writer import Clip, Filled, Options, Rendered, Row, Scope, Target
from regenstore.export.sidecar.xml_document import Element, child, new, to_bytes
from regenstore.media.timecode import Timebase, decimal_rate, rational_seconds

_STUDIO = "com.apple.proapps.studio."
VOCABULARY: Mapping[str, Target] = {
    "note": Target("text", note="note on the clip"),
    "keywords": Target("list", note="keywords on the whole clip"),
    _STUDIO + "reel": Target("text"),
    _STUDIO + "scene": Target("text"),
    _STUDIO + "shot": Target("text"),
    _STUDIO + "angle": Target("text"),
    "com.apple.proapps.mio.cameraName": Target("text"),
    "com.regenstore.*": Target(
        "any", note="regenstore's own metadata; ASCII without spaces", names=r"com\.regenstore\.[!-~]+"
    ),
}
SETTINGS: Mapping[str, Target] = {
    "event": Target("text", note="name of the event; 'regenstore' by default"),
    "markers": Target("boolean", note="markers at doubtful spans; true by default"),
}
FINAL_CUT_RATES = {"23.976", "24.000", "25.000", "29.970", "30.000", "50.000", "59.940", "60.000"}
_FIELD_ORDERS = {"upper": "upper first", "lower": "lower first"}
_LAYOUTS = {1: "mono", 2: "stereo", 6: "surround"}
_AUDIO_RATES = {32000: "32k", 44100: "44.1k", 48000: "48k", 88200: "88.2k", 96000: "96k", 192000: "192k"}


class FcpxmlWriter:
    """See :class:`regenstore.export.sidecar.writer.SidecarWriter`."""

    name = "fcpxml"
    scope: Scope = "clip"

    def vocabulary(self) -> Mapping[str, Target]:
        return VOCABULARY

    def settings(self) -> Mapping[str, Target]:
        return SETTINGS

    def refuses(self, clip: Clip, options: Options) -> str | None:
        reason = no_timeline(clip)
        if reason is None and timebase_of(clip).rate.numerator >= 1 << 32:
            reason = "its frame rate does not fit in 32 bits"
        return reason

    def render(self, filled: Sequence[Filled], options: Options) -> list[Rendered]:
        (each,) = filled
        clip, base = each.clip, timebase_of(each.clip)
        texts, rows = written(each, _text)
        root = new("fcpxml", version="1.10")
        _resources(child(root, "resources"), clip, base, texts)
        event = child(child(root, "library"), "event", name=text_of(options.settings.get("event")) or "regenstore")
        project = child(event, "project", name=clip.stem)
        sequence = child(project, "sequence", format="r1", duration=_time(base.frames, base), **_origin(base))
        for track in clip.info.audio[:1]:
            if track.channels in _LAYOUTS:
                sequence.set("audioLayout", _LAYOUTS[track.channels])
            if track.rate in _AUDIO_RATES:
                sequence.set("audioRate", _AUDIO_RATES[track.rate])
        marked = options.settings.get("markers") is not False
        _asset_clip(child(sequence, "spine"), clip, base, dict(texts), marked)
        warnings = []
        if decimal_rate(base.rate, 3) not in FINAL_CUT_RATES:
            warnings.append(f"Final Cut Pro does not support {decimal_rate(base.rate, 3)} frames per second")
        return [Rendered(options.name_for(clip), to_bytes(root, "fcpxml"), rows, tuple(warnings))]


WRITER = FcpxmlWriter()


def _text(row: Row) -> tuple[str, Row]:
    """A row as text; commas separate keywords, so a comma within one becomes a space."""
    if row.target != "keywords" or not isinstance(row.value, tuple):
        return xml_row(row)
    words = [text_of(word) for word in row.value]
    text, done = xml_row(row.written(", ".join(word.replace(",", " ") for word in words)))
    if any("," in word for word in words):
        done = done.written(text, "sanitised", "commas within keywords became spaces")
    return text, done


def _time(frames: int, base: Timebase) -> str:
    return rational_seconds(frames, base.rate)


def _origin(base: Timebase) -> dict[str, str]:
    return {"tcStart": _time(base.start, base), "tcFormat": "DF" if base.drop else "NDF"}


def _resources(resources: Element, clip: Clip, base: Timebase, texts: Sequence[tuple[str, str]]) -> None:
    """The format of the picture, and the asset: the file with its metadata."""
    video = clip.info.video
    assert video is not None
    width, height = video.upright
    form = child(resources, "format", id="r1", frameDuration=_time(1, base), width=str(width), height=str(height))
    if video.field_order in _FIELD_ORDERS:
        form.set("fieldOrder", _FIELD_ORDERS[video.field_order])
    if video.sample_aspect not in (None, 1) and not video.rotation % 180:
        assert video.sample_aspect is not None
        form.set("paspH", str(video.sample_aspect.numerator))
        form.set("paspV", str(video.sample_aspect.denominator))
    names = names_of(clip.color)
    if names is not None and names.fcpxml:
        form.set("colorSpace", names.fcpxml)
    span = {"start": _time(base.start, base), "duration": _time(base.frames, base)}
    asset = child(resources, "asset", id="r2", name=clip.stem, **span, hasVideo="1", format="r1", videoSources="1")
    for track in clip.info.audio[:1]:
        asset.set("hasAudio", "1")
        asset.set("audioSources", str(len(clip.info.audio)))
        asset.set("audioChannels", str(track.channels))
        asset.set("audioRate", str(track.rate))
    child(asset, "media-rep", kind="original-media", src=file_url(clip.media_path))
    told = [(key, text) for key, text in texts if key.startswith("com.") and text]
    if clip.color_assumed:
        told.append(("com.regenstore.color_assumed", "1"))
    if told:
        metadata = child(asset, "metadata")
        for key, text in dict(told).items():
            entry = child(metadata, "md", key=key, value=text)
            if key.startswith("com.regenstore."):
                entry.set("type", "string")


def _asset_clip(spine: Element, clip: Clip, base: Timebase, texts: Mapping[str, str], marked: bool) -> None:
    """The whole clip at the start of the timeline, in the medium's own timecode."""
    start, duration = _time(base.start, base), _time(base.frames, base)
    made = child(spine, "asset-clip", ref="r2", offset=start, name=clip.stem, start=start, duration=duration)
    made.set("tcFormat", "DF" if base.drop else "NDF")
    if clip.info.audio:
        made.set("audioRole", "dialogue")
    if "note" in texts:
        child(made, "note", texts["note"])
    for marker in clip.markers if marked else ():
        at = {"start": _time(base.start + marker.first, base), "duration": _time(marker.frames, base)}
        child(made, "marker", **at, value=marker.name, **({"note": marker.comment} if marker.comment else {}))
    if "keywords" in texts:
        child(made, "keyword", start=start, duration=duration, value=texts["keywords"])
