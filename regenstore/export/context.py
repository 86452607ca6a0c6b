"""The context: all metadata of a medium under flat dotted names, for templates and datasets.

Names are stable within :data:`VERSION`: names may be added, but none changes its meaning. Fixed names are always
present, with None for unknown values; names of the open groups (``gen.params.*``, ``about.*`` …) exist if the recipe or
the measurements have them. ``docs/export.md`` has the same table, and a test compares the two.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any, NamedTuple, TypeAlias

from regenstore.export.color_names import assume, names_of
from regenstore.export.media_set import Medium
from regenstore.fs.path_text import path_text
from regenstore.media.frame_table import FrameMetrics
from regenstore.media.media_info import UNKNOWN_COLOR, MediaInfo
from regenstore.media.timecode import Timebase
from regenstore.objects.recipe import Recipe

VERSION = 1

Scalar = str | int | float | bool | Fraction
Value: TypeAlias = "Scalar | tuple[Scalar, ...] | array[float] | None"
"""The value of a context name. An ``array`` has one number per frame; unknown ones are NaN."""


class FieldName(NamedTuple):
    """A context name with its type, as documented, and its meaning."""

    name: str
    type: str
    meaning: str


TABLE: tuple[FieldName, ...] = (
    FieldName("medium.path", "text", "path in the worktree"),
    FieldName("medium.name", "text", "file name"),
    FieldName("medium.stem", "text", "file name without its extension"),
    FieldName("medium.folder", "text", "folder in the worktree"),
    FieldName("medium.media_type", "text", "media type"),
    FieldName("medium.kind", "text", "video, image, audio or other"),
    FieldName("medium.container", "text", "short name of the container"),
    FieldName("medium.revision", "text", "source commit, with --rev"),
    FieldName("store.digest", "text", "content address, blake3:…"),
    FieldName("store.size", "integer", "bytes"),
    FieldName("store.key", "text", "recipe key, key:…"),
    FieldName("store.blob", "text", "id of the recipe blob in Git"),
    FieldName("store.proof", "text", "exact, equivalent, unproven or imported"),
    FieldName("store.seconds", "number", "seconds that making it took"),
    FieldName("store.created", "time", "when the bytes were made, ISO 8601 in UTC"),
    FieldName("video.width", "integer", "pixels, as coded; also for stills"),
    FieldName("video.height", "integer", "pixels, as coded"),
    FieldName("video.size", "list", "width and height"),
    FieldName("video.rate", "fraction", "frames per second, exact; the average of a variable rate"),
    FieldName("video.variable", "boolean", "frames have unequal durations"),
    FieldName("video.frames", "integer", "number of frames"),
    FieldName("video.duration", "fraction", "seconds"),
    FieldName("video.codec", "text", "codec, FFmpeg's name"),
    FieldName("video.profile", "text", "the codec's profile"),
    FieldName("video.pixel_format", "text", "pixel format, FFmpeg's name"),
    FieldName("video.bit_depth", "integer", "bits per component"),
    FieldName("video.floating", "boolean", "samples are floating point"),
    FieldName("video.alpha", "boolean", "has an alpha channel"),
    FieldName("video.field_order", "text", "progressive, upper or lower"),
    FieldName("video.rotation", "integer", "degrees clockwise by which players rotate it"),
    FieldName("video.sample_aspect", "fraction", "width of a pixel divided by its height"),
    FieldName("color.name", "text", "rec709, srgb, rec2020, rec2020-pq, rec2020-hlg, rec601-525 or rec601-625"),
    FieldName("color.primaries", "integer", "code point of H.273; 2 is unspecified"),
    FieldName("color.transfer", "integer", "code point of H.273"),
    FieldName("color.matrix", "integer", "code point of H.273"),
    FieldName("color.full_range", "boolean", "full instead of video range"),
    FieldName("color.assumed", "boolean", "not stated by the file, but given with --assume-color"),
    FieldName("color.container", "text", "primaries-transfer-matrix according to the container"),
    FieldName("color.decoded", "text", "primaries-transfer-matrix according to the first decoded frame"),
    FieldName("color.max_content_light", "integer", "MaxCLL, cd/m²"),
    FieldName("color.max_average_light", "integer", "MaxFALL, cd/m²"),
    FieldName("color.mastering_max", "fraction", "mastering display's maximum, cd/m²"),
    FieldName("color.mastering_min", "fraction", "mastering display's minimum, cd/m²"),
    FieldName("audio.tracks", "integer", "number of audio tracks; the names below describe the first"),
    FieldName("audio.codec", "text", "codec, FFmpeg's name"),
    FieldName("audio.rate", "integer", "samples per second"),
    FieldName("audio.channels", "integer", "channels"),
    FieldName("audio.layout", "text", "channel layout"),
    FieldName("audio.sample_format", "text", "sample format, FFmpeg's name"),
    FieldName("audio.bits", "integer", "bits per sample, if the codec records them"),
    FieldName("audio.duration", "fraction", "seconds"),
    FieldName("timecode.start", "text", "timecode of the first frame, if the file has one"),
    FieldName("timecode.end", "text", "timecode of the frame after the last (exclusive)"),
    FieldName("timecode.drop", "boolean", "drop-frame"),
    FieldName("timecode.frame", "integer", "number of the first frame, counting from 00:00:00:00; 0 without timecode"),
    FieldName("gen.imported", "boolean", "imported: no recipe made it"),
    FieldName("gen.generator", "text", "generator"),
    FieldName("gen.version", "text", "the generator's contract version"),
    FieldName("gen.model", "text", "model"),
    FieldName("gen.revision", "text", "the model's revision"),
    FieldName("gen.model_digest", "text", "digest of the weights"),
    FieldName("gen.prompt", "text", "prompt"),
    FieldName("gen.negative_prompt", "text", "negative prompt"),
    FieldName("gen.seed", "text", "seed, as decimal text: it may have 64 bits"),
    FieldName("gen.steps", "integer", "sampling steps"),
    FieldName("gen.guidance", "number", "guidance scale"),
    FieldName("gen.sampler", "text", "sampler or scheduler"),
    FieldName("gen.loras", "list", "LoRAs as name:weight"),
    FieldName("gen.lora_names", "list", "names of the LoRAs"),
    FieldName("gen.lora_weights", "list", "their weights, in the same order"),
    FieldName("gen.output", "text", "name of the run's output"),
    FieldName("gen.source_type", "text", "IPTC digital source type, if it is certain"),
    FieldName("gen.inputs", "list", "inputs as name=path"),
    FieldName("gen.edited_from", "text", "key of the recipe whose take it was edited from"),
    FieldName("gen.params.*", "any", "a parameter; nested tables add further dots"),
    FieldName("gen.inputs.*.path", "text", "path of an input"),
    FieldName("gen.inputs.*.digest", "text", "digest of an input"),
    FieldName("about.*", "any", "an entry of the recipe's [about]: scene, characters, tags, rating …"),
    FieldName("frames.count", "integer", "number of frames that were measured"),
    FieldName("frames.marked", "integer", "number of black, frozen or doubtful spans"),
    FieldName("frames.index", "series", "0, 1, 2 …"),
    FieldName("frames.time", "series", "start of each frame, in seconds"),
    FieldName("frames.*", "series", "a measured column: motion, scene_score, blur, face_confidence …"),
    FieldName("metrics.*.min", "number", "smallest known value of a measured column"),
    FieldName("metrics.*.mean", "number", "mean of the known values"),
    FieldName("metrics.*.max", "number", "largest known value"),
)

COMMON_PARAMS: Mapping[str, tuple[str, ...]] = {
    "gen.prompt": ("prompt", "text", "positive_prompt", "positive", "caption", "description"),
    "gen.negative_prompt": ("negative_prompt", "negative", "neg_prompt", "uncond_prompt"),
    "gen.seed": ("seed", "noise_seed", "random_seed", "manual_seed"),
    "gen.steps": ("steps", "num_inference_steps", "sampling_steps", "num_steps", "inference_steps"),
    "gen.guidance": ("guidance_scale", "cfg", "cfg_scale", "guidance", "true_cfg_scale", "sample_guide_scale"),
    "gen.sampler": ("sampler", "sampler_name", "scheduler", "sample_solver"),
}
"""The usual parameter names of common generation settings; the first one that a recipe has is used."""
LORA_PARAMS = ("loras", "lora", "lora_weights", "adapters")
_LORA_NAME = ("name", "path", "file", "model", "adapter_name", "lora_name", "id")
_LORA_WEIGHT = ("weight", "strength", "scale", "strength_model", "multiplier")

_LORA_WEIGHTS = ("lora_weights", "lora_scales", "lora_strengths", "adapter_weights")
"""Parameters with the weights of LoRAs that another one names, in the same order."""

_LONG = 12
"""Length from which a text is also searched for within other texts."""

NAMES = frozenset(entry.name for entry in TABLE if "*" not in entry.name)


def fields(
    medium: Medium,
    info: MediaInfo,
    metrics: FrameMetrics | None = None,
    *,
    timebase: Timebase | None = None,
    assume_color: str | None = None,
    redact: frozenset[str] = frozenset(),
) -> dict[str, Value]:
    """The context of a medium.

    ``redact``: names (or their last words, such as ``prompt``) whose values become None, wherever the same text occurs;
    see :func:`redacted`. Raises InvalidInput (``bad-export``) for an unknown colour space to assume.
    """
    found: dict[str, Value] = dict.fromkeys(entry.name for entry in TABLE if "*" not in entry.name)
    found.update(_medium(medium, info))
    found.update(_picture(info, assume_color))
    found.update(_sound(info))
    found.update(_timecode(info, timebase))
    found.update(_recipe(medium))
    found.update(_measured(info, metrics))
    gone = redacted(found, redact)
    return {name: None if name in gone else value for name, value in found.items()}


def is_known(name: str) -> bool:
    """Whether a name can have a value: it is fixed, or belongs to an open group."""
    return name in NAMES or any(_matches(entry.name, name) for entry in TABLE if "*" in entry.name)


def _matches(pattern: str, name: str) -> bool:
    head, _, tail = pattern.partition("*")
    return len(name) > len(head) + len(tail) and name.startswith(head) and name.endswith(tail)


def named_by(found: Mapping[str, Value], word: str) -> set[str]:
    """The names of a context that a redaction word selects: by full name, last word or group, and by the names under
    which generators keep the same value."""
    gone = {name for name in found if name == word or name.endswith("." + word) or name.startswith(word + ".")}
    for common, places in COMMON_PARAMS.items():
        if word in (common, common.partition(".")[2]) or word in places:
            gone |= {common, *(f"gen.params.{place}" for place in places)} & found.keys()
    return gone


def redacted(found: Mapping[str, Value], redact: frozenset[str]) -> frozenset[str]:
    """The names of a context that a redaction removes: those that it selects, and all others that reveal the same
    text."""
    if not redact:
        return frozenset()
    gone = {name for word in redact for name in named_by(found, word)}
    secrets = {text for name in gone for text in _texts(found[name])}
    gone |= {name for name, value in found.items() if any(_tells(text, secrets) for text in _texts(value))}
    return frozenset(gone)


def _texts(value: Value) -> tuple[str, ...]:
    """The texts in a value, without those that contain no words."""
    given = value if isinstance(value, tuple) else (value,)
    return tuple(each for each in given if isinstance(each, str) and each.strip())


def _tells(text: str, secrets: set[str]) -> bool:
    """Whether a text equals one of the secrets, or contains a longer one (as a note or a workflow in JSON may)."""
    if text in secrets:
        return True
    return any(
        secret in text or any(json.dumps(secret, ensure_ascii=ascii)[1:-1] in text for ascii in (True, False))
        for secret in secrets
        if len(secret) >= _LONG
    )


# ------------------------------------------------------------------------------------------- groups


def _medium(medium: Medium, info: MediaInfo) -> Iterator[tuple[str, Value]]:
    for name in ("path", "name", "stem", "folder"):
        yield f"medium.{name}", path_text(getattr(medium, name))
    yield "medium.media_type", medium.media_type
    yield "medium.revision", medium.revision
    yield "medium.kind", info.kind
    yield "medium.container", info.container or None
    yield "store.digest", str(medium.digest)
    yield "store.size", medium.size
    yield "store.key", None if medium.key is None else str(medium.key)
    yield "store.blob", medium.blob
    yield "store.proof", medium.proof
    yield "store.seconds", medium.recipe.output.seconds
    yield "store.created", None if medium.created is None else iso_time(medium.created)


def iso_time(seconds: float) -> str:
    """Format seconds since the epoch as ISO 8601, UTC, in whole seconds: ``2026-11-21T12:00:00Z``."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _picture(info: MediaInfo, assume_color: str | None) -> Iterator[tuple[str, Value]]:
    video = info.video
    if video is None:
        assume(UNKNOWN_COLOR, assume_color)  # reports an unknown name in any case
        return
    for name in (
        "width", "height", "rate", "variable", "frames", "duration", "codec", "profile", "pixel_format",
        "bit_depth", "floating", "alpha", "field_order", "rotation", "sample_aspect",
    ):  # fmt: skip
        yield f"video.{name}", getattr(video, name)
    yield "video.size", (video.width, video.height)
    color, assumed = assume(video.color, assume_color)
    names = names_of(color)
    yield "color.name", None if names is None else names.name
    yield "color.assumed", assumed
    for name in ("primaries", "transfer", "matrix", "full_range"):
        yield f"color.{name}", getattr(color, name)
    for name, each in (("container", video.container_color), ("decoded", video.decoded_color)):
        yield f"color.{name}", f"{each.primaries}-{each.transfer}-{each.matrix}"
    yield "color.max_content_light", video.max_content_light
    yield "color.max_average_light", video.max_average_light
    if video.mastering is not None:
        yield "color.mastering_max", video.mastering.max_luminance
        yield "color.mastering_min", video.mastering.min_luminance


def _sound(info: MediaInfo) -> Iterator[tuple[str, Value]]:
    yield "audio.tracks", len(info.audio)
    for track in info.audio[:1]:
        for name in ("codec", "rate", "channels", "layout", "sample_format", "bits", "duration"):
            yield f"audio.{name}", getattr(track, name)


def _timecode(info: MediaInfo, timebase: Timebase | None) -> Iterator[tuple[str, Value]]:
    if timebase is None:
        return
    yield "timecode.frame", timebase.start
    if info.timecode is not None:
        yield "timecode.start", timebase.start_timecode
        yield "timecode.end", timebase.end_timecode
        yield "timecode.drop", timebase.drop


def _recipe(medium: Medium) -> Iterator[tuple[str, Value]]:
    recipe = medium.recipe
    yield "gen.imported", recipe.imported
    yield "gen.generator", recipe.generator
    yield "gen.version", recipe.version or None
    yield "gen.output", None if recipe.imported else recipe.output.name
    yield "gen.edited_from", recipe.edited_from
    for name, key in (("gen.model", "name"), ("gen.revision", "revision"), ("gen.model_digest", "digest")):
        yield name, _simple(recipe.model.get(key))
    for name, places in COMMON_PARAMS.items():
        value = next((_simple(recipe.params[place]) for place in places if place in recipe.params), None)
        yield name, str(value) if name == "gen.seed" and value is not None else value
    yield from _loras(recipe.params)
    inputs = tuple(f"{name}={given.path or given.digest}" for name, given in sorted(recipe.inputs.items()))
    yield "gen.inputs", inputs or None
    yield "gen.source_type", _source_type(recipe)
    for name, given in sorted(recipe.inputs.items()):
        yield f"gen.inputs.{name}.path", given.path
        yield f"gen.inputs.{name}.digest", str(given.digest)
    yield from _flat("gen.params", recipe.params)
    yield from _flat("about", recipe.about)


def prompt_of(recipe: Recipe, at: Callable[[str], Recipe | None], depth: int = 4) -> str | None:
    """The prompt of a recipe, or else that of its nearest source with one. ``at`` returns the recipe at a path; a
    source that has other bytes by now is passed over."""
    own = next((recipe.params[name] for name in COMMON_PARAMS["gen.prompt"] if recipe.params.get(name)), None)
    if isinstance(own, str) or not depth:
        return own if isinstance(own, str) else None
    for _, given in sorted(recipe.inputs.items()):
        source = at(given.path) if given.path else None
        if source is not None and source.output.take is not None and source.output.take.digest == given.digest:
            found = prompt_of(source, at, depth - 1)
            if found:
                return found
    return None


def _source_type(recipe: Recipe) -> str | None:
    """IPTC's digital source type for what a model made, and for what an algorithm without training made. For
    everything else (a cut, a program without a model, imported media) it is uncertain, hence None."""
    if recipe.imported:
        return None
    if (recipe.generator or "").startswith("procedural."):
        return "algorithmicMedia"
    return "trainedAlgorithmicMedia" if recipe.model else None


def _loras(params: Mapping[str, Any]) -> Iterator[tuple[str, Value]]:
    given = next((params[name] for name in LORA_PARAMS if params.get(name)), None)
    pairs: list[tuple[str, float | None]] = []
    for each in list(given.items()) if isinstance(given, Mapping) else given if isinstance(given, list) else [given]:
        if isinstance(each, Mapping):
            name = next((str(each[key]) for key in _LORA_NAME if key in each), "")
            weight = next((each[key] for key in _LORA_WEIGHT if isinstance(each.get(key), (int, float))), None)
        elif isinstance(each, tuple):
            name, weight = str(each[0]), each[1] if isinstance(each[1], (int, float)) else None
        elif isinstance(each, str):
            name, _, text = each.rpartition(":")
            try:
                name, weight = (name, float(text)) if name else (text, None)
            except ValueError:
                name, weight = each, None
        else:
            continue
        if name:
            pairs.append((name, weight))
    if pairs and all(weight is None for _, weight in pairs):
        apart: list[Any] = next((params[name] for name in _LORA_WEIGHTS if isinstance(params.get(name), list)), [])
        if len(apart) == len(pairs) and all(isinstance(weight, (int, float)) for weight in apart):
            pairs = [(name, weight) for (name, _), weight in zip(pairs, apart)]
    if pairs:
        yield "gen.loras", tuple(name if weight is None else f"{name}:{weight:g}" for name, weight in pairs)
        yield "gen.lora_names", tuple(name for name, _ in pairs)
        yield "gen.lora_weights", tuple(float("nan") if weight is None else float(weight) for _, weight in pairs)


def _flat(prefix: str, table: Mapping[str, Any]) -> Iterator[tuple[str, Value]]:
    for name, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(f"{prefix}.{name}", value)
        else:
            yield f"{prefix}.{name}", _simple(value)


def _simple(value: object) -> Value:
    """Convert a recipe's value for a context: lists of simple values become tuples, deeper structures JSON text."""
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    if isinstance(value, Sequence) and not value:
        return None
    if isinstance(value, Sequence) and all(isinstance(each, (str, int, float, bool)) for each in value):
        return tuple(value)
    return json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)


class Marker(NamedTuple):
    """A span of frames worth checking. Frames count from 0."""

    first: int
    frames: int
    name: str
    comment: str = ""


DOUBTFUL = 0.5
"""Confidence below which a face is worth checking."""


def markers(metrics: FrameMetrics | None) -> tuple[Marker, ...]:
    """Spans of black frames, of frozen frames, and of frames with a doubtful face, in order."""
    found: list[Marker] = []
    columns = {} if metrics is None else metrics.columns
    for column, name in (("black", "black"), ("frozen", "frozen"), ("face_confidence", "low face confidence")):
        values = columns.get(column, ())
        marked = [value < DOUBTFUL if column == "face_confidence" else value >= 0.5 for value in values]
        first = 0
        while True in marked[first:]:
            first = marked.index(True, first)
            end = marked.index(False, first) if False in marked[first:] else len(marked)
            comment = f"lowest {min(values[first:end]):.2f}" if column == "face_confidence" else ""
            found.append(Marker(first, end - first, name, comment))
            first = end
    return tuple(sorted(found, key=lambda marker: (marker.first, marker.name)))


def _measured(info: MediaInfo, metrics: FrameMetrics | None) -> Iterator[tuple[str, Value]]:
    if metrics is None:
        return
    yield "frames.count", metrics.count
    yield "frames.marked", len(markers(metrics)) or None
    yield "frames.index", array("d", range(metrics.count))
    rate = info.video.rate if info.video is not None else None
    if rate:
        yield "frames.time", array("d", (float(index / rate) for index in range(metrics.count)))
    for name, column in metrics.columns.items():
        yield f"frames.{name}", column
        summary = metrics.summary(name)
        if summary is not None:
            for part, value in zip(("min", "mean", "max"), summary):
                yield f"metrics.{name}.{part}", value


def text_of(value: Value) -> str:
    """Format a value as text: numbers in their shortest form, fractions as ``24000/1001`` (whole ones as ``24``),
    lists joined by ``, ``, a series by its length and range."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, array):
        known = [each for each in value if each == each]
        return f"{len(value)} values" + (f", {min(known):g} to {max(known):g}" if known else ", none known")
    if isinstance(value, tuple):
        return ", ".join(text_of(each) for each in value)
    return str(value)
