"""Programs whose settings are a plain JSON object or one text chunk for each: Easy Diffusion, Spaces of Hugging Face,
Stability Matrix, TensorArt.

Sources: Easy Diffusion, ``ui/easydiffusion/utils/save_utils.py``; files that the others wrote.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from regenstore.capture.captured import Captured
from regenstore.capture.embedded import Embedded
from regenstore.capture.programs import json_settings, settings
from regenstore.capture.programs.json_settings import Form

PIECES = (
    "parameters",
    "usercomment",
    "parameters-json",
    "generation_data",
    "use_stable_diffusion_model",
    "stable diffusion model",
)


class _Program(NamedTuple):
    name: str
    telling: frozenset[str]
    """Settings that all of its objects have."""
    form: Form


_EASY_NAMES = {
    "Prompt": "prompt",
    "Negative Prompt": "negative_prompt",
    "Seed": "seed",
    "Steps": "steps",
    "Guidance Scale": "cfg",
    "Sampler": "sampler",
    "Clip Skip": "clip_skip",
    "Prompt Strength": "denoise",
    "prompt_strength": "denoise",
    "num_outputs": "batch_size",
}
_EASY_MODELS = {
    "use_stable_diffusion_model": ("checkpoint", ""),
    "use_vae_model": ("vae", ""),
    "use_hypernetwork_model": ("hypernetwork", ""),
    "use_controlnet_model": ("controlnet", ""),
    "use_upscale": ("upscaler", ""),
    "Stable Diffusion model": ("checkpoint", ""),
    "VAE model": ("vae", ""),
    "Hypernetwork model": ("hypernetwork", ""),
}
_EASY = Form(names=_EASY_NAMES, models=_EASY_MODELS)
_MATRIX = Form(
    names={"PositivePrompt": "prompt", "NegativePrompt": "negative_prompt", "CfgScale": "cfg"},
    models={"ModelName": ("checkpoint", "ModelHash")},
)
PROGRAMS = (
    _Program("Easy Diffusion", frozenset({"use_stable_diffusion_model"}), _EASY),
    _Program("Easy Diffusion", frozenset({"Stable Diffusion model"}), _EASY),
    _Program(
        "Hugging Face Space",
        frozenset({"Model", "resolution"}),
        Form(models={"Model": ("checkpoint", "Model hash")}, size="resolution"),
    ),
    _Program("Stability Matrix", frozenset({"PositivePrompt", "ModelName"}), _MATRIX),
    _Program(
        "TensorArt",
        frozenset({"baseModel", "prompt"}),
        Form(
            names={"ksamplerName": "sampler", "schedule": "scheduler", "imageCount": "batch_size"},
            models={"base_model_name": ("checkpoint", "base_model_hash"), "sdVae": ("vae", "")},
        ),
    ),
)


def understand(pieces: Sequence[Embedded]) -> Captured | None:
    """Return what the first such object says, or the text chunks that are one."""
    chunks: dict[str, Any] = {
        piece.name: piece.value for piece in pieces if piece.carrier == "png" and isinstance(piece.value, str)
    }
    objects = [settings.json_object(text) for text in settings.texts(pieces, *PIECES)]
    for found in (chunks, *objects):
        for program in PROGRAMS if found is not None else ():
            if program.telling <= (found or {}).keys():
                return _captured(program, found or {})
    return None


def _captured(program: _Program, found: Mapping[str, Any]) -> Captured:
    base = found.get("baseModel")
    if isinstance(base, dict):
        rest = {name: value for name, value in base.items() if name not in ("modelFileName", "hash")}
        file, digits = base.get("modelFileName"), base.get("hash")
        found = {**found, "baseModel": rest, "base_model_name": file, "base_model_hash": digits}
    return json_settings.captured(program.name, None, "a1111", found, program.form)
