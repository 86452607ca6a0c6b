"""What InvokeAI's files tell, of versions 1 to 6."""

from __future__ import annotations

import json
from typing import Any

import pytest

from regenstore.capture.captured import InputReference, Level, ModelReference
from regenstore.capture.embedded import Embedded
from regenstore.capture.graphs import invoke_graph
from regenstore.capture.programs import invokeai
from regenstore.objects import toml
from tests.capture.graphs.examples import recipe_of

BLAKE3 = "3b" * 32
MODEL = {
    "key": "ece5fa0b-5d3d-4bc4-9912-5caf6d270f53",
    "hash": f"blake3:{BLAKE3}",
    "name": "dreamy",
    "base": "sd-1",
    "type": "main",
}
LORA = {**MODEL, "hash": "random:1234", "name": "ink", "type": "lora"}


def edge(source: str, out: str, target: str, field: str) -> dict[str, Any]:
    return {"source": {"node_id": source, "field": out}, "destination": {"node_id": target, "field": field}}


def run(seed: int, prompt: str, mark: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Graph and metadata of one run; ``mark`` are the random characters in the nodes' names."""

    def node(name: str, kind: str, **fields: Any) -> dict[str, Any]:
        return {"id": f"{name}:{mark}", "is_intermediate": True, "use_cache": True, **fields, "type": kind}

    nodes = [
        node("positive_prompt", "string", value=prompt),
        node("seed", "integer", value=seed),
        node("model_loader", "main_model_loader", model=MODEL),
        node("lora", "lora_loader", lora=LORA, weight=0.75),
        node("neg_cond", "compel", prompt="blurry"),
        node("noise", "noise", seed=0, width=512, height=768, use_cpu=True),
        node("collect", "collect", item=None, collection=[]),
        node("collect2", "image", image={"image_name": "9c0c.png"}),
        node("denoise_latents", "denoise_latents", steps=30, cfg_scale=7.5, scheduler="euler_a", cfg_rescale=0.0),
        node("core_metadata", "core_metadata", negative_prompt="blurry", width=512, height=768, cfg_scale=7.5, steps=30,
             scheduler="euler_a", model=MODEL, loras=[{"model": LORA, "weight": 0.75}]),
    ]  # fmt: skip
    edges = [
        edge(f"seed:{mark}", "value", f"noise:{mark}", "seed"),
        edge(f"positive_prompt:{mark}", "value", f"core_metadata:{mark}", "positive_prompt"),
    ]
    metadata = {
        "generation_mode": "txt2img", "positive_prompt": prompt, "negative_prompt": "blurry", "width": 512,
        "height": 768, "seed": seed, "cfg_scale": 7.5, "steps": 30, "scheduler": "euler_a", "model": MODEL,
        "loras": [{"model": LORA, "weight": 0.75}], "rand_device": "cpu", "app_version": "6.14.2",
    }  # fmt: skip
    return {"id": f"sd1_graph:{mark}", "nodes": {each["id"]: each for each in nodes}, "edges": edges}, metadata


def pieces(**texts: Any) -> list[Embedded]:
    return [Embedded("png", name.replace("_metadata_old", ""), json.dumps(value)) for name, value in texts.items()]


def test_a_graph_is_read_and_comes_back():
    graph, metadata = run(42, "a lighthouse", "x8Fq1LzT0b")
    workflow = {
        "name": "w",
        "nodes": [{"id": "seed:x8Fq1LzT0b", "data": {"inputs": {"value": {"value": 42, "label": ""}}}}],
    }
    captured = invokeai.understand(pieces(invokeai_metadata=metadata, invokeai_graph=graph, invokeai_workflow=workflow))
    assert captured is not None
    assert (captured.level, captured.program_version, captured.generator) == (Level.GRAPH, "6.14.2", "invokeai")
    assert {name: value for name, value in captured.params.items() if name not in ("nodes", "edges")} == {
        "prompt": "a lighthouse", "negative_prompt": "blurry", "seed": 42, "steps": 30, "cfg": 7.5,
        "scheduler": "euler_a", "width": 512, "height": 768, "loras": [{"name": "ink", "strength": 0.75}],
    }  # fmt: skip
    assert captured.models == (
        ModelReference("dreamy", "checkpoint", {"blake3": BLAKE3}),
        ModelReference("ink", "lora"),
    )
    assert captured.inputs == (InputReference("collect2.image", "9c0c.png"),)
    recipe = recipe_of(captured)
    restored, extra = invoke_graph.restore(recipe.extra, recipe.params, recipe.model)
    assert json.dumps(restored) == json.dumps(graph)
    assert extra == {"invokeai_metadata": metadata, "invokeai_workflow": workflow}
    assert recipe.params["nodes"]["seed"]["inputs"]["value"] == ["param", "seed"]
    lora = recipe.params["nodes"]["core_metadata"]["inputs"]["loras"][0]
    assert (lora["model"]["name"], lora["weight"]) == (["lora", 0, "name"], ["lora", 0, "strength"])


def test_two_runs_differ_in_what_was_changed():
    """In the part that makes the picture; the random names are kept beside it."""
    texts = []
    for seed, prompt, mark in [(42, "a lighthouse", "x8Fq1LzT0b"), (7, "a harbour", "Aw_93-bbQz")]:
        graph, metadata = run(seed, prompt, mark)
        captured = invokeai.understand(pieces(invokeai_metadata=metadata, invokeai_graph=graph))
        assert captured is not None
        texts.append(toml.encode(recipe_of(captured)).decode())
    keyed = [text.partition("[workflow]")[0].splitlines() for text in texts]
    assert [line for pair in zip(*keyed, strict=True) if pair[0] != pair[1] for line in pair] == [
        'prompt = "a lighthouse"', 'prompt = "a harbour"', "seed = 42", "seed = 7",
    ]  # fmt: skip
    packed = [text.partition('data = """')[2].partition('"""')[0] for text in texts]
    assert packed[0] == packed[1]


@pytest.mark.parametrize("change", ["edge", "top", "node", "id"])
def test_an_unknown_form_of_graph_leaves_the_parameters(change):
    graph, metadata = run(42, "a lighthouse", "x8Fq1LzT0b")
    if change == "edge":
        graph["edges"][0]["kind"] = "new"
    elif change == "top":
        graph["more"] = 1
    elif change == "node":
        graph["nodes"]["x"] = []
    else:
        graph["nodes"]["y"] = {"id": "z", "type": "t"}
    captured = invokeai.understand(pieces(invokeai_metadata=metadata, invokeai_graph=graph))
    assert captured is not None and captured.level is Level.PARAMETERS
    assert captured.params == {
        "generation_mode": "txt2img", "prompt": "a lighthouse", "negative_prompt": "blurry", "width": 512,
        "height": 768, "seed": 42, "cfg": 7.5, "steps": 30, "scheduler": "euler_a", "rand_device": "cpu",
        "loras": [{"name": "ink", "strength": 0.75}],
    }  # fmt: skip
    assert captured.models[0].name == "dreamy" and captured.missing == ("the graph that ran",)


def test_older_versions():
    image = {
        "prompt": [{"prompt": "a cat [blurry]", "weight": 1}], "steps": 50, "cfg_scale": 7.5, "height": 512,
        "width": 640, "seed": 1234, "sampler": "k_lms", "type": "txt2img", "postprocessing": None, "seamless": False,
    }  # fmt: skip
    old = {"model_weights": "stable-diffusion-1.5", "model_hash": "cc" * 32, "app_version": "2.3.5", "image": image}
    captured = invokeai.understand(
        [Embedded("png", "Dream", '"x" -s 1'), Embedded("png", "sd-metadata", json.dumps(old))]
    )
    assert captured is not None and captured.program_version == "2.3.5" and not captured.missing
    assert captured.params == {
        "prompt": "a cat [blurry]", "steps": 50, "cfg": 7.5, "height": 512, "width": 640, "seed": 1234,
        "sampler": "k_lms", "type": "txt2img", "seamless": False,
    }  # fmt: skip
    assert captured.models == (ModelReference("stable-diffusion-1.5", "checkpoint", {"sha256": "cc" * 32}),)
    dream = Embedded(
        "png", "Dream", r'"a \"red\" cat" -s 50 -S1234 -W512 -H 640 -C 7.5 -A k_lms --seamless --gfpgan_strength=0.8'
    )
    captured = invokeai.understand([dream])
    assert captured is not None and captured.params == {
        "prompt": 'a "red" cat', "steps": 50, "seed": 1234, "width": 512, "height": 640, "cfg": 7.5, "sampler": "k_lms",
        "seamless": True, "gfpgan_strength": 0.8,
    }  # fmt: skip


def test_what_is_not_invokeais():
    for name, text in [("invokeai_metadata", "[]"), ("invokeai_graph", "{"), ("sd-metadata", "{}"), ("Dream", "a cat")]:
        assert invokeai.understand([Embedded("png", name, text)]) is None
    assert invokeai.understand([]) is None
