"""NovelAI: text chunks of a PNG, the same names as JSON in EXIF (WebP), or in the lowest bits of the alpha channel.

``Software`` begins with ``NovelAI``; ``Source`` names the model with eight digits of its own; ``Comment`` is the JSON
of the request. Its model runs at the service alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from regenstore.capture.captured import Captured, ModelReference
from regenstore.capture.embedded import Embedded
from regenstore.capture.graphs.values import to_recipe
from regenstore.capture.programs import json_settings, settings
from regenstore.capture.programs.json_settings import Form

PIECES = ("software", "source", "stealth", "usercomment", "comment")
_CHUNKS = ("title", "description", "software", "source", "generation time", "comment")
FORM = Form(
    names={"uc": "negative_prompt", "scale": "cfg", "noise_schedule": "scheduler", "n_samples": "batch_size"},
    apart=frozenset({"signed_hash", "request_type", "hide_debug_overlay"}),
)


def understand(pieces: Sequence[Embedded]) -> Captured | None:
    """Return what the request of a picture of NovelAI says."""
    for told in _told(pieces):
        comment = settings.json_object(told.get("comment", ""))
        if comment is not None and _is_novelai(told, comment):
            return _captured(told, comment)
    return None


def _told(pieces: Sequence[Embedded]) -> list[dict[str, str]]:
    """Return NovelAI's names with their texts, from each place that has them."""
    chunks = {name: text for name in _CHUNKS for text in settings.texts(pieces, name)}
    found = []
    for text in settings.texts(pieces, "usercomment", "stealth", "comment"):
        inner = settings.json_object(text)
        if inner is not None and isinstance(inner.get("Comment"), str):
            strings = {name.lower(): value for name, value in inner.items() if isinstance(value, str)}
            found.append({**chunks, **strings})
        elif inner is not None:
            found.append({**chunks, "comment": text})
    return found


def _is_novelai(told: Mapping[str, str], comment: Mapping[str, Any]) -> bool:
    named = any(told.get(name, "").startswith("NovelAI") for name in ("software", "source", "title"))
    return named and bool({"uc", "scale", "sampler", "v4_prompt", "prompt"} & comment.keys())


def _captured(told: Mapping[str, str], comment: dict[str, Any]) -> Captured:
    if "prompt" not in comment and "description" in told:
        comment = {"prompt": told["description"], **comment}
    request = {**comment}
    for name, base in (("v4_prompt", "prompt"), ("v4_negative_prompt", "uc")):
        request[name] = _without_repetition(comment.get(name), comment.get(base))
        if request[name] is None:
            del request[name]
    captured = json_settings.captured("NovelAI", None, "novelai", request, FORM)
    model = told.get("source") or told.get("software", "")
    known = model.startswith(("NovelAI ", "Stable Diffusion"))
    facts = {settings.snake(name): to_recipe(told[name]) for name in ("title", "generation time") if name in told}
    return replace(
        captured,
        models=(ModelReference(settings.file_name(model), "checkpoint"),) if known else (),
        about={**captured.about, **facts},
        missing=("the model, which only NovelAI has",),
    )


def _without_repetition(prompt: Any, base: object) -> Any:
    """Return a structured prompt without its base caption if that only repeats the plain prompt."""
    caption = prompt.get("caption") if isinstance(prompt, dict) else None
    if not isinstance(caption, dict) or caption.get("base_caption") != base:
        return prompt
    return {**prompt, "caption": {name: value for name, value in caption.items() if name != "base_caption"}}
