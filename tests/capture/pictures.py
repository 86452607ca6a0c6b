"""Pictures with metadata as the programs write them."""

from __future__ import annotations

import copy
import io
import json
from collections.abc import Mapping
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo

GRAPH: dict[str, Any] = {
    "3": {
        "class_type": "KSampler",
        "inputs": {
            "seed": 156680208700286,
            "steps": 20,
            "cfg": 8.0,
            "sampler_name": "euler",
            "scheduler": "normal",
            "denoise": 1.0,
            "model": ["4", 0],
            "positive": ["6", 0],
            "negative": ["7", 0],
            "latent_image": ["5", 0],
        },
        "_meta": {"title": "KSampler"},
    },
    "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "sd_xl_base_1.0.safetensors"}},
    "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 512, "height": 768, "batch_size": 1}},
    "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a lighthouse at dusk", "clip": ["4", 1]}},
    "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "text, watermark", "clip": ["4", 1]}},
    "8": {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0], "vae": ["4", 2]}},
    "9": {"class_type": "SaveImage", "inputs": {"filename_prefix": "ComfyUI", "images": ["8", 0]}},
}
INFOTEXT = (
    "a lighthouse at dusk\nNegative prompt: text, watermark\nSteps: 20, Sampler: Euler, Schedule type: Normal, "
    "CFG scale: 7, Seed: 42, Size: 512x768, Model hash: 31e35c80fc, Model: sd_xl_base_1.0, Version: v1.10.1"
)


def graph(**changed: object) -> dict[str, Any]:
    """The graph, with inputs of its sampler changed."""
    made = copy.deepcopy(GRAPH)
    made["3"]["inputs"].update(changed)
    return made


def png(texts: Mapping[str, str], shade: int = 90, *, late: Mapping[str, str] = {}) -> bytes:
    """A PNG with text chunks, as Pillow writes them for ComfyUI and A1111; ``late`` ones follow the pixels."""
    info = PngInfo()
    for name, text in texts.items():
        info.add_text(name, text)
    for name, text in late.items():
        info.add(b"tEXt", name.encode() + b"\0" + text.encode("latin-1"), after_idat=True)
    out = io.BytesIO()
    Image.new("RGB", (48, 32), (shade, 120, 140)).save(out, "PNG", pnginfo=info)
    return out.getvalue()


def comfyui(shade: int = 90, **changed: object) -> bytes:
    """A picture that ComfyUI saved."""
    return png({"prompt": json.dumps(graph(**changed))}, shade)
