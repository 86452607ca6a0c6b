"""Which files are models, and what their folders tell of them."""

from __future__ import annotations

import os

SUFFIXES = frozenset({"safetensors", "sft", "gguf", "onnx", "ckpt", "pt", "pth", "bin", "engine"})

FOLDERS = {
    "checkpoints": "checkpoint",
    "checkpoint": "checkpoint",
    "stable-diffusion": "checkpoint",
    "diffusion_models": "diffusion_model",
    "unet": "diffusion_model",
    "loras": "lora",
    "lora": "lora",
    "lycoris": "lora",
    "vae": "vae",
    "text_encoders": "text_encoder",
    "text_encoder": "text_encoder",
    "clip": "text_encoder",
    "clip_vision": "clip_vision",
    "controlnet": "controlnet",
    "controlnets": "controlnet",
    "t2i_adapter": "controlnet",
    "upscale_models": "upscaler",
    "upscalers": "upscaler",
    "esrgan": "upscaler",
    "realesrgan": "upscaler",
    "swinir": "upscaler",
    "dat": "upscaler",
    "embeddings": "embedding",
    "embedding": "embedding",
    "hypernetworks": "hypernetwork",
    "style_models": "style_model",
    "ipadapter": "ipadapter",
}
"""Names of model folders in ComfyUI, A1111 and its forks, and SwarmUI, in lower case -> kind of the models in them."""
KINDS = frozenset(FOLDERS.values())


def is_model(name: str) -> bool:
    """Return whether a file of this name counts as a model. Hidden files do not."""
    return not name.startswith(".") and suffix_of(name) in SUFFIXES


def suffix_of(name: str) -> str:
    return os.path.splitext(name)[1][1:].lower()


def folder_kind(path: str) -> str:
    """Return the kind that the nearest model folder above a file tells; empty if there is none."""
    for part in reversed(os.path.dirname(path).split(os.sep)):
        if kind := FOLDERS.get(part.lower()):
            return kind
    return ""


def name_below_folder(path: str) -> str:
    """Return the name by which programs know a model: its path below the nearest model folder, with ``/`` between
    folders; the file's name if there is no such folder."""
    parts = path.split(os.sep)
    for at in range(len(parts) - 2, -1, -1):
        if parts[at].lower() in FOLDERS:
            return "/".join(parts[at + 1 :])
    return parts[-1]
