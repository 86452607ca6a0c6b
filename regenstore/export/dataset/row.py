"""The row of a sample: its data for tables, the sample's JSON, and selections.

The schema is fixed, whatever the samples hold: a loader that guessed types from values would guess different ones for
each split. Every column is in every row, with None (or an empty list) for unknown values. ``seed`` is text: seeds have
64 bits, and no loader preserves such integers.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import string
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NamedTuple

from regenstore.errors import InvalidInput
from regenstore.export.context import Value, fields
from regenstore.export.media_set import Medium
from regenstore.media.frame_table import FrameMetrics
from regenstore.media.media_info import MediaInfo

Row = dict[str, Any]


class Column(NamedTuple):
    """A column. ``type``: string, int, float, strings, loras, inputs or faces."""

    name: str
    type: str
    meaning: str


COLUMNS: tuple[Column, ...] = (
    Column("key", "string", "name of the sample's files; derived from its path, so it outlives changes"),
    Column("split", "string", "train, validation or test"),
    Column("text", "string", "caption, on one line, never empty"),
    Column("prompt", "string", "prompt"),
    Column("negative_prompt", "string", "negative prompt"),
    Column("seed", "string", "seed, as decimal text"),
    Column("steps", "int", "sampling steps"),
    Column("guidance", "float", "guidance scale"),
    Column("sampler", "string", "sampler or scheduler"),
    Column("generator", "string", "generator; empty for imported media"),
    Column("generator_version", "string", "the generator's contract version"),
    Column("model", "string", "model"),
    Column("model_revision", "string", "the model's revision"),
    Column("loras", "loras", "LoRAs with their weights"),
    Column("inputs", "inputs", "inputs of the recipe"),
    Column("scene", "string", "[about] scene"),
    Column("scene_type", "string", "[about] scene_type"),
    Column("characters", "strings", "[about] characters"),
    Column("tags", "strings", "[about] tags"),
    Column("failure_tags", "strings", "[about] failure_tags"),
    Column("rating", "float", "[about] rating"),
    Column("quality", "float", "[about] quality"),
    Column("width", "int", "pixels"),
    Column("height", "int", "pixels"),
    Column("fps", "float", "frames per second"),
    Column("rate", "string", "exact frames per second, such as 24000/1001"),
    Column("frames", "int", "number of frames"),
    Column("duration", "float", "seconds"),
    Column("codec", "string", "codec"),
    Column("pixel_format", "string", "pixel format"),
    Column("bit_depth", "int", "bits per component"),
    Column("color", "string", "colour space, if the file states one"),
    Column("timecode", "string", "timecode of the first frame"),
    Column("audio_codec", "string", "codec of the first audio track"),
    Column("audio_rate", "int", "samples per second"),
    Column("audio_channels", "int", "channels"),
    Column("motion", "float", "mean over the frames; docs/export.md describes the measurement"),
    Column("blur", "float", "mean"),
    Column("blockiness", "float", "mean"),
    Column("luma", "float", "mean"),
    Column("black", "float", "fraction of black frames"),
    Column("frozen", "float", "fraction of frozen frames"),
    Column("scene_score", "float", "largest"),
    Column("face_count", "float", "largest number of faces in a frame"),
    Column("face_confidence", "float", "mean confidence of each frame's most confident face"),
    Column("faces", "faces", "crops in faces/crops"),
    Column("group", "string", "samples of one group are in one split"),
    Column("proof", "string", "exact, equivalent, unproven or imported"),
    Column("created", "string", "when the bytes were made, ISO 8601"),
    Column("source", "string", "path in the repository"),
    Column("media_type", "string", "media type"),
    Column("digest", "string", "BLAKE3 of the medium"),
    Column("size", "int", "bytes"),
    Column("recipe_key", "string", "recipe key"),
    Column("params", "string", "all parameters of the recipe, as JSON"),
    Column("about", "string", "all of the recipe's [about], as JSON"),
)
TYPES = {column.name: column.type for column in COLUMNS}
LISTS = frozenset(column.name for column in COLUMNS if column.type not in ("string", "int", "float"))
STRUCTS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "loras": (("name", "string"), ("weight", "float")),
    "inputs": (("name", "string"), ("path", "string"), ("digest", "string")),
    "faces": (
        ("path", "string"), ("frame", "int"), ("confidence", "float"),
        ("x", "float"), ("y", "float"), ("w", "float"), ("h", "float"),
    ),
}  # fmt: skip
"""Columns that hold lists of structures."""

_FROM_CONTEXT = {
    "prompt": "gen.prompt", "negative_prompt": "gen.negative_prompt", "seed": "gen.seed", "steps": "gen.steps",
    "guidance": "gen.guidance", "sampler": "gen.sampler", "generator": "gen.generator",
    "generator_version": "gen.version", "model": "gen.model", "model_revision": "gen.revision",
    "scene": "about.scene", "scene_type": "about.scene_type", "rating": "about.rating", "quality": "about.quality",
    "characters": "about.characters", "tags": "about.tags", "failure_tags": "about.failure_tags",
    "width": "video.width", "height": "video.height", "fps": "video.rate", "rate": "video.rate",
    "frames": "video.frames", "duration": "video.duration", "codec": "video.codec",
    "pixel_format": "video.pixel_format", "bit_depth": "video.bit_depth", "color": "color.name",
    "timecode": "timecode.start", "audio_codec": "audio.codec", "audio_rate": "audio.rate",
    "audio_channels": "audio.channels", "motion": "metrics.motion.mean", "blur": "metrics.blur.mean",
    "blockiness": "metrics.blockiness.mean", "luma": "metrics.luma_avg.mean", "black": "metrics.black.mean",
    "frozen": "metrics.frozen.mean", "scene_score": "metrics.scene_score.max",
    "face_count": "metrics.face_count.max", "face_confidence": "metrics.face_confidence.mean",
    "proof": "store.proof", "created": "store.created", "source": "medium.path", "media_type": "medium.media_type",
    "digest": "store.digest", "size": "store.size", "recipe_key": "store.key",
}  # fmt: skip
"""Column -> name in the export context."""
_KEY_DIGITS = 15
_NO_CHARACTER = re.compile("[\0\ud800-\udfff]")


def sample_key(path: str, taken: Mapping[str, str] | None = None) -> str:
    """The key of the sample at a path: a letter and hex digits, so that it cannot be mistaken for a number, a split
    or a file extension. ``taken``: keys in use -> their paths; on a collision the key is made longer."""
    hexa = hashlib.sha256(path.encode(errors="surrogateescape")).hexdigest()
    digits = _KEY_DIGITS
    while taken is not None and taken.get("s" + hexa[:digits], path) != path:
        digits += 1
    return "s" + hexa[:digits]


_SPLIT_WORDS = frozenset(
    ("train", "training", "validation", "valid", "dev", "val", "test", "testing", "eval", "evaluation")
)
"""Words by which the library ``datasets`` tells splits apart, also in the names of files."""
_READABLE = 40


def file_stem(path: str, key: str) -> str:
    """The name, without its suffix, that a sample's files have in a dataset: the medium's own name as far as every
    program can read it, then the key, which makes it unique. A name that could be mistaken for a split is left out."""
    stem = os.path.splitext(os.path.basename(path))[0]
    plain = unicodedata.normalize("NFKD", stem).encode("ascii", "ignore").decode()
    words = re.findall("[A-Za-z0-9]+", plain)
    readable = "_".join(words)[:_READABLE].strip("_")
    named = {word.lower() for word in re.findall("[A-Za-z]+", readable)}
    return f"{readable}_{key}" if readable and not named & _SPLIT_WORDS else key


_SEPARATORS = re.compile(r"(?:\s*[,;|]){2,}(?=\s|$)")


@dataclass(frozen=True)
class Captions:
    """How captions are made from rows."""

    prefix: str = ""
    """Put before every caption as it is."""
    trigger: str = ""
    """A word that every caption begins with, unless it has it already."""
    template: str = ""
    """Text with columns in braces, and ``{caption}`` for the usual caption."""

    def check(self) -> None:
        """Raise InvalidInput (``bad-export``) for a template that is invalid or names an unknown column."""
        names = [*TYPES, "caption"]
        try:
            parts = [part for part in string.Formatter().parse(self.template) if part[1] is not None]
        except ValueError as error:
            raise InvalidInput("bad-export", f"--caption-template {self.template}: {error}") from None
        for _, name, form, conversion in parts:
            if name not in names or form or conversion:
                raise InvalidInput(
                    "bad-export", f"--caption-template {self.template}: there is no column '{name}'",
                    hint=f"Write columns in braces, such as {{caption}} or {{scene_type}}: {', '.join(names)}.",
                )  # fmt: skip

    def caption(self, row: Row) -> str:
        """The caption of a row, whose ``text`` is the usual one."""
        told = row["text"]
        if self.template:
            values = {name: _caption_value(value) for name, value in row.items()}
            filled = _SEPARATORS.sub(",", self.template.format(**values, caption=told))
            told = _line(filled).strip(" ,;|") or told
        if self.trigger and not re.search(rf"(?<!\w){re.escape(self.trigger)}(?!\w)", told):
            told = f"{self.trigger}, {told}"
        return _line(self.prefix + told)


USUAL = Captions()


def _caption_value(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(str(each["name"] if isinstance(each, dict) and "name" in each else each) for each in value)
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def row_of(
    key: str,
    medium: Medium,
    info: MediaInfo,
    metrics: FrameMetrics | None,
    captions: Captions = Captions(),
    prompt: str | None = None,
) -> Row:
    """The row of a sample, without its split, group and faces. ``prompt``: that of its source, for a derivative."""
    known = fields(medium, info, metrics)
    if prompt and known.get("gen.prompt") is None:
        known["gen.prompt"] = prompt
    row: Row = {column.name: [] if column.name in LISTS else None for column in COLUMNS}
    for name, source in _FROM_CONTEXT.items():
        row[name] = _typed(known.get(source), TYPES[name])
    row["key"] = key
    if row["duration"] is None and info.audio:
        row["duration"] = _typed(info.audio[0].duration, "float")
    row["loras"] = list(_loras(known))
    row["inputs"] = [
        {"name": name, "path": given.path, "digest": str(given.digest)}
        for name, given in sorted(medium.recipe.inputs.items())
    ]
    row["params"] = json_text(medium.recipe.params)
    row["about"] = json_text(medium.recipe.about)
    row["text"] = caption(known, medium)
    row["text"] = captions.caption(row)
    return row


def is_described(row: Row) -> bool:
    """Whether a row has anything to make a caption of besides the file name."""
    if row["prompt"] or row["scene"]:
        return True
    about = json.loads(row["about"])
    return any(isinstance(about.get(name), str) and _line(about[name]) for name in ("caption", "note"))


def _loras(known: Mapping[str, Value]) -> Sequence[dict[str, Any]]:
    names, weights = known.get("gen.lora_names"), known.get("gen.lora_weights")
    if not isinstance(names, tuple) or not isinstance(weights, tuple):
        return []
    return [{"name": name, "weight": _typed(weight, "float")} for name, weight in zip(names, weights)]


def _typed(value: Value, kind: str) -> Any:
    """Convert a context value to a column's type; None if that is impossible."""
    if kind == "strings":
        found = value if isinstance(value, tuple) else () if value is None else (value,)
        return [text for each in found if (text := whole_text(str(each)))]
    if value is None or (isinstance(value, bool) and kind != "string"):
        return None
    if kind == "string":
        return whole_text(", ".join(map(str, value)) if isinstance(value, tuple) else str(value))
    if not isinstance(value, (int, float, Fraction)):
        return None
    number = float(value)
    if not math.isfinite(number):
        return None
    return (int(value) if abs(number) < 2**62 else None) if kind == "int" else number


def whole_text(text: str) -> str:
    """Text that every encoder accepts: lone surrogates become U+FFFD, and so does NUL, which ends a text in many
    programs."""
    return _NO_CHARACTER.sub("\ufffd", text)


def json_text(table: object) -> str:
    """JSON with sorted keys: equal values give equal text."""
    return whole_text(json.dumps(table, ensure_ascii=False, sort_keys=True, default=str))


def caption(known: Mapping[str, Value], medium: Medium) -> str:
    """The caption: one line, never empty. Trainers read only the first line, or take every line for a caption, and
    fail on an empty file."""
    for name in ("about.caption", "gen.prompt", "about.note", "about.scene"):
        value = known.get(name)
        text = _line(value) if isinstance(value, str) else ""
        if text:
            return text
    return " ".join(whole_text(os.path.splitext(medium.name)[0]).replace("_", " ").split()) or "untitled"


def _line(text: str) -> str:
    """Text on one line. Joiners combine emoji; all other unprintable characters are removed."""
    return " ".join("".join(c if c.isprintable() or c in "\u200c\u200d" else " " for c in text).split())
