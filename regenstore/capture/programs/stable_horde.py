"""AI Horde (Stable Horde): a request of its interface as JSON, as its clients embed it.

Source: AI Horde, ``/api/v2/generate/async``: ``prompt`` (the negative one after ``###``), ``models`` and ``params``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from regenstore.capture.captured import Captured, ModelReference
from regenstore.capture.embedded import Embedded
from regenstore.capture.programs import json_settings, settings
from regenstore.capture.programs.json_settings import Form

PIECES = ("parameters", "usercomment", "comment", "horde", "aihorde", "stablehorde")
_WORKER = ("id", "worker_id", "worker_name", "model", "kudos", "state", "gen_metadata", "img", "censored", "apikey")
FORM = Form(
    names={"denoising_strength": "denoise", "n": "batch_size", "karras": "karras"},
    apart=frozenset(name for name in _WORKER if name != "apikey"),
    repeated=frozenset({"apikey", "models"}),
)
"""A client's key is no setting, and not for a repository."""


def understand(pieces: Sequence[Embedded]) -> Captured | None:
    """Return what the first such request says."""
    for text in settings.texts(pieces, *PIECES):
        found = settings.json_object(text)
        if found is not None and _is_request(found):
            return _captured(found)
    return None


def _is_request(found: Mapping[str, Any]) -> bool:
    params = found.get("params")
    return isinstance(found.get("prompt"), str) and isinstance(params, dict) and "sampler_name" in params


def _captured(found: dict[str, Any]) -> Captured:
    prompt, separator, negative = found["prompt"].partition("###")
    flat = {**{name: value for name, value in found.items() if name != "params"}, **found["params"], "prompt": prompt}
    if separator:
        flat["negative_prompt"] = negative
    captured = json_settings.captured("AI Horde", None, "stablehorde", flat, FORM)
    names = found.get("models") if isinstance(found.get("models"), list) else [found.get("model")]
    models = [ModelReference(settings.file_name(name), "checkpoint") for name in names or () if isinstance(name, str)]
    references = settings.unique([*models, *captured.models])
    return replace(captured, models=references, missing=settings.lacking(references))
