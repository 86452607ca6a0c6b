"""Base model and kind of a model from its tensors' names and shapes, where these are unmistakable.

The marks of each family are those by which ComfyUI (``comfy/model_detection.py``) and SwarmUI
(``T2IModelClassSorter.cs``) recognise it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

Shapes = Mapping[str, tuple[int, ...]]
"""Tensor name -> shape; an empty shape where it is unknown."""

_INSIDE = ("model.diffusion_model.", "model.model.", "diffusion_model.", "net.", "")
"""Prefixes below which files keep the diffusion model."""
_WHOLE = ("first_stage_model.", "conditioner.", "cond_stage_model.", "text_encoders.", "vae.")
"""Prefixes of the other parts of a checkpoint."""
_LORA = re.compile(r"[._](?:lora_(?:up|down|A|B)|lora\.(?:up|down)|hada_w[12]_[ab]|lokr_w[12](?:_[ab])?)(?:[._]|$)")

_MARKS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("sd3", ("joint_blocks.0.context_block.attn.qkv.weight",)),
    ("stable-cascade", ("clf.1.weight",)),
    ("stable-audio", ("transformer.rotary_pos_emb.inv_freq",)),
    ("auraflow", ("double_layers.0.attn.w1q.weight",)),
    ("hunyuan-dit", ("mlp_t5.0.weight",)),
    ("hunyuan-video", ("txt_in.individual_token_refiner.blocks.0.norm1.weight",)),
    ("flux2", ("double_blocks.0.img_attn.norm.key_norm.scale", "double_stream_modulation_img.lin.weight")),
    ("chroma", ("double_blocks.0.img_attn.norm.key_norm.scale", "distilled_guidance_layer.norms.0.scale")),
    ("chroma", ("double_blocks.0.img_attn.norm.key_norm.scale", "distilled_guidance_layer.0.norms.0.scale")),
    ("flux", ("double_blocks.0.img_attn.norm.key_norm.scale", "img_in.weight", "vector_in.in_layer.weight")),
    ("mochi", ("t5_yproj.weight",)),
    ("pixart", ("adaln_single.emb.timestep_embedder.linear_1.bias", "pos_embed.proj.bias")),
    ("ltx-2", ("adaln_single.emb.timestep_embedder.linear_1.bias", "audio_adaln_single.linear.weight")),
    ("ltx", ("adaln_single.emb.timestep_embedder.linear_1.bias",)),
    ("ace-step", ("genre_embedder.weight",)),
    ("pixart", ("t_block.1.weight",)),
    ("cosmos", ("blocks.block0.blocks.0.block.attn.to_q.0.weight",)),
    ("cogvideox", ("blocks.0.norm1.linear.weight", "patch_embed.proj.weight")),
    ("wan", ("head.modulation",)),
    ("hidream", ("caption_projection.0.linear.weight",)),
    ("qwen-image", ("txt_norm.weight", "time_text_embed.timestep_embedder.linear_1.bias", "img_in.bias")),
)
"""Base model, and tensors that only it has; the first that fits counts."""
_CONTEXT = {768: "sd1", 1024: "sd2", 2048: "sdxl"}
"""Width of the text conditioning -> base model, for the U-Nets of Stable Diffusion."""
_REFINER = 1280
_LUMINA = {2304: "lumina2", 3840: "z-image"}


def kind_and_base(tensors: Shapes) -> tuple[str, str]:
    """Return kind and base model, each empty where it is uncertain."""
    if any(_LORA.search(name) for name in tensors):
        return "lora", _base_of_lora(tensors)
    if any(name.startswith(("control_model.", "controlnet_")) for name in tensors) or "lora_controlnet" in tensors:
        return "controlnet", _base(tensors, "control_model.") or _base(tensors, "")
    for prefix in _INSIDE:
        if base := _base(tensors, prefix):
            whole = any(name.startswith(_WHOLE) for name in tensors)
            return "checkpoint" if whole else "diffusion_model", base
    return _other(tensors)


def _base(tensors: Shapes, prefix: str) -> str:
    for base, marks in _MARKS:
        if all(prefix + mark in tensors for mark in marks):
            return base
    if f"{prefix}noise_refiner.0.attention.k_norm.weight" in tensors:
        return _LUMINA.get((tensors.get(f"{prefix}cap_embedder.1.weight") or (0,))[0], "")
    if f"{prefix}input_blocks.1.0.time_stack.emb_layers.1.bias" in tensors:
        return "svd"
    for block in ("input_blocks.1.1", "input_blocks.4.1", "down_blocks.0.attentions.0", "down_blocks.1.attentions.0"):
        shape = tensors.get(f"{prefix}{block}.transformer_blocks.0.attn2.to_k.weight")
        if shape is not None and len(shape) == 2:
            return "sdxl-refiner" if shape[1] == _REFINER else _CONTEXT.get(shape[1], "")
    return ""


def _base_of_lora(tensors: Shapes) -> str:
    for name, shape in tensors.items():
        if re.search(r"attn2[._]to_k\.(lora_down|lora_A|lora\.down)\b", name) and len(shape) == 2:
            return _CONTEXT.get(shape[1], "")
        if re.search(r"\bblocks[._]\d+[._]cross_attn[._][kv](_img)?\.(lora_down|lora_A)\b", name):
            return "wan"
        if re.search(r"transformer_blocks[._]\d+[._]img_mlp[._]net[._]", name):
            return "qwen-image"
    return ""


def _other(tensors: Shapes) -> tuple[str, str]:
    if "encoder.block.0.layer.0.SelfAttention.k.weight" in tensors:
        return "text_encoder", "t5"
    if any(name.startswith("vision_model.encoder.layers.0.") for name in tensors):
        return "clip_vision", ""
    if "text_model.encoder.layers.0.layer_norm1.weight" in tensors:
        return "text_encoder", "clip"
    if "model.layers.0.self_attn.q_proj.weight" in tensors and "model.embed_tokens.weight" in tensors:
        return "text_encoder", ""
    if any(name.startswith(("ip_adapter.", "image_proj.")) for name in tensors):
        return "ipadapter", ""
    if {"decoder.conv_in.weight", "encoder.conv_in.weight"} <= tensors.keys():
        return "vae", ""
    if {"decoder.conv_in.conv.weight", "encoder.conv_in.conv.weight"} <= tensors.keys():
        return "vae", ""
    if {"emb_params"} == tensors.keys() or {"clip_l", "clip_g"} == tensors.keys():
        shape = tensors.get("emb_params")
        return "embedding", "sdxl" if shape is None else _CONTEXT.get(shape[-1] if shape else 0, "")
    if any(name in tensors for name in ("body.0.rdb1.conv1.weight", "model.1.sub.0.RDB1.conv1.0.weight")):
        return "upscaler", ""
    return "", ""


_NAMES = (
    ("stable-diffusion-xl-v1-refiner", "sdxl-refiner"),
    ("stable-diffusion-xl", "sdxl"),
    ("stable-diffusion-v1", "sd1"),
    ("stable-diffusion-v2", "sd2"),
    ("stable-diffusion-v3", "sd3"),
    ("stable-diffusion-3", "sd3"),
    ("sdxl", "sdxl"),
    ("sd-v1", "sd1"),
    ("sd-1", "sd1"),
    ("sd-v2", "sd2"),
    ("sd-2", "sd2"),
    ("sd3", "sd3"),
    ("flux-2", "flux2"),
    ("flux2", "flux2"),
    ("flux", "flux"),
    ("chroma", "chroma"),
    ("wan", "wan"),
    ("hunyuan-video", "hunyuan-video"),
    ("hyvid", "hunyuan-video"),
    ("lightricks-ltx-video-2", "ltx-2"),
    ("lightricks-ltx", "ltx"),
    ("ltx-2", "ltx-2"),
    ("ltx", "ltx"),
    ("qwen-image", "qwen-image"),
    ("lumina-2", "lumina2"),
    ("lumina2", "lumina2"),
    ("z-image", "z-image"),
    ("aura", "auraflow"),
    ("hidream", "hidream"),
    ("cosmos", "cosmos"),
    ("genmo-mochi", "mochi"),
)
"""Beginnings of the names that trainers and programs write -> base model; the first that fits counts."""
_SHOWN = 60


def named_base(text: str) -> str:
    """Return the base model that a name in a header stands for: one of the names used here, or the text as it is."""
    told = text.partition("/")[0].strip()
    plain = re.sub(r"[._\s]+", "-", told.lower())
    return next((base for start, base in _NAMES if plain.startswith(start)), told[:_SHOWN])
