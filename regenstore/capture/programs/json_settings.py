"""Programs that write their settings as one JSON object, described as data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from regenstore.capture.captured import Captured, Level, ModelReference
from regenstore.capture.graphs.values import to_recipe
from regenstore.capture.programs import infotext, settings

COMMON: Mapping[str, str] = {
    "prompt": "prompt",
    "negative_prompt": "negative_prompt",
    "negativePrompt": "negative_prompt",
    "seed": "seed",
    "steps": "steps",
    "num_inference_steps": "steps",
    "cfg": "cfg",
    "cfg_scale": "cfg",
    "cfgScale": "cfg",
    "guidance_scale": "cfg",
    "sampler": "sampler",
    "sampler_name": "sampler",
    "scheduler": "scheduler",
    "width": "width",
    "height": "height",
    "clip_skip": "clip_skip",
    "clipSkip": "clip_skip",
    "denoise": "denoise",
}
"""What programs call the settings that all of them have."""
_NUMBERS = ("seed", "steps", "cfg", "guidance", "width", "height", "clip_skip", "denoise", "batch_size")
_NO_MODEL = ("none", "automatic", "default", "default (model)")
_LORA_NAMES = ("name", "file", "model", "lora", "model_name")
_LORA_STRENGTHS = ("weight", "strength", "strength_model", "model_weight")


@dataclass(frozen=True)
class Form:
    """What a program's object of settings is like."""

    names: Mapping[str, str] = field(default_factory=dict)
    """Names that differ from COMMON."""
    models: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Settings that name model files -> the role, and the setting that has the hash (or an empty name)."""
    size: str = "size"
    """The setting that has width and height, if one has both."""
    loras: str = "loras"
    apart: frozenset[str] = frozenset()
    """Settings that do not determine the medium: they are facts."""
    repeated: frozenset[str] = frozenset()
    """Settings that say again what others do."""


def captured(
    program: str, version: str | None, generator: str, found: Mapping[str, Any], form: Form, *missing: str
) -> Captured:
    """Return what an object of settings says, as parameters of a generator. Models that it names are not params:
    [model] has them."""
    rest = {name: value for name, value in found.items() if name not in form.apart | form.repeated}
    models = list(_models(rest, form))
    loras = _loras(rest.get(form.loras))
    if loras is not None:
        del rest[form.loras]
        models += [ModelReference(lora.pop("file"), "lora", lora.pop("hashes")) for lora in loras]
    size = settings.size(rest.get(form.size)) if not {"width", "height"} & rest.keys() else None
    if size is not None:
        del rest[form.size]
        rest |= dict(zip(("width", "height"), size, strict=True))
    names = {**COMMON, **form.names}
    for name, value in rest.items():
        if isinstance(value, str) and names.get(name) in _NUMBERS:
            rest[name] = infotext.number(value)
    params = settings.params_of(rest, names)
    if loras:
        params[settings.FreeNames(params).take("loras")] = loras
    references = settings.unique(models)
    about = {settings.snake(name): to_recipe(found[name]) for name in sorted(form.apart & found.keys())}
    return Captured(
        Level.PARAMETERS,
        program,
        version,
        generator,
        params=params,
        models=references,
        about=about,
        missing=(*settings.lacking(references), *missing),
    )


def _models(rest: dict[str, Any], form: Form) -> Iterator[ModelReference]:
    """Yield the models that settings name, and take those settings and their hashes out."""
    for name, (role, hashed) in form.models.items():
        value = rest.get(name)
        if isinstance(value, str) and value and value.lower() not in _NO_MODEL:
            del rest[name]
            yield ModelReference(settings.file_name(value), role, settings.hashes(rest.pop(hashed, None)))


def _loras(given: object) -> list[dict[str, Any]] | None:
    """Return LoRAs with name, strength, file and hashes; None if some are described in another way."""
    if not isinstance(given, list) or len(given) > infotext.MAX_ITEMS:
        return None
    found = [_lora(each) for each in given]
    return None if any(each is None for each in found) else [each for each in found if each is not None]


def _lora(given: object) -> dict[str, Any] | None:
    if isinstance(given, list) and 2 <= len(given) <= 3:
        name, strength, digits = [*given, None][:3]
        rest: dict[str, Any] = {}
    elif isinstance(given, dict):
        rest = dict(given)
        name = _first(rest, _LORA_NAMES)
        strength = _first(rest, _LORA_STRENGTHS)
        digits = rest.pop("hash", None)
    else:
        return None
    strength = infotext.number(strength) if isinstance(strength, str) else strength
    if not isinstance(name, str) or not isinstance(strength, (int, float)):
        return None
    file = settings.file_name(name)
    shown = {"name": file, "strength": to_recipe(strength), **settings.params_of(rest, {})}
    return {**shown, "file": file, "hashes": settings.hashes(digits)}


def _first(given: dict[str, Any], names: tuple[str, ...]) -> Any:
    """Take the first of some fields out."""
    return next((given.pop(name) for name in names if name in given), None)
