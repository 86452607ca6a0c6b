"""Nuke script: the medium's Read node, its metadata, and per-frame measurements as curves.

Sources: scripts that Nuke writes; Foundry's NDK guide, "Curve serialisation". Nuke evaluates knobs and metadata values
as Tcl when it uses them, not only on loading, so quoting alone would let a prompt with ``[python {…}]`` run. Therefore
the four characters that Tcl acts on are replaced in user text, visibly, before it is quoted.
"""

from __future__ import annotations

import hashlib
import os
import re
from array import array
from collections.abc import Mapping, Sequence
from fractions import Fraction

from regenstore.export.color_names import names_of
from regenstore.export.context import text_of
from regenstore.export.sidecar.legal_text import one_line, xml_legal
from regenstore.export.sidecar.series import MEASURED, left_out, runs, shortest, whole_series, with_measured
from regenstore.export.sidecar.writer import Clip, Filled, Options, Rendered, Row, Scope, Target
from regenstore.media.media_info import Video
from regenstore.media.timecode import decimal_rate

FIRST_FRAME = 1
"""The number that Nuke gives to a movie's first frame."""
COLORSPACES = ("nuke-default", "aces")
VOCABULARY: Mapping[str, Target] = {
    "regenstore/*": Target("any", note="metadata; a name that ends in _sha256 holds the SHA-256 of the text"),
    "exr/*": Target("any", note="metadata that Nuke's Write node stores in EXR files"),
    "curve/*": Target("series", note="knob with a curve: one number per frame"),
    "label": Target("text", note="label of the Read node"),
}
KEY = re.compile(r"(?:regenstore|exr)/[A-Za-z0-9_][A-Za-z0-9_.:/-]*")
CURVE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# Knobs that every NoOp has; some of them hold code.
OWN_KNOBS = frozenset({
    "name", "label", "help", "onCreate", "onDestroy", "knobChanged", "updateUI", "autolabel", "panel", "panelDropped",
    "tile_color", "gl_color", "selected", "xpos", "ypos", "icon", "indicators", "hide_input", "cached", "disable",
    "dope_sheet", "postage_stamp", "postage_stamp_frame", "lifetimeStart", "lifetimeEnd", "useLifetime", "note_font",
    "note_font_size", "note_font_color", "bookmark", "channels", "inputs", "rootNodeUpdated", "regen", "addUserKnob",
    "User",
})  # fmt: skip
_ACTED_ON = str.maketrans("[]$\\", "［］＄＼")
_QUOTED = str.maketrans({mark: "\\" + mark for mark in '"{}'})
_BARE = re.compile(r"[A-Za-z0-9_.:/+-]+")
# Read would interpret these as a frame number, a view, or Tcl.
_PATTERN = re.compile(r"[#\[\]$\\{}\"]|%\d*d|%[vV]")


class NukeWriter:
    """See :class:`regenstore.export.sidecar.writer.SidecarWriter`."""

    name = "nk"
    scope: Scope = "clip"

    def vocabulary(self) -> Mapping[str, Target]:
        return VOCABULARY

    def settings(self) -> Mapping[str, Target]:
        return {
            "measured": MEASURED,
            "root": Target("boolean", note="also set the project's frame range, format and rate (default: true)"),
            "colorspace": Target("choice", COLORSPACES, "set the Read node's colour space for this configuration"),
        }

    def refuses(self, clip: Clip, options: Options) -> str | None:
        if clip.info.video is None:
            return "it has no picture"
        odd = _PATTERN.search(clip.media_path)
        if odd:
            return f"Nuke would interpret '{odd[0]}' in its path: {clip.media_path}"
        if one_line(clip.media_path)[1] or xml_legal(clip.media_path)[1]:
            return "its path has control characters, or bytes that are not UTF-8"
        return None

    def render(self, filled: Sequence[Filled], options: Options) -> list[Rendered]:
        (each,) = filled
        clip, video = each.clip, each.clip.info.video
        assert video is not None
        first = FIRST_FRAME if options.start_frame is None else options.start_frame
        metadata: list[str] = []
        curves: list[str] = []
        label, taken, rows, warnings = "", set[str](), [], list[str]()
        for row in with_measured(each, options.settings.get("measured"), "curve/"):
            if row.status in ("missing", "redacted"):
                rows.append(row)
                continue
            problem = _unfit(row, clip, taken)
            if problem:
                rows.append(left_out(row, problem, warnings))
                continue
            taken.add(row.target)
            if isinstance(row.value, array):
                curves += _curve(row, first)
                rows.append(row.written(text_of(row.value)))
                continue
            text, done = _text(row)
            rows.append(done)
            if row.target == "label":
                label = f" label {_word(text)}\n"
            else:
                metadata.append(f"  {{set {row.target} {_word(text)}}}\n")
        name = node_name(clip.stem)
        parts = ["#! regenstore export\nversion 13.2 v1\n"]
        if options.settings.get("root") is not False:
            parts.append(_root(name, clip, video, first, options))
        parts.append(_read(name, clip, video, options, label))
        if metadata:
            body = "".join(metadata)
            parts.append(f"ModifyMetaData {{\n metadata {{\n{body} }}\n name ModifyMetaData_{name}\n}}\n")
        if curves:
            knobs = "".join(curves)
            tab = " addUserKnob {20 regen l regenstore}\n"
            parts.append(f"NoOp {{\n name regen_metrics_{name}\n{tab}{knobs}}}\n")
        return [Rendered(options.name_for(clip), "".join(parts).encode(), tuple(rows), tuple(warnings))]


WRITER = NukeWriter()


def node_name(stem: str) -> str:
    """Derive a valid node name from any text."""
    name = re.sub(r"[^A-Za-z0-9_]", "_", stem)[:100]
    return name if re.match("[A-Za-z_]", name) else f"_{name}"


# ------------------------------------------------------------------------------------------- nodes


def _last(video: Video) -> int:
    return max(1, video.frames)


def _format(video: Video) -> str:
    aspect = decimal_rate(video.sample_aspect or Fraction(1), 6).rstrip("0").rstrip(".")
    suffix = "" if aspect == "1" else f"_{aspect.replace('.', '_')}"
    size = f"{video.width} {video.height}"
    return f'"{size} 0 0 {size} {aspect} gen_{video.width}x{video.height}{suffix}"'


def _root(name: str, clip: Clip, video: Video, first: int, options: Options) -> str:
    # The very text that Nuke's button "Script Directory" writes: relative paths are found beside the script.
    beside = ' project_directory "\\[python \\{nuke.script_directory()\\}]"\n' if options.folder is not None else ""
    rate = f" fps {decimal_rate(video.rate)}\n" if video.rate is not None else ""
    return (
        f"Root {{\n inputs 0\n name {name}\n first_frame {first}\n last_frame {first + _last(video) - 1}\n"
        f" lock_range true\n format {_format(video)}\n{rate}{beside}}}\n"
    )


def _read(name: str, clip: Clip, video: Video, options: Options, label: str) -> str:
    last = _last(video)
    path = clip.media_path if options.folder is None else os.path.relpath(clip.media_path, options.folder)
    lines = [
        " inputs 0\n",
        f' file "{path}"\n',
        f" format {_format(video)}\n",
        f" last {last}\n origlast {last}\n origset true\n",
    ]
    if options.start_frame is not None:
        lines.append(f' frame_mode "start at"\n frame {options.start_frame}\n')
    known = names_of(clip.color)
    config = options.settings.get("colorspace")
    space = "" if known is None else known.nuke if config == "nuke-default" else known.ocio if config == "aces" else ""
    if space:
        lines.append(f' colorspace "{space}"\n')
    return f"Read {{\n{''.join(lines)}{label} name Read_{name}\n}}\n"


def _curve(row: Row, first: int) -> list[str]:
    """The lines of one knob. A missing value has no key; the next key states its frame again."""
    name = row.target.removeprefix("curve/")
    assert isinstance(row.value, array)
    keys = (f"x{first + at} {' '.join(map(shortest, values))}" for at, values in runs(row.value))
    return [f' addUserKnob {{7 {name} l "{name.replace("_", " ")}"}}\n', f" {name} {{{{curve {' '.join(keys)}}}}}\n"]


# ------------------------------------------------------------------------------------------- values


def _unfit(row: Row, clip: Clip, taken: set[str]) -> str:
    """Why a row cannot be in the script; empty if it can."""
    if row.target in taken:
        return "this name is already used"
    if not row.target.startswith("curve/"):
        if isinstance(row.value, array):
            return "one number per frame needs the target curve/NAME"
        return "" if row.target == "label" or KEY.fullmatch(row.target) else "not a valid metadata name"
    name = row.target.removeprefix("curve/")
    if not CURVE_NAME.fullmatch(name) or name in OWN_KNOBS:
        return "not a valid knob name (letters, digits, _; not one that every node has)"
    if clip.info.video is not None and clip.info.video.variable:
        return "the frame rate varies, so Nuke's frames differ from the measured ones"
    found = whole_series(row, clip)
    return found if isinstance(found, str) else ""


def _text(row: Row) -> tuple[str, Row]:
    """A text without characters that Nuke acts on, and the row as written."""
    given = text_of(row.value)
    if row.target.endswith("_sha256"):
        text = hashlib.sha256(given.encode("utf-8", "surrogatepass")).hexdigest()
        return text, row.written(text)
    legal, illegal = xml_legal(given)
    flat, folded = one_line(legal)
    text = flat.translate(_ACTED_ON)
    if not illegal and not folded and text == flat:
        return text, row.written(text)
    note = "[ ] $ \\ became full-width and line ends became spaces, as Nuke would act on them"
    return text, row.written(text, "sanitised", note)


def _word(text: str) -> str:
    """Quote a cleaned text as one Tcl word."""
    return text if _BARE.fullmatch(text) else f'"{text.translate(_QUOTED)}"'
