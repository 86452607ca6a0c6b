"""Avid Log Exchange: a table of clips for Avid Media Composer; one file per frame rate.

An ALE has a single rate for all clips, so a batch with several rates becomes several files. Lines end in CRLF; cells
are separated by tabs and cannot contain any; no tab ends a line. Names that are not Avid's become custom columns in the
bin, and must begin with ``Regen``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import partial

from regenstore.export.context import text_of
from regenstore.export.sidecar.legal_text import path_refusal
from regenstore.export.sidecar.timeline import OWN_COLUMN, cell_row, no_timeline, timebase_of, written
from regenstore.export.sidecar.writer import Clip, Filled, Options, Rendered, Row, Scope, Target
from regenstore.media.timecode import decimal_rate, to_timecode

STRUCTURAL = ("Name", "Tracks", "Start", "End", "Duration", "Source File")
"""Always present, in this order."""
COLUMNS = (
    "Tape", "Tape ID", "Scene", "Take", "Shot", "Slate", "Camera", "Camroll", "Soundroll", "Labroll", "Reel", "Reel #",
    "Comments", "Descript", "Shoot Date", "Creation Date", "Project", "Production", "Episode", "Image Size", "Video",
    "Audio SR", "Audio Bit Depth", "Color Space", "CFPS", "UNC Path", "Source Path", "VFX", "VFX Reel", "Vendor",
    "ASC_SOP", "ASC_SAT", "DPX", "KN Start", "Location",
)  # fmt: skip
VOCABULARY: Mapping[str, Target] = {
    **{name: Target("any") for name in COLUMNS},
    "Regen *": Target("any", note="custom column; one line, without tabs", names=OWN_COLUMN),
}
RATES = tuple(Fraction(rate) for rate in (24, 25, 30, 48, 50, 60)) + tuple(
    Fraction(rate * 1000, 1001) for rate in (24, 30, 48, 60)
)
"""Frame rates for which Avid has projects."""
_FORMATS = {1080: "1080", 720: "720", 576: "PAL", 486: "NTSC"}


class AleWriter:
    """See :class:`regenstore.export.sidecar.writer.SidecarWriter`."""

    name = "ale"
    scope: Scope = "batch"

    def vocabulary(self) -> Mapping[str, Target]:
        return VOCABULARY

    def settings(self) -> Mapping[str, Target]:
        return {}

    def refuses(self, clip: Clip, options: Options) -> str | None:
        reason = no_timeline(clip) or path_refusal(clip.media_name)
        if reason is None and timebase_of(clip).rate not in RATES:
            reason = f"Avid does not support {decimal_rate(timebase_of(clip).rate, 3)} frames per second"
        return reason

    def render(self, filled: Sequence[Filled], options: Options) -> list[Rendered]:
        rates = sorted({timebase_of(each.clip).rate for each in filled})
        name, ending = os.path.splitext(options.name_for())
        return [
            _table(
                [each for each in filled if timebase_of(each.clip).rate == rate],
                rate,
                f"{name}{ending}" if len(rates) == 1 else f"{name}_{_fps(rate)}{ending}",
            )
            for rate in rates
        ]


WRITER = AleWriter()


def _fps(rate: Fraction) -> str:
    return decimal_rate(rate, 3).rstrip("0").rstrip(".")


def _table(filled: Sequence[Filled], rate: Fraction, name: str) -> Rendered:
    columns = list(STRUCTURAL)
    for each in filled:
        columns += [row.target for row in each.rows if row.target not in columns]
    lines: list[str] = []
    rows: list[Row] = []
    for each in filled:
        cells, done = written(Filled(each.clip, (*_structural(each.clip), *each.rows)), partial(_cell, each.clip))
        known = dict(cells)
        lines.append("\t".join(known.get(column, "") for column in columns))
        rows += done
    heading = ["Heading", "FIELD_DELIM\tTABS", f"VIDEO_FORMAT\t{_video_format(filled)}"]
    sounds = {track.rate for each in filled for track in each.clip.info.audio[:1]}
    heading.append(f"AUDIO_FORMAT\t{_fps(Fraction(max(sounds, default=48000), 1000))}kHz")
    heading.append(f"FPS\t{_fps(rate)}")
    text = "\r\n".join([*heading, "", "Column", "\t".join(columns), "", "Data", *lines, ""])
    return Rendered(name, text.encode(), tuple(rows))


def _cell(clip: Clip, row: Row) -> tuple[str, Row]:
    """A cell; sizes in Avid's notation, as shown."""
    if row.target == "Image Size" and isinstance(row.value, tuple):
        if row.source == "video.size" and clip.info.video is not None:
            row = row.written(clip.info.video.upright)
        assert isinstance(row.value, tuple)
        row = row.written("x".join(text_of(side) for side in row.value))
    return cell_row(row)


def _structural(clip: Clip) -> tuple[Row, ...]:
    base = timebase_of(clip)
    channels = clip.info.audio[0].channels if clip.info.audio else 0
    return (
        Row("Name", "medium.stem", clip.stem),
        Row("Tracks", "", "V" + "".join(f"A{number}" for number in range(1, channels + 1))),
        Row("Start", "timecode.start", base.start_timecode),
        Row("End", "timecode.end", base.end_timecode),
        Row("Duration", "video.frames", to_timecode(base.frames, base.rate, drop=base.drop)),
        Row("Source File", "medium.name", clip.media_name),
    )


def _video_format(filled: Sequence[Filled]) -> str:
    """Avid's name for the picture size, if all clips have the same and it has a name."""
    sizes = {each.clip.info.video.upright for each in filled if each.clip.info.video is not None}
    if len(sizes) != 1:
        return "CUSTOM"
    width, height = sizes.pop()
    return _FORMATS.get(height, "CUSTOM") if width <= 1920 else "CUSTOM"
