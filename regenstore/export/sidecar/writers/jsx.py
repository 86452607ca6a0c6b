"""After Effects script that imports the medium and its data, conforms the rate, and makes a composition with markers.

ExtendScript is ECMAScript 3. The program is one file, ``after_effects.jsx``, the same for every medium. Only one line
of data differs, written as ASCII JSON, in which no text can become code.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from fractions import Fraction
from importlib import resources
from typing import Any
from urllib.parse import quote

from regenstore.export.context import text_of
from regenstore.export.sidecar.legal_text import one_line, xml_legal
from regenstore.export.sidecar.writer import Clip, Filled, Options, Rendered, Row, Scope, Target

MAX_COMMENT = 15_999
"""Largest comment of an item that After Effects keeps, in bytes."""
PLACE = "    var D = "
"""Marks the line of the program with its data."""
_PROGRAM = "after_effects.jsx"
# Limits of addComp: side in pixels, pixel aspect ratio, seconds, frames per second.
_SIDES, _ASPECTS, _SECONDS, _RATES = (4, 30000), (Fraction(1, 100), Fraction(100)), 10800, (1, 99)
VOCABULARY: Mapping[str, Target] = {
    "name": Target("text", note="name of the composition"),
    "comment": Target("text", note="first lines of the footage's comment"),
    "comment/*": Target("any", note="a separate line in the comment: NAME: value"),
}


class JsxWriter:
    """See :class:`regenstore.export.sidecar.writer.SidecarWriter`."""

    name = "jsx"
    scope: Scope = "clip"

    def vocabulary(self) -> Mapping[str, Target]:
        return VOCABULARY

    def settings(self) -> Mapping[str, Target]:
        return {"composition": Target("boolean", note="make a composition (default: true)")}

    def refuses(self, clip: Clip, options: Options) -> str | None:
        if xml_legal(clip.media_path)[1]:
            return "its path has control characters, or bytes that are not UTF-8"
        return None

    def render(self, filled: Sequence[Filled], options: Options) -> list[Rendered]:
        (each,) = filled
        clip = each.clip
        rows, lines, head, warnings = [], [], "", []
        name, room = clip.stem, MAX_COMMENT
        for row in each.rows:
            if row.status in ("missing", "redacted"):
                rows.append(row)
                continue
            label = row.target.partition("/")[2]
            text, done = _text(row, room - len(label.encode()) - 3, flat=row.target != "comment")
            rows.append(done)
            if row.target == "name":
                name = text or name
                continue
            room -= len(text.encode()) + len(label.encode()) + 3
            if row.target == "comment":
                head = text
            elif text:
                lines.append(f"{one_line(label)[0]}: {text}")
            if done.status == "clamped":
                warnings.append(f"{row.target} is shortened: {done.note}")
        reason = _no_composition(clip)
        if reason and options.settings.get("composition") is not False:
            warnings.append(f"there is no composition: {reason}")
        data = _data(clip, options, name, "\n".join([*([head] if head else []), *lines]), not reason)
        program = resources.files(__package__).joinpath(_PROGRAM).read_text("ascii")
        line = PLACE + json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(", ", ": ")) + ";"
        rendered = program.replace(f"{PLACE}null;", line, 1).encode("ascii")
        return [Rendered(options.name_for(clip), rendered, tuple(rows), tuple(warnings))]


WRITER = JsxWriter()


def _text(row: Row, room: int, *, flat: bool) -> tuple[str, Row]:
    """A row's text as After Effects can hold it, within ``room`` bytes of UTF-8."""
    legal, changed = xml_legal(text_of(row.value))
    text, folded = one_line(legal) if flat else (legal, False)
    cut = text.encode()[: max(0, room)].decode("utf-8", "ignore")
    if cut != text:
        return cut, row.written(cut, "clamped", f"After Effects keeps {MAX_COMMENT} bytes of a comment")
    if changed or folded:
        return text, row.written(text, "sanitised", "control characters became U+FFFD, line ends spaces")
    return text, row.written(text)


def _no_composition(clip: Clip) -> str:
    """Why After Effects cannot make a composition of it; empty if it can."""
    base, video = clip.timebase, clip.info.video
    if base is None or video is None or base.frames < 1:
        return "it has no timeline"
    if video.variable:
        return "its frame rate varies"
    if not all(_SIDES[0] <= side <= _SIDES[1] for side in (video.width, video.height)):
        return "After Effects does not support its size"
    if base.duration > _SECONDS or not _RATES[0] <= base.rate <= _RATES[1]:
        return "After Effects supports up to three hours at 1 to 99 frames per second"
    return ""


def _data(clip: Clip, options: Options, name: str, comment: str, possible: bool) -> dict[str, Any]:
    base, video = clip.timebase, clip.info.video
    aspect = (video.sample_aspect if video is not None else None) or Fraction(1)
    return {
        "media": clip.media_name,
        # ExtendScript's File() takes names as URIs.
        "beside": quote(clip.media_name),
        "path": quote(clip.media_path),
        "name": name,
        "comment": comment,
        "rate": None if base is None else [base.rate.numerator, base.rate.denominator],
        "variable": video is not None and video.variable,
        "frames": 0 if base is None else base.frames,
        "size": None if video is None else [video.width, video.height],
        "aspect": round(float(min(max(aspect, _ASPECTS[0]), _ASPECTS[1])), 6),
        "startFrame": options.start_frame,
        "streams": _beside("mgjson", clip, options),
        "table": _beside("frames-csv", clip, options),
        "markers": _markers(clip),
        "compose": possible and options.settings.get("composition") is not False,
    }


def _beside(writer: str, clip: Clip, options: Options) -> str | None:
    """The encoded path from the script to another output for the clip; None if it has none."""
    file = options.sibling_for(writer, clip) if clip.metrics is not None else None
    return quote(os.path.relpath(file, os.path.dirname(options.name_for(clip)) or ".")) if file else None


def _markers(clip: Clip) -> list[dict[str, Any]]:
    """Markers of the layer. It can have one per time, so those with the same first frame are merged."""
    found: dict[int, dict[str, Any]] = {}
    for each in clip.markers:
        text = xml_legal(f"{each.name}: {each.comment}" if each.comment else each.name)[0]
        here = found.setdefault(each.first, {"first": each.first, "frames": 0, "text": ""})
        here["frames"] = max(here["frames"], each.frames)
        here["text"] += f"; {text}" if here["text"] else text
    return list(found.values())
