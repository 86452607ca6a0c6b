"""The names that adopted files get: a pattern's fields filled with what a file tells, in characters that every system
accepts."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from regenstore.capture.captured import Captured
from regenstore.errors import InvalidInput
from regenstore.media.types import by_name, kind, suffix_for
from regenstore.objects.ids import Digest
from regenstore.worktree.paths import check_relative

FIELDS = (
    *("date", "time", "name", "ext", "folder", "kind", "digest"),
    *("program", "workflow", "model", "level", "seed", "width", "height", "steps", "cfg", "sampler"),
)
"""What a pattern may name."""
UNKNOWN = "unknown"
_FIELD = re.compile(r"\{([^{}]*)\}")
_UNSAFE = re.compile(r'[\x00-\x1f\x7f<>:"\\|?*]')
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)
_LONGEST = 120
"""Bytes of a component of a path; file systems allow 255."""


class SourceFile(NamedTuple):
    """What a name can be made of."""

    path: bytes
    """Below the folder that is adopted."""
    modified: float
    media_type: str
    digest: Digest
    captured: Captured | None


def checked_pattern(pattern: str) -> str:
    """Return a pattern whose fields all exist. Raises InvalidInput (``bad-path``)."""
    names = ", ".join(f"{{{name}}}" for name in FIELDS)
    for name in _FIELD.findall(pattern):
        if name not in FIELDS:
            raise InvalidInput("bad-path", f"--to {pattern}: there is no field {{{name}}}", hint=f"There are {names}.")
    if "{" in (rest := _FIELD.sub("x", pattern)) or "}" in rest:
        raise InvalidInput("bad-path", f"--to {pattern}: a brace has no partner", hint=f"The fields are {names}.")
    check_relative(os.fsencode(rest))
    return pattern


def kept_name(file: SourceFile) -> bytes:
    """The path of a file below its folder, unchanged. Raises InvalidInput (``bad-path``) for a name that no worktree
    may have, such as ``.git``."""
    return check_relative(file.path)


def filled(pattern: str, file: SourceFile) -> bytes:
    """The path that a pattern gives a file; without ``{ext}``, its extension is added. What a file does not tell is
    ``unknown``."""
    told = _fields(file)
    whole = pattern if "{ext}" in pattern else f"{pattern}.{{ext}}" if told["ext"] else pattern
    parts = []
    for part in whole.split("/"):
        text = _FIELD.sub(lambda found: told[found[1]], part)
        parts += [safe for each in text.split("/") if (safe := safe_name(each))]
    return check_relative(os.fsencode("/".join(parts) or UNKNOWN))


def numbered(path: bytes, number: int) -> bytes:
    """The path with a number before its extension."""
    stem, suffix = os.path.splitext(path)
    return b"%s-%d%s" % (stem, number, suffix)


def safe_name(text: str) -> str:
    """A name that Windows, macOS and Linux accept, of the same meaning; empty if nothing is left."""
    name = _UNSAFE.sub("_", text).strip().rstrip(".")
    if name.startswith((".", "-")):
        name = "_" + name[1:]
    if _RESERVED.match(name):
        name = "_" + name
    raw = os.fsencode(name)
    if len(raw) > _LONGEST:
        stem, suffix = os.path.splitext(raw)
        suffix = suffix[:20]
        name = (stem[: _LONGEST - len(suffix)] + suffix).decode(errors="ignore")
    return name


def _fields(file: SourceFile) -> Mapping[str, str]:
    name, suffix = os.path.splitext(os.path.basename(os.fsdecode(file.path)))
    if by_name(suffix and f"x{suffix}") != file.media_type:
        suffix = suffix_for(file.media_type) or suffix
    when = time.localtime(file.modified)
    captured = {} if file.captured is None else _captured(file.captured)
    return {
        **{name: _one(captured.get(name)) for name in FIELDS},
        "date": time.strftime("%Y-%m-%d", when),
        "time": time.strftime("%H%M%S", when),
        "name": _one(name),
        "ext": suffix[1:].lower(),
        "folder": os.path.dirname(os.fsdecode(file.path)),
        "kind": kind(file.media_type),
        "digest": file.digest.hex[:12],
    }


def _captured(captured: Captured) -> dict[str, Any]:
    main = captured.models[0].name if captured.models else captured.about.get("model")
    model = os.path.basename(main.replace("\\", "/")) if isinstance(main, str) else None
    return {
        **{name: captured.params.get(name) for name in FIELDS},
        "program": captured.generator or captured.program,
        "workflow": _workflow(captured),
        "model": model and re.sub(r"\.(safetensors|ckpt|gguf|pt|pth|bin|onnx)$", "", model),
        "level": captured.level.value,
    }


def _workflow(captured: Captured) -> Any:
    """The name of a workflow: its own where the program records one, else the prefix that it gives its files."""
    own = captured.about.get("workflow")
    if isinstance(own, str) and own:
        return own
    nodes = captured.params.get("nodes")
    for node in nodes.values() if isinstance(nodes, Mapping) else ():
        inputs = node.get("inputs") if isinstance(node, Mapping) else None
        prefix = inputs.get("filename_prefix") if isinstance(inputs, Mapping) else None
        if isinstance(prefix, str) and prefix:
            return prefix.replace("%date%", "").strip("/")
    return None


def _one(value: Any) -> str:
    """A value as part of one name."""
    text = "" if value is None or isinstance(value, Mapping | list | tuple) else str(value)
    return text.replace("/", "_").strip() or UNKNOWN
