"""SwarmUI and StableSwarmUI: a JSON object with ``sui_image_params``.

Source: SwarmUI, ``docs/Image Metadata Format.md``; the hashes are of the tensors alone (SHA-256 without the header).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from regenstore.capture.captured import Captured, ModelReference
from regenstore.capture.embedded import Embedded
from regenstore.capture.programs import infotext, json_settings, settings
from regenstore.capture.programs.json_settings import Form

PIECES = ("parameters", "usercomment", "model", "make", "imagedescription", "prompt", "stealth", "comment")
_KEY = "sui_image_params"
_ROLES = {"model": "checkpoint", "refinermodel": "checkpoint", "vae": "vae", "loras": "lora", "upscaler": "upscaler"}
_FACTS = {"date", "prep_time", "generation_time", "swarm_version", "original_prompt", "used_wildcards", "personal_note"}
FORM = Form(
    names={
        "negativeprompt": "negative_prompt",
        "cfgscale": "cfg",
        "comfyuisampler": "sampler",
        "autowebuisampler": "sampler",
        "comfyuischeduler": "scheduler",
        "fluxguidancescale": "guidance",
        "initimagecreativity": "denoise",
        "batchsize": "batch_size",
    },
    apart=frozenset(_FACTS),
    repeated=frozenset({"loras", "loraweights"}),
)


def understand(pieces: Sequence[Embedded]) -> Captured | None:
    """Return what the first such object says."""
    for text in settings.texts(pieces, *PIECES):
        found = settings.json_object(text) if _KEY in text else None
        if found is not None and isinstance(found.get(_KEY), dict):
            return _captured(found)
    return None


def _captured(found: dict[str, Any]) -> Captured:
    given: dict[str, Any] = found[_KEY]
    extra = found.get("sui_extra_data")
    hashes = _hashes(found.get("sui_models"))
    loras = _loras(given)
    form = FORM if loras is not None else replace(FORM, repeated=frozenset())
    names = {name: given[name] for name in ("model", "refinermodel", "vae") if _is_model(given.get(name))}
    rest = {name: value for name, value in given.items() if name not in names}
    version = given.get("swarm_version")
    captured = json_settings.captured("SwarmUI", version if isinstance(version, str) else None, "swarmui", rest, form)
    models = [_reference(value, _ROLES[name], name, hashes) for name, value in names.items()]
    models += [_reference(lora["name"], "lora", "loras", hashes) for lora in loras or ()]
    models += [
        ModelReference(settings.file_name(name), _ROLES.get(param, param), digits)
        for (name, param), digits in hashes.items()
        if not any(_same(model.name, name) for model in models)
    ]
    params = {**captured.params, **({"loras": loras} if loras else {})}
    facts = settings.params_of(extra if isinstance(extra, dict) else {}, {})
    references = settings.unique(models)
    return replace(
        captured,
        params=params,
        models=references,
        about={**captured.about, **facts},
        missing=settings.lacking(references),
    )


def _is_model(value: object) -> bool:
    return isinstance(value, str) and value.lower() not in ("", "none", "automatic")


def _hashes(given: object) -> dict[tuple[str, str], dict[str, str]]:
    """Name and parameter -> hashes, of the models that SwarmUI lists."""
    found = {}
    for each in given[: infotext.MAX_ITEMS] if isinstance(given, list) else ():
        if isinstance(each, dict) and isinstance(each.get("name"), str):
            found[each["name"], str(each.get("param", "model"))] = settings.hashes(each.get("hash"), "tensors")
    return found


def _reference(name: str, role: str, param: str, hashes: Mapping[tuple[str, str], dict[str, str]]) -> ModelReference:
    digits = next((found for (file, of), found in hashes.items() if of == param and _same(file, name)), {})
    return ModelReference(settings.file_name(name), role, digits)


def _same(one: str, other: str) -> bool:
    """Whether two names are of one model: parameters leave ``.safetensors`` out, the list of models does not."""
    return settings.file_name(one).removesuffix(".safetensors") == settings.file_name(other).removesuffix(
        ".safetensors"
    )


def _loras(given: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """Return the LoRAs with their strengths, which SwarmUI keeps in two lists or two texts with commas; None if they
    do not fit each other."""
    names, weights = _listed(given.get("loras")), _listed(given.get("loraweights"))
    if len(names) != len(weights) or len(names) > infotext.MAX_ITEMS:
        return None
    numbers = [infotext.number(weight.strip()) for weight in weights]
    if any(isinstance(number, str) for number in numbers):
        return None
    return [{"name": settings.file_name(name), "strength": number} for name, number in zip(names, numbers, strict=True)]


def _listed(value: object) -> list[str]:
    if isinstance(value, list):
        return [str(each) for each in value]
    return [each for each in value.split(",") if each] if isinstance(value, str) else []
