"""Pictures by real diffusion pipelines with random weights, run by an interpreter that has torch and diffusers:

    PYTHON benchmarks/corrections_torch.py FOLDER LABEL THREADS float32|bfloat16 COUNT

Writes FOLDER/<pipeline>-<dtype>-<seed>-<label>.png, as ComfyUI writes PNG. Nothing is downloaded.
"""

from __future__ import annotations

import json
import sys

import numpy as np
import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    EulerAncestralDiscreteScheduler,
    UNet2DConditionModel,
    UNet2DModel,
)
from PIL import Image, PngImagePlugin

STEPS = 5
SIZE = 384


def latent(dtype: torch.dtype):
    """As Stable Diffusion: a UNet with cross attention in latent space, then a VAE."""
    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        sample_size=SIZE // 8,
        in_channels=4,
        out_channels=4,
        block_out_channels=(64, 128),
        layers_per_block=1,
        cross_attention_dim=64,
        attention_head_dim=8,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
    ).to(dtype)
    vae = AutoencoderKL(
        block_out_channels=(32, 64, 64, 64),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=4,
        norm_num_groups=16,
    ).to(dtype)
    text = torch.randn(2, 77, 64).to(dtype)

    @torch.no_grad()
    def make(seed: int) -> np.ndarray:
        scheduler = EulerAncestralDiscreteScheduler()
        scheduler.set_timesteps(STEPS)
        noise = torch.Generator("cpu").manual_seed(seed)
        x = torch.randn(1, 4, SIZE // 8, SIZE // 8, generator=noise).to(dtype) * scheduler.init_noise_sigma
        for step in scheduler.timesteps:
            both = scheduler.scale_model_input(torch.cat([x] * 2), step)
            free, guided = unet(both.to(dtype), step, encoder_hidden_states=text).sample.chunk(2)
            x = scheduler.step(free + 7 * (guided - free), step, x, generator=noise).prev_sample
        return quantised(vae.decode(x.to(dtype) / 0.18215 / 4).sample)

    return make


def pixels(dtype: torch.dtype):
    """DDIM in pixel space, with attention."""
    torch.manual_seed(0)
    unet = UNet2DModel(
        sample_size=128,
        in_channels=3,
        out_channels=3,
        block_out_channels=(32, 64, 64),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
        norm_num_groups=16,
    ).to(dtype)

    @torch.no_grad()
    def make(seed: int) -> np.ndarray:
        scheduler = DDIMScheduler()
        scheduler.set_timesteps(STEPS)
        noise = torch.Generator("cpu").manual_seed(seed)
        x = torch.randn(1, 3, 128, 128, generator=noise).to(dtype)
        for step in scheduler.timesteps:
            x = scheduler.step(unet(x, step).sample, step, x).prev_sample
        return quantised(x)

    return make


def quantised(picture: torch.Tensor) -> np.ndarray:
    """As diffusers and ComfyUI make 8-bit values of -1..1."""
    return ((picture.float() / 2 + 0.5).clamp(0, 1)[0].permute(1, 2, 0) * 255).round().byte().numpy()


def save(values: np.ndarray, path: str, seed: int) -> None:
    graph = {"3": {"class_type": "KSampler", "inputs": {"seed": seed, "steps": STEPS, "cfg": 7.0, "denoise": 1.0}}}
    text = PngImagePlugin.PngInfo()
    text.add_text("prompt", json.dumps(graph))
    text.add_text("workflow", json.dumps({"nodes": [{"id": 3, "type": "KSampler"}], "links": []}))
    Image.fromarray(values).save(path, "PNG", pnginfo=text, compress_level=4)


def main() -> None:
    folder, label, threads, dtype, count = sys.argv[1:]
    torch.set_num_threads(int(threads))
    for name, pipeline in (("latent", latent), ("pixels", pixels)):
        make = pipeline(getattr(torch, dtype))
        for seed in range(int(count)):
            save(make(seed), f"{folder}/{name}-{dtype}-{seed}-{label}.png", seed)


if __name__ == "__main__":
    main()
