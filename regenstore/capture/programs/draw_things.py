"""Draw Things: XMP with ``xmp:CreatorTool`` ``Draw Things`` and the settings as JSON in ``exif:UserComment``; its
``dc:description`` lists the main ones as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from regenstore.capture.captured import Captured
from regenstore.capture.carriers.xmp import properties
from regenstore.capture.embedded import Embedded
from regenstore.capture.programs import infotext, json_settings, settings
from regenstore.capture.programs.json_settings import Form

PIECES = ("packet", "usercomment")
PROGRAM = "Draw Things"
FORM = Form(
    names={
        "c": "prompt",
        "uc": "negative_prompt",
        "scale": "cfg",
        "strength": "denoise",
        "Guidance Scale": "cfg",
        "Sampler": "sampler",
        "Seed": "seed",
        "Steps": "steps",
        "Strength": "denoise",
    },
    models={"model": ("checkpoint", ""), "Model": ("checkpoint", ""), "upscaler": ("upscaler", "")},
    loras="lora",
    apart=frozenset({"profile"}),
)
_REPEATED = {
    "seed": "seed",
    "steps": "steps",
    "guidanceScale": "scale",
    "strength": "strength",
    "model": "model",
    "upscaler": "upscaler",
    "shift": "shift",
    "maskBlur": "mask_blur",
    "clipSkip": "clip_skip",
}
"""Settings within ``v2`` -> those above it that say the same."""


def understand(pieces: Sequence[Embedded]) -> Captured | None:
    """Return what the first packet of Draw Things says."""
    for text in settings.texts(pieces, *PIECES):
        if PROGRAM in text:
            found = properties(text)
            if found.get("xmp:CreatorTool") == PROGRAM:
                comment = settings.json_object(str(found.get("exif:UserComment", "")))
                comment = _described(str(found.get("dc:description", ""))) if comment is None else comment
                return None if comment is None else _captured(comment)
        elif (comment := settings.json_object(text)) is not None and {"c", "uc", "sampler", "v2"} <= comment.keys():
            return _captured(comment)
    return None


def _captured(found: dict[str, Any]) -> Captured:
    inner = found.get("v2")
    if isinstance(inner, dict):
        size = settings.size(found.get("size"))
        above: Mapping[str, Any] = {**found, **({} if size is None else {"width": size[0], "height": size[1]})}
        kept = {
            name: value
            for name, value in inner.items()
            if not _says_the_same(value, above.get(_REPEATED.get(name, name if size else "")))
        }
        loras = kept.get("loras")
        if loras and "lora" not in found:
            found = {**found, "lora": kept.pop("loras")}
        found = {**found, "v2": kept}
    return json_settings.captured(PROGRAM, None, "drawthings", found, FORM)


def _says_the_same(value: object, above: object) -> bool:
    return above is not None and type(value) is type(above) and value == above


def _described(text: str) -> dict[str, Any] | None:
    """Return the settings of the description: the prompt, a line that begins with ``-``, and the settings."""
    parts = infotext.parse(text)
    if parts is None:
        return None
    prompt, found, negative = parts.prompt.partition("\n-")
    items = {item.name: infotext.unquoted(item.written) for item in parts.items if item.written is not None}
    size = {"size": items.pop("Size")} if "Size" in items else {}
    return {"c": prompt, **({"uc": negative} if found else {}), **items, **size}
