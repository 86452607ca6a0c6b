"""Final Cut Pro 7 XML (xmeml, version 5): a timeline for Premiere Pro, and for Resolve and Hiero as well.

A rate consists of an integer ``timebase`` and whether it is slowed by 1000/1001 (``ntsc``); other rates are refused.
``in``, ``out`` and markers count from the medium's first frame; its timecode is in ``file``. The sequence has a
``format``, without which Resolve shows black. Source: Apple's Final Cut Pro XML reference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction

from regenstore.export.sidecar.timeline import file_url, no_timeline, timebase_of, written, xml_row
from regenstore.export.sidecar.writer import Clip, Filled, Options, Rendered, Row, Scope, Target
from regenstore.export.sidecar.xml_document import Element, child, new, to_bytes
from regenstore.media.timecode import Timebase, timecode_base

_LOGGING = ("description", "scene", "shottake", "lognote", "good")
_COMMENTS = ("mastercomment1", "mastercomment2", "mastercomment3", "mastercomment4", "clipcommenta", "clipcommentb")
VOCABULARY: Mapping[str, Target] = {
    "reel": Target("text", note="reel name in the file's timecode"),
    **{f"logginginfo.{name}": Target("boolean" if name == "good" else "text") for name in _LOGGING},
    **{f"comments.{name}": Target("text") for name in _COMMENTS},
    "labels.label2": Target("text", note="name of a label colour"),
}
SETTINGS: Mapping[str, Target] = {"markers": Target("boolean", note="markers at doubtful spans; true by default")}


class XmemlWriter:
    """See :class:`regenstore.export.sidecar.writer.SidecarWriter`."""

    name = "xmeml"
    scope: Scope = "clip"

    def vocabulary(self) -> Mapping[str, Target]:
        return VOCABULARY

    def settings(self) -> Mapping[str, Target]:
        return SETTINGS

    def refuses(self, clip: Clip, options: Options) -> str | None:
        reason = no_timeline(clip)
        if reason is None and not expressible(timebase_of(clip).rate):
            reason = "its frame rate is neither an integer nor 1000/1001 of one"
        return reason

    def render(self, filled: Sequence[Filled], options: Options) -> list[Rendered]:
        (each,) = filled
        clip, base = each.clip, timebase_of(each.clip)
        told, rows = written(each, _text)
        texts = dict(told)
        root = new("xmeml", version="5")
        sequence = child(root, "sequence", id="sequence-1")
        child(sequence, "name", clip.stem)
        child(sequence, "duration", str(base.frames))
        _rate(sequence, base)
        _timecode(sequence, base)
        media = child(sequence, "media")
        video = child(media, "video")
        _characteristics(child(video, "format"), clip, base)
        channels = clip.info.audio[0].channels if clip.info.audio else 0
        item = _clipitem(child(video, "track"), clip, base, 1)
        _file(item, clip, base, texts.get("reel"))
        _links(item, channels)
        if options.settings.get("markers") is not False:
            _markers(item, clip)
        _described(item, texts)
        if channels:
            _sound(child(media, "audio"), clip, base, channels)
        return [Rendered(options.name_for(clip), to_bytes(root, "xmeml"), rows)]


WRITER = XmemlWriter()


def expressible(rate: Fraction) -> bool:
    """Whether a rate is an integer timebase or an NTSC one."""
    base = timecode_base(rate)
    return rate in (base, Fraction(base * 1000, 1001))


def _text(row: Row) -> tuple[str, Row]:
    if isinstance(row.value, bool):
        word = "TRUE" if row.value else "FALSE"
        return word, row.written(word)
    return xml_row(row)


def _rate(parent: Element, base: Timebase) -> None:
    rate = child(parent, "rate")
    child(rate, "timebase", str(timecode_base(base.rate)))
    child(rate, "ntsc", "TRUE" if base.rate.denominator == 1001 else "FALSE")


def _timecode(parent: Element, base: Timebase) -> Element:
    timecode = child(parent, "timecode")
    _rate(timecode, base)
    child(timecode, "string", base.start_timecode)
    child(timecode, "frame", str(base.start))
    child(timecode, "displayformat", "DF" if base.drop else "NDF")
    return timecode


def _characteristics(parent: Element, clip: Clip, base: Timebase) -> None:
    video = clip.info.video
    assert video is not None
    width, height = video.upright
    found = child(parent, "samplecharacteristics")
    _rate(found, base)
    child(found, "width", str(width))
    child(found, "height", str(height))
    child(found, "anamorphic", "FALSE")
    if video.sample_aspect in (None, 1):
        child(found, "pixelaspectratio", "square")
    child(found, "fielddominance", video.field_order if video.field_order in ("upper", "lower") else "none")


def _clipitem(track: Element, clip: Clip, base: Timebase, number: int) -> Element:
    item = child(track, "clipitem", id=f"clipitem-{number}")
    child(item, "name", clip.stem)
    child(item, "enabled", "TRUE")
    child(item, "duration", str(base.frames))
    _rate(item, base)
    for name, frame in (("start", 0), ("end", base.frames), ("in", 0), ("out", base.frames)):
        child(item, name, str(frame))
    return item


def _file(item: Element, clip: Clip, base: Timebase, reel: str | None) -> None:
    file = child(item, "file", id="file-1")
    child(file, "name", clip.media_name)
    child(file, "pathurl", file_url(clip.media_path).replace("file:///", "file://localhost/", 1))
    _rate(file, base)
    child(file, "duration", str(base.frames))
    timecode = _timecode(file, base)
    if reel is not None:
        child(child(timecode, "reel"), "name", reel)
    media = child(file, "media")
    _characteristics(child(media, "video"), clip, base)
    for track in clip.info.audio[:1]:
        audio = child(media, "audio")
        found = child(audio, "samplecharacteristics")
        if track.bits is not None:
            child(found, "depth", str(track.bits))
        child(found, "samplerate", str(track.rate))
        child(audio, "channelcount", str(track.channels))


def _links(item: Element, channels: int) -> None:
    """Link the picture and its audio, so that they move together."""
    for number in range(channels + 1) if channels else ():
        link = child(item, "link")
        child(link, "linkclipref", f"clipitem-{number + 1}")
        child(link, "mediatype", "audio" if number else "video")
        child(link, "trackindex", str(max(number, 1)))
        child(link, "clipindex", "1")


def _markers(item: Element, clip: Clip) -> None:
    for marker in clip.markers:
        made = child(item, "marker")
        child(made, "comment", marker.comment)
        child(made, "name", marker.name)
        child(made, "in", str(marker.first))
        child(made, "out", str(marker.first + marker.frames))


def _described(item: Element, texts: Mapping[str, str]) -> None:
    for group, names in (("logginginfo", _LOGGING), ("comments", _COMMENTS), ("labels", ("label2",))):
        told = [(name, texts[f"{group}.{name}"]) for name in names if f"{group}.{name}" in texts]
        if told:
            parent = child(item, group)
            for name, text in told:
                child(parent, name, text)


def _sound(audio: Element, clip: Clip, base: Timebase, channels: int) -> None:
    """One mono track per channel, as xmeml requires."""
    for channel in range(1, channels + 1):
        item = _clipitem(child(audio, "track"), clip, base, channel + 1)
        child(item, "file", id="file-1")
        source = child(item, "sourcetrack")
        child(source, "mediatype", "audio")
        child(source, "trackindex", str(channel))
        _links(item, channels)
