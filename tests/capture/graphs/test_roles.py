"""Which values of a graph are lifted, for kinds of nodes that nobody has listed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from regenstore.capture.graphs.graph import Graph
from tests.capture.graphs.examples import node
from tests.capture.programs.test_comfyui import png, restored, understood

FLUX = {
    "6": node("CLIPTextEncodeFlux", clip=["11", 0], clip_l="a fox", t5xxl="a fox", guidance=3.5),
    "8": node("VAEDecode", samples=["13", 0], vae=["10", 0]),
    "9": node("SaveImage", images=["8", 0], filename_prefix="f"),
    "10": node("VAELoader", vae_name="ae.safetensors"),
    "11": node("DualCLIPLoader", clip_name1="t5.safetensors", clip_name2="clip_l.safetensors", type="flux"),
    "12": node("UnetLoaderGGUF", unet_name="flux-Q4.gguf"),
    "13": node("SamplerCustomAdvanced", noise=["25", 0], guider=["22", 0], sampler=["16", 0],
               sigmas=["17", 0], latent_image=["27", 0]),
    "16": node("KSamplerSelect", sampler_name="euler"),
    "17": node("BasicScheduler", model=["30", 0], scheduler="simple", steps=28, denoise=1.0),
    "22": node("BasicGuider", model=["30", 0], conditioning=["26", 0]),
    "25": node("RandomNoise", noise_seed=["40", 0]),
    "26": node("ReferenceLatent", conditioning=["6", 0], latent=["27", 0]),
    "27": node("EmptySD3LatentImage", width=["41", 0], height=1152, batch_size=1),
    "30": node("Power Lora Loader (rgthree)", model=["12", 0],
               lora_1={"on": True, "lora": "ink.safetensors", "strength": 0.7},
               lora_2={"on": False, "lora": "off.safetensors", "strength": 1}),
    "40": node("Seed (rgthree)", seed=77),
    "41": node("PrimitiveInt", value=832),
}  # fmt: skip
WAN = {
    "1": node("WanVideoModelLoader", model="Wan\\wan2.1.safetensors", base_precision="bf16"),
    "2": node("WanVideoTextEncode", positive_prompt="a train", negative_prompt="static", t5=["3", 0]),
    "3": node("LoadWanVideoT5TextEncoder", model_name="umt5.safetensors"),
    "4": node("WanVideoSampler", model=["1", 0], text_embeds=["2", 0], image_embeds=["5", 0], steps=30,
              cfg=6.0, seed=3, scheduler="unipc"),
    "5": node("WanVideoEmptyEmbeds", width=832, height=480, num_frames=81),
    "6": node("WanVideoDecode", vae=["7", 0], samples=["4", 0]),
    "7": node("WanVideoVAELoader", model_name="wan_vae.safetensors"),
    "8": node("VHS_VideoCombine", images=["6", 0], frame_rate=16, filename_prefix="w"),
}  # fmt: skip
STACK = {
    "1": node("Efficient Loader", ckpt_name="xl.safetensors", vae_name="Baked VAE", lora_stack=["2", 0],
              positive="a hill", negative="fog", empty_latent_width=64),
    "2": node("LoRA Stacker", lora_name_1="a.safetensors", lora_wt_1=0.5, lora_name_2="None", lora_wt_2=1.0,
              lora_name_3="c.safetensors", model_str_3=1.0, clip_str_3=0.5),
    "3": node("KSampler (Efficient)", seed=5, steps=9, cfg=2.0, sampler_name="lcm", scheduler="sgm",
              denoise=1.0, model=["1", 0], positive=["1", 1], negative=["1", 2], latent_image=["1", 3]),
    "4": node("SaveImage", images=["3", 5], filename_prefix="s"),
}  # fmt: skip
SERVICE = {
    "1": node("SomeServiceImageNode", prompt="a stone", seed=11, aspect_ratio="1:1"),
    "2": node("SaveImage", images=["1", 0], filename_prefix="x"),
}
JOINED = {
    "1": node("KSampler", seed=["9", 0], steps=4, cfg=1.0, positive=["2", 0], negative=["3", 0], latent_image=["8", 0],
              model=["7", 0]),
    "2": node("ControlNetApplyAdvanced", positive=["4", 0], negative=["5", 0], control_net=["6", 0], image=["8", 0],
              strength=1.0),
    "3": node("ConditioningZeroOut", conditioning=["2", 0]),
    "4": node("CLIPTextEncode", text=["10", 0], clip=["7", 1]),
    "5": node("CLIPTextEncode", text="unused", clip=["7", 1]),
    "6": node("ControlNetLoader", control_net_name="canny.pth"),
    "7": node("CheckpointLoaderSimple", ckpt_name="m.ckpt"),
    "8": node("VAEEncode", pixels=["11", 0], vae=["7", 2]),
    "9": node("PrimitiveNode|custom", value=123),
    "10": node("ImpactWildcardProcessor", wildcard_text="{a|b} cat", populated_text="b cat", mode="populate",
               seed=["9", 0]),
    "11": node("LoadImage", image="pose.png"),
    "12": node("PreviewImage", images=["13", 0]),
    "13": node("VAEDecode", samples=["1", 0], vae=["7", 2]),
}  # fmt: skip


@pytest.mark.parametrize(
    ("graph", "lifted", "models"),
    [
        (
            FLUX,
            {"prompt": "a fox", "seed": 77, "steps": 28, "denoise": 1.0, "sampler": "euler", "scheduler": "simple",
             "guidance": 3.5, "width": 832, "height": 1152, "batch_size": 1,
             "loras": [{"name": "ink.safetensors", "strength": 0.7}]},
            ["flux-Q4.gguf diffusion_model", "ae.safetensors vae", "t5.safetensors text_encoder",
             "clip_l.safetensors text_encoder", "ink.safetensors lora"],
        ),
        (
            WAN,
            {"prompt": "a train", "negative_prompt": "static", "seed": 3, "steps": 30, "cfg": 6.0,
             "scheduler": "unipc", "width": 832, "height": 480},
            ["Wan/wan2.1.safetensors diffusion_model", "umt5.safetensors text_encoder", "wan_vae.safetensors vae"],
        ),
        (
            STACK,
            {"prompt": "a hill", "negative_prompt": "fog", "seed": 5, "steps": 9, "cfg": 2.0, "denoise": 1.0,
             "sampler": "lcm", "scheduler": "sgm", "loras": [{"name": "a.safetensors", "strength": 0.5},
             {"name": "c.safetensors", "strength": 1.0, "strength_clip": 0.5}]},
            ["xl.safetensors checkpoint", "a.safetensors lora", "c.safetensors lora"],
        ),
        (SERVICE, {"prompt": "a stone", "seed": 11}, []),
        (
            JOINED,
            {"prompt": "b cat", "seed": 123, "steps": 4, "cfg": 1.0},
            ["m.ckpt checkpoint", "canny.pth controlnet"],
        ),
    ],
    ids=["flux", "wan", "stack", "service", "joined"],
)  # fmt: skip
def test_values_are_found_by_links(graph: dict[str, Any], lifted: dict[str, Any], models: list[str]) -> None:
    captured = understood(png("prompt", graph))
    assert {name: value for name, value in captured.params.items() if name != "nodes"} == lifted
    assert [f"{each.name} {each.role}" for each in captured.models] == models
    assert restored(captured)[0] == json.dumps(graph)


def test_nodes_come_after_what_they_need() -> None:
    order = Graph(FLUX).order()
    assert sorted(order) == sorted(FLUX)
    assert all(order.index(source) < order.index(name) for name in FLUX for _, source in Graph(FLUX).links(name))
