"""Fooocus and its forks: a JSON object (scheme ``fooocus``), or text in the form of AUTOMATIC1111 (scheme ``a1111``).

Sources: Fooocus, ``modules/meta_parser.py``; Fooocus-MRE and RuinedFooocus, their objects of settings.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from regenstore.capture.captured import Captured, ModelReference
from regenstore.capture.embedded import Embedded
from regenstore.capture.graphs.values import to_recipe
from regenstore.capture.programs import a1111, infotext, json_settings, settings
from regenstore.capture.programs.json_settings import Form

PIECES = ("parameters", "usercomment", "comment", "fooocus_scheme")
_COMBINED = re.compile(r"lora_combined_\d{1,3}|LoRA \d{1,3}")
_NAMES = {
    "Prompt": "prompt",
    "Negative": "negative_prompt",
    "Negative Prompt": "negative_prompt",
    "base_model_name": "model",
}
FORM = Form(
    names=_NAMES,
    models={
        "base_model": ("checkpoint", "base_model_hash"),
        "base_model_name": ("checkpoint", "base_model_hash"),
        "refiner_model": ("checkpoint", "refiner_model_hash"),
        "refiner_model_name": ("checkpoint", "refiner_model_hash"),
        "vae": ("vae", ""),
    },
    size="resolution",
    apart=frozenset({"version", "metadata_scheme", "created_by", "software"}),
)
MISSING = ("which files the styles and the prompt's expansion were read from",)


def understand(pieces: Sequence[Embedded]) -> Captured | None:
    """Return what the first object or text of Fooocus says."""
    schemes = {text for text in settings.texts(pieces, "fooocus_scheme", "makernote") if text in ("fooocus", "a1111")}
    for text in settings.texts(pieces, "parameters", "usercomment", "comment"):
        found = settings.json_object(text)
        if found is not None and (schemes or _is_fooocus(found)):
            return _of_object(found)
        if found is None and (schemes or "Version: Fooocus" in text):
            parts = infotext.parse(text)
            if parts is not None:
                return _of_text(a1111.captured_of(parts, text))
    return None


def _is_fooocus(found: Mapping[str, Any]) -> bool:
    if "Fooocus" in str(found.get("software") or found.get("version") or "")[:100]:
        return True
    return "base_model" in found and "prompt" in found and ("sharpness" in found or "sampler" in found)


def _of_object(found: dict[str, Any]) -> Captured:
    """The combined names and weights of LoRAs only repeat the list of them, which has their hashes, where it exists."""
    combined = {name: value for name, value in found.items() if _COMBINED.fullmatch(name)}
    if combined and "loras" not in found:
        loras = [_split(value) for value in combined.values()]
        if all(loras):
            found = {**found, "loras": loras}
    listed = found.get("loras")
    repeated = frozenset(combined) if isinstance(listed, list) and len(listed) >= len(combined) else frozenset()
    told = str(found.get("version") or found.get("software") or "Fooocus")
    program, version = ("RuinedFooocus", None) if told.startswith("RuinedFooocus") else ("Fooocus", _version(told))
    form = replace(FORM, repeated=repeated)
    return json_settings.captured(program, version, "fooocus", found, form, *MISSING)


def _of_text(captured: Captured) -> Captured:
    params = dict(captured.params)
    weights = _pairs(params.get("lora_weights"))
    loras = [{"name": settings.file_name(name), "strength": to_recipe(weight)} for name, weight in weights]
    models = [ModelReference(settings.file_name(name), "lora") for name, _ in weights]
    if loras and "loras" not in params:
        params["loras"] = loras
    return replace(
        captured,
        program="Fooocus",
        generator="fooocus",
        params=params,
        models=settings.unique([*captured.models, *models]),
        missing=(*captured.missing, *MISSING),
    )


def _version(told: str) -> str | None:
    return told.removeprefix("Fooocus").strip().removeprefix("v") or None


def _split(value: object) -> list[Any] | None:
    """Return name and weight of ``NAME : WEIGHT``, which newer versions begin with whether it was used."""
    parts = value.split(" : ") if isinstance(value, str) else []
    if len(parts) == 3 and parts[0] in ("True", "False"):
        parts = parts[1:]
    return parts if len(parts) == 2 else None


def _pairs(written: object) -> list[tuple[str, Any]]:
    pairs = written.split(", ") if isinstance(written, str) else []
    found = [pair.rpartition(": ") for pair in pairs[: infotext.MAX_ITEMS]]
    return [(name, infotext.number(weight)) for name, _, weight in found if name]
