"""Graphs and workflows as ComfyUI writes them."""

from __future__ import annotations

from typing import Any

from regenstore.capture.captured import Captured
from regenstore.objects import toml
from regenstore.objects.recipe import Output, Recipe


def node(kind: str, /, title: str | None = None, **inputs: Any) -> dict[str, Any]:
    return {"inputs": inputs, "class_type": kind, **({"_meta": {"title": title}} if title else {})}


def text_to_image(seed: int = 42, prompt: str = "a lighthouse", negative: str = "blurry") -> dict[str, Any]:
    """The graph that the editor opens with, and a LoRA. Later nodes come first, as the editor orders them."""
    return {
        "3": node(
            "KSampler", "KSampler", seed=seed, steps=20, cfg=7.0, sampler_name="euler", scheduler="normal", denoise=1.0,
            model=["10", 0], positive=["6", 0], negative=["7", 0], latent_image=["5", 0],
        ),
        "4": node("CheckpointLoaderSimple", "Load Checkpoint", ckpt_name="sd15/v1-5-pruned.safetensors"),
        "5": node("EmptyLatentImage", width=512, height=768, batch_size=1),
        "6": node("CLIPTextEncode", "Positive", text=prompt, clip=["10", 1]),
        "7": node("CLIPTextEncode", "Negative", text=negative, clip=["10", 1]),
        "8": node("VAEDecode", samples=["3", 0], vae=["4", 2]),
        "9": node("SaveImage", filename_prefix="ComfyUI", images=["8", 0]),
        "10": node(
            "LoraLoader", lora_name="style\\ink.safetensors", strength_model=0.8, strength_clip=1.0,
            model=["4", 0], clip=["4", 1],
        ),
    }  # fmt: skip


def workflow_of(graph: dict[str, Any], *, next_seed: int = 43, scale: float = 0.9) -> dict[str, Any]:
    """The editor's state: the seed's widget already has the next seed, and 7.0 is written as 7."""
    nodes = []
    for number, (name, each) in enumerate(graph.items()):
        values: list[Any] = []
        for key, value in each["inputs"].items():
            if isinstance(value, list):
                continue
            whole = isinstance(value, float) and value.is_integer()
            values += [next_seed, "randomize"] if key == "seed" else [int(value) if whole else value]
        nodes.append(
            {
                "id": int(name), "type": each["class_type"], "pos": [90 * number, 120], "size": {"0": 315, "1": 262},
                "flags": {}, "order": number, "mode": 0, "inputs": [], "outputs": [],
                "properties": {"Node name for S&R": each["class_type"], "cnr_id": "comfy-core", "ver": "0.3.64"},
                "widgets_values": values,
            }
        )  # fmt: skip
    view = {"scale": scale, "offset": [12.5, -3.25]}
    return {
        "id": "6f8d1c4e-7a53-4a8b-9d3e-000000000000", "revision": 0, "last_node_id": 10, "nodes": nodes, "links": [],
        "extra": {"ds": view, "frontendVersion": "1.27.10"}, "version": 0.4,
    }  # fmt: skip


def recipe_of(captured: Captured) -> Recipe:
    """The recipe, as it reads back from its text."""
    model = {"name": captured.models[0].name} if captured.models else {}
    recipe = Recipe(
        captured.generator, captured.generator_version, Output("image/png"), model=model, params=captured.params,
        about=captured.about, extra=captured.tables,
    )  # fmt: skip
    return toml.decode(toml.encode(recipe))
