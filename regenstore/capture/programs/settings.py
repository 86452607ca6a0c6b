"""Names and values of programs' settings, and the hashes of models that they record."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from regenstore.capture import bounded_json
from regenstore.capture.captured import ModelReference
from regenstore.capture.embedded import Embedded
from regenstore.capture.graphs.values import to_recipe
from regenstore.objects.bounded import Unparsable

MAIN = ("checkpoint", "diffusion_model")
"""Roles of a medium's main model."""
_SURROGATE = re.compile("[\ud800-\udfff]")
_SIZE = re.compile(r"\(?\s*(\d{1,6})\s*[x×*,]\s*(\d{1,6})\s*\)?")
_WORD = re.compile(r"[^\W_]+")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_HEX = re.compile(r"(?:0x)?([0-9a-fA-F]{8,64})")
_KINDS = {64: "sha256", 12: "autov3", 10: "autov2", 8: "autov1"}
_OF_NOTHING = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
"""SHA-256 of no bytes: programs write its beginning when they could not hash a file."""


class FreeNames:
    """Gives each setting a name of its own: a name that is taken gets a number, ``NAME_2``, ``NAME_3``, …"""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = set(taken)
        self._last: dict[str, int] = {}

    def take(self, name: str) -> str:
        free, number = name, self._last.get(name, 1)
        while free in self._taken:
            number += 1
            free = f"{name}_{number}"
        self._last[name] = number
        self._taken.add(free)
        return free


def params_of(settings: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Return a program's settings under the names that all programs share, the others under their own names in
    snake_case."""
    free = FreeNames()
    return {free.take(names.get(name) or snake(name)): to_recipe(value) for name, value in settings.items()}


def snake(name: str) -> str:
    """Return a name in snake_case: ``Hires upscaler`` and ``hiresUpscaler`` become ``hires_upscaler``, but ``ADetailer
    model`` becomes ``adetailer_model``."""
    name = without_surrogates(name)
    return "_".join(_WORD.findall(name if " " in name else _HUMP.sub(" ", name))).lower() or "setting"


def size(text: object) -> tuple[int, int] | None:
    """Return the numbers of a size such as ``512x768``, ``(512, 768)`` or ``512 × 768``."""
    found = _SIZE.fullmatch(text) if isinstance(text, str) else None
    return (int(found[1]), int(found[2])) if found else None


def without_surrogates(text: str) -> str:
    """Return text that UTF-8 can encode: a lone surrogate becomes its escape."""
    return _SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", text) if _SURROGATE.search(text) else text


def hashes(recorded: object, kind: str | None = None) -> dict[str, str]:
    """Return a recorded hash under the name of its kind, which its length tells if it is not given: 64 digits of
    SHA-256, 12 of AutoV3 (SHA-256 of a safetensors file without its header), 10 of AutoV2 (SHA-256), 8 of AutoV1 (a
    part of the file)."""
    found = _HEX.fullmatch(recorded.strip()) if isinstance(recorded, str) else None
    if found is None:
        return {}
    digits = found[1].lower()
    kind = kind or _KINDS.get(len(digits))
    return {} if kind is None or _OF_NOTHING.startswith(digits) else {kind: digits}


def file_name(name: str) -> str:
    """Return a model's name with ``/`` between folders."""
    return without_surrogates(name.strip().replace("\\", "/"))


def unique(models: Iterable[ModelReference]) -> tuple[ModelReference, ...]:
    """Return references without repetitions, the hashes of those with the same name and role together; the main model
    comes first."""
    found: dict[tuple[str, str], ModelReference] = {}
    for model in models:
        known = found.get((model.name, model.role))
        joined = {**model.hashes, **known.hashes} if known else model.hashes
        found[model.name, model.role] = ModelReference(model.name, model.role, joined)
    return tuple(sorted(found.values(), key=lambda model: model.role not in MAIN))


def unhashed(models: Iterable[ModelReference]) -> tuple[str, ...]:
    """Return what is missing of models that only a name, or an AutoV1 hash that many files share, tells."""
    return tuple(f"a hash of {model.name}" for model in models if not model.hashes.keys() - {"autov1"})


def lacking(models: Sequence[ModelReference]) -> tuple[str, ...]:
    """Return what a run still needs to know of the models that were recorded."""
    main = () if models and models[0].role in MAIN else ("the model's name",)
    return (*main, *unhashed(models))


def texts(pieces: Sequence[Embedded], *names: str) -> Iterable[str]:
    """Yield the texts of pieces with one of these names, compared in lower case."""
    for piece in pieces:
        if piece.name.lower() in names:
            value = piece.value
            text = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
            if text := text.strip("\0 \r\n\t"):
                yield text


def json_object(text: str) -> dict[str, Any] | None:
    """Return the JSON object that a text is, else None."""
    value = json_value(text)
    return value if isinstance(value, dict) else None


def json_value(text: str) -> Any:
    """Return the JSON array or object that a text is, else None."""
    if not text.startswith(("{", "[")):
        return None
    try:
        return bounded_json.parse(text)
    except Unparsable:
        return None
