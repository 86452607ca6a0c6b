"""DaVinci Resolve's metadata CSV: one table for all clips, for File > Import Metadata To > Media Pool.

Resolve matches rows to clips by file name and by start and end timecode; so these columns, and others that describe the
file, always come first. Sources: Resolve's manual, and files that Resolve exported: UTF-16 little-endian with a byte
order mark, line feeds, commas; End TC is exclusive, End Frame inclusive. A name that is not Resolve's has an effect
only if the project defines such a field; these must begin with ``Regen``.
"""

from __future__ import annotations

import codecs
import csv
import io
import os
from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from regenstore.export.color_names import names_of
from regenstore.export.sidecar.legal_text import path_refusal
from regenstore.export.sidecar.timeline import OWN_COLUMN, cell_row, no_timeline, timebase_of, written
from regenstore.export.sidecar.writer import Clip, Filled, Options, Rendered, Row, Scope, Target
from regenstore.media.timecode import decimal_rate, to_timecode

MATCHING = (
    "File Name", "Clip Directory", "Duration TC", "Shot Frame Rate", "Resolution", "Start TC", "End TC",
    "Start Frame", "End Frame", "Frames",
)  # fmt: skip
"""Columns that describe the file itself."""
_FIELDS = (
    "Description", "Comments", "Keywords", "People", "Scene", "Shot", "Take", "Angle", "Good Take", "Reel Name",
    "Shot Type", "VFX Shot #", "VFX Notes", "VFX Markers", "VFX Grey Ball", "Color Chart", "Production Name",
    "Program Name", "Episode #", "Roll Card #", "Location", "IDT", "Reviewers Notes", "Aux 1", "Aux 2",
    "Audio Sample Rate", "Audio Channels", "Video Codec", "Audio Codec", "Bit Depth", "Field Dominance",
    "Data Level", "Audio Bit Depth", "Date Modified", "EDL Clip Name", "Input Gamma", "Camera Type",
    "Camera Manufacturer", "Camera Format", "Camera FPS", "Shutter Type", "Shutter Angle", "Shutter Speed", "ISO",
    "Lens Type", "Lens Number", "Camera Aperture", "Camera Position", "Gamma Notes", "Color Space Notes",
)  # fmt: skip
_IN_FILE = {"Good Take": "Tag"}
"""Columns whose name differs from the field's name in Resolve's window."""
VOCABULARY: Mapping[str, Target] = {
    **{name: Target("list" if name in ("Keywords", "People") else "any") for name in _FIELDS},
    "Regen *": Target(
        "any", note="custom field, to be defined in the Resolve project first; one line", names=OWN_COLUMN
    ),
}
_FORMULA = ("=", "+", "-", "@")


class ResolveCsvWriter:
    """See :class:`regenstore.export.sidecar.writer.SidecarWriter`."""

    name = "resolve-csv"
    scope: Scope = "batch"

    def vocabulary(self) -> Mapping[str, Target]:
        return VOCABULARY

    def settings(self) -> Mapping[str, Target]:
        return {}

    def refuses(self, clip: Clip, options: Options) -> str | None:
        return path_refusal(clip.media_path)

    def render(self, filled: Sequence[Filled], options: Options) -> list[Rendered]:
        columns = list(MATCHING)
        for each in filled:
            columns += [name for row in each.rows if (name := _column(row.target)) not in columns]
        out = io.StringIO()
        table = csv.writer(out, lineterminator="\n")
        table.writerow(columns)
        rows: list[Row] = []
        for each in filled:
            whole = Filled(each.clip, (*_matching(each.clip), *each.rows))
            cells, done = written(whole, partial(_cell, each.clip, options.csv_safe))
            known = {_column(target): text for target, text in cells}
            table.writerow([known.get(name, "") for name in columns])
            rows += done
        data = codecs.BOM_UTF16_LE + out.getvalue().encode("utf-16-le")
        warnings = tuple(_warnings([each.clip for each in filled]))
        return [Rendered(options.name_for(), data, tuple(rows), warnings)]


WRITER = ResolveCsvWriter()


def _column(target: str) -> str:
    return _IN_FILE.get(target, target)


def _cell(clip: Clip, csv_safe: bool, row: Row) -> tuple[str, Row]:
    """A cell; colour spaces by Resolve's names, where it has one."""
    names = names_of(clip.color)
    if row.source == "color.name" and names is not None:
        own = {"Color Space Notes": names.resolve_space, "Gamma Notes": names.resolve_gamma}.get(row.target)
        if own:
            row = row.written(f"{own} (assumed)" if clip.color_assumed else own)
    elif row.source == "color.name" and row.status == "defaulted" and clip.color.stated:
        color = clip.color  # tags without a name are not "untagged"
        row = row.written(f"H.273 {color.primaries}-{color.transfer}-{color.matrix}")
    text, done = cell_row(row)
    if csv_safe and text.startswith(_FORMULA):
        text = f"'{text}"
        done = done.written(text, "sanitised", "an apostrophe keeps spreadsheets from reading it as a formula")
    return text, done


def _matching(clip: Clip) -> tuple[Row, ...]:
    """The columns that identify the file. Media without frames, or with a variable rate, get no timecode."""
    video = clip.info.video
    found = [
        Row("File Name", "medium.name", clip.media_name),
        Row("Clip Directory", "", os.path.dirname(clip.media_path)),
    ]
    if video is not None:
        found.append(Row("Resolution", "video.size", f"{video.width}x{video.height}"))
    if no_timeline(clip) is None:
        base = timebase_of(clip)
        found += [
            Row("Duration TC", "video.frames", to_timecode(base.frames, base.rate, drop=base.drop)),
            Row("Shot Frame Rate", "video.rate", decimal_rate(base.rate, 3)),
            Row("Start TC", "timecode.start", base.start_timecode),
            Row("End TC", "timecode.end", base.end_timecode),
            Row("Start Frame", "", 0),
            Row("End Frame", "", base.frames - 1),
            Row("Frames", "video.frames", base.frames),
        ]
    return tuple(found)


def _warnings(clips: Sequence[Clip]) -> Iterator[str]:
    names = [clip.media_name for clip in clips]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"{names.count(name)} media are named {name}: let Resolve match by source file path as well"
    without = sum(no_timeline(clip) is not None for clip in clips)
    if without:
        yield f"{without} of {len(clips)} rows have no timecode: switch off matching by timecode for them"
