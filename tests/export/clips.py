"""Clips for tests of sidecar writers: made of values, without files."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from regenstore.export.media_set import Medium
from regenstore.export.sidecar.clips import make_clip
from regenstore.export.sidecar.writer import Clip, Filled, Row
from regenstore.media.frame_table import FrameMetrics
from regenstore.media.media_info import AudioTrack, Color, MediaInfo, Timecode, Video
from regenstore.objects.hashing import hash_bytes
from regenstore.objects.recipe import Output, Recipe, Take

RATES = tuple(
    Fraction(rate)
    for rate in ("16", "24000/1001", "24", "25", "30000/1001", "30", "50", "60000/1001", "60")
)  # fmt: skip
DROP = (Fraction(30000, 1001), Fraction(60000, 1001))
REC709, UNTAGGED = Color(1, 1, 1, False), Color()
PQ, HLG = Color(9, 16, 9, False), Color(9, 18, 9, False)

HOSTILE = (
    "[python {import os; os.system('touch /tmp/owned')}] [exit] $HOME ${env} `id` {x} {{ 7*7 }} {% for a in b %}"
    " & < > \" ' ]]> <!-- --> <![CDATA[ &amp; &#0; %s %(x)s =1+1 @SUM(A1) -- ; DROP TABLE \\ \\n \\u0000 \\}"
    "\nsecond line\r\nthird\tline\r\x0b\x00\x1b[31m\x7f\x85\u2028\u202eright to left\u202c\u200f"
    " \U0001f3a5\U0001f469\u200d\U0001f680"
    " é é \ufeff \ufffe"
)
LONG = "a very long prompt, & so on; " * 700
"""About 20 KB."""


def clip(
    *,
    name: str = "shots/gen_0001.mp4",
    rate: Fraction | str | None = "24",
    frames: int = 96,
    timecode: str | None = None,
    color: Color = UNTAGGED,
    size: tuple[int, int] = (1280, 720),
    prompt: str | None = "a lighthouse at dusk",
    params: Mapping[str, Any] | None = None,
    about: Mapping[str, Any] | None = None,
    columns: Mapping[str, list[float]] | None = None,
    audio: bool = False,
    variable: bool = False,
    still: bool = False,
    media_path: str | None = None,
    codec: str = "h264",
    assume_color: str | None = None,
    redact: frozenset[str] = frozenset(),
    file: str = "/nowhere/gen_0001.mp4",
) -> Clip:
    """A clip as the export makes it. ``columns``: per-frame values, NaN where not known."""
    exact = None if rate is None or still else Fraction(rate)
    count = 1 if still else frames
    digest = hash_bytes(name.encode())
    media_type = "image/png" if still else "video/mp4"
    given = {"seed": "1234567890123456789012", "steps": 30, **({} if prompt is None else {"prompt": prompt})}
    recipe = Recipe(
        "example.video",
        "2",
        Output(media_type, take=Take(digest, 4096), seconds=12.5),
        model={"name": "wan", "revision": "2.2"},
        params={**given, "negative_prompt": "blurry", "loras": [{"name": "film", "weight": 0.8}], **(params or {})},
        about={"scene": "sc010", "tags": ["night", "sea"], **(about or {})},
    )
    medium = Medium(name, recipe, digest, 4096, media_type, file, recipe.key, "exact", "ab" * 20, 1_700_000_000.0)
    video = Video(
        *size,
        codec="png" if still else codec,
        pixel_format="RGB" if still else "yuv420p",
        frames=count,
        rate=exact,
        variable=variable,
        duration=None if exact is None else count / exact,
        sample_aspect=Fraction(1),
        bit_depth=8,
        field_order="progressive",
        container_color=color,
    )
    track = AudioTrack("flac", 48000, 2, "stereo", "s16", 16, None if exact is None else count / exact)
    info = MediaInfo(
        "image" if still else "video",
        "png" if still else "mov",
        video,
        (track,) if audio else (),
        None if timecode is None else Timecode(timecode, ";" in timecode),
    )
    metrics = None
    if columns is not None:
        metrics = FrameMetrics(count, {column: array("d", values) for column, values in columns.items()})
    return make_clip(
        medium, info, metrics, media_path or f"/media/{medium.name}", assume_color=assume_color, redact=redact
    )


def filled(shown: Clip, *rows: tuple[str, Any] | Row) -> Filled:
    """A clip with rows: ``("Target", "dotted.source")`` takes the context's value."""
    made = []
    for row in rows:
        if not isinstance(row, Row):
            target, source = row
            value = shown.fields.get(source)
            row = Row(target, source, value, "missing" if value is None else "ok")
        made.append(row)
    return Filled(shown, tuple(made))
