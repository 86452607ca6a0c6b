"""What ComfyUI's files tell: the exact graph, its readable recipe, and the editor's state."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from regenstore.capture import reader
from regenstore.capture.captured import Captured, InputReference, Level, ModelReference
from regenstore.capture.embedded import Embedded
from regenstore.capture.graphs import editor_state
from regenstore.capture.programs import comfyui
from regenstore.objects import toml
from tests.capture.graphs.examples import node, recipe_of, text_to_image, workflow_of

SHA256 = "5e" * 32


def png(name: str, value: Any) -> Embedded:
    return Embedded("png", name, value if isinstance(value, str) else json.dumps(value))


def understood(*pieces: Embedded) -> Captured:
    captured = comfyui.understand(pieces)
    assert captured is not None
    return captured


def restored(captured: Captured) -> tuple[str, str]:
    recipe = recipe_of(captured)
    graph, extra = editor_state.restore(recipe.extra, recipe.params, recipe.model)
    return json.dumps(graph), json.dumps(extra)


def test_a_recipe_reads_like_the_picture_was_made():
    graph = text_to_image()
    captured = understood(png("prompt", graph), png("workflow", workflow_of(graph)))
    assert (captured.level, captured.generator) == (Level.GRAPH, "comfyui")
    assert {name: value for name, value in captured.params.items() if name != "nodes"} == {
        "prompt": "a lighthouse", "negative_prompt": "blurry", "seed": 42, "steps": 20, "cfg": 7.0, "denoise": 1.0,
        "sampler": "euler", "scheduler": "normal", "width": 512, "height": 768, "batch_size": 1,
        "loras": [{"name": "style/ink.safetensors", "strength": 0.8, "strength_clip": 1.0}],
    }  # fmt: skip
    assert captured.models == (
        ModelReference("sd15/v1-5-pruned.safetensors", "checkpoint"),
        ModelReference("style/ink.safetensors", "lora"),
    )
    assert captured.about == {"frontend": "1.27.10", "node_packs": {"comfy-core": "0.3.64"}}
    text = toml.encode(recipe_of(captured)).decode()
    assert (
        'lora_name = ["lora", 0, "name", "\\\\"]\nmodel = ["4", 0]\nstrength_clip = ["lora", 0, "strength_clip"]'
        in text
    )
    assert 'seed = ["param", "seed"]\nsteps = ["param", "steps"]' in text
    assert 'ckpt_name = ["model", "name"]' in text
    assert "Positive" not in text  # titles do not change the picture, so they are not in the key


def test_the_exact_graph_and_workflow_come_back():
    graph = text_to_image(seed=2**64 - 1)
    workflow = workflow_of(graph)
    loaded = copy.deepcopy(graph)
    loaded["5"] = node("LoadImage", image="sub/photo.png [input]", upload="image")
    with_hash = copy.deepcopy(loaded)
    with_hash["5"]["is_changed"] = [SHA256]
    with_hash["9"]["is_changed"] = float("nan")
    captured = understood(png("prompt", with_hash), png("workflow", workflow), png("notes", {"z": 1, "a": [None]}))
    assert captured.inputs == (InputReference("5.image", "sub/photo.png [input]", SHA256),)
    assert captured.params["seed"] == "18446744073709551615"
    assert restored(captured) == (
        json.dumps(loaded),
        json.dumps({"workflow": workflow, "notes": {"z": 1, "a": [None]}}),
    )


def test_two_runs_differ_in_what_was_changed():
    """The editor shows the seed of the next run, and its view was moved."""
    one = text_to_image(seed=42)
    other = text_to_image(seed=7, prompt="a harbour")
    texts = [
        toml.encode(recipe_of(understood(png("prompt", graph), png("workflow", workflow)))).decode().splitlines()
        for graph, workflow in [
            (one, workflow_of(one, next_seed=7)),
            (other, workflow_of(other, next_seed=99, scale=1.5)),
        ]
    ]
    assert [(a, b) for a, b in zip(*texts, strict=True) if a != b] == [
        ('prompt = "a lighthouse"', 'prompt = "a harbour"'),
        ("seed = 42", "seed = 7"),
        ('"3.seed" = 7', '"3.seed" = 99'),
        ('"extra.ds.scale" = 0.9', '"extra.ds.scale" = 1.5'),
    ]


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param([Embedded("exif", "Make", "workflow:{W}"), Embedded("exif", "Model", "prompt:{P}")], id="webp"),
        pytest.param(
            [Embedded("exif", "ImageDescription", "Workflow: {W}"), Embedded("exif", "Make", "Prompt: {P}")], id="jpeg"
        ),
        pytest.param([Embedded("matroska", "PROMPT", "{P}"), Embedded("matroska", "WORKFLOW", "{W}")], id="webm"),
        pytest.param([Embedded("mp4", "comment", '{"prompt": {P}, "workflow": {W}}')], id="old VHS"),
        pytest.param([Embedded("mp4", "comment", '{"prompt": {Q}, "workflow": {W}}')], id="old VHS, encoded twice"),
        pytest.param(
            [png("parameters", "a cat\nSteps: 20, Seed: 1"), png("workflow", "{W}"), png("prompt", "{P}")], id="both"
        ),
    ],
)
def test_carriers(pieces):
    graph = text_to_image()
    texts = {"{P}": json.dumps(graph), "{W}": json.dumps(workflow_of(graph)), "{Q}": json.dumps(json.dumps(graph))}
    filled = []
    for piece in pieces:
        value = piece.value
        for mark, text in texts.items():
            value = value.replace(mark, text)
        filled.append(piece._replace(value=value))
    assert restored(understood(*filled)) == (json.dumps(graph), json.dumps({"workflow": workflow_of(graph)}))


def test_hashes_of_models_come_from_an_infotext_beside_the_graph():
    infotext = (
        "a lighthouse\nSteps: 20, Seed: 42, Model hash: 6ce0161689, Model: v1-5-pruned, "
        'Lora hashes: "ink: 0123456789ab", Hashes: {"model": "6ce0161689", "lora:ink": "fedcba9876"}'
    )
    captured = understood(png("parameters", infotext), png("prompt", text_to_image()))
    assert [each.hashes for each in captured.models] == [
        {"autov2": "6ce0161689"},
        {"autov3": "0123456789ab", "autov2": "fedcba9876"},
    ]


def test_a_workflow_alone_tells_the_prompts():
    workflow = workflow_of(text_to_image())
    captured = understood(png("workflow", workflow))
    assert (captured.level, captured.generator) == (Level.PROMPT, None)
    assert captured.about["prompt"] == "a lighthouse"
    assert "API format" in captured.missing[0]
    table = toml.decode(toml.encode(recipe_of(captured))) if captured.generator else captured.tables
    assert editor_state.restore(table, {"nodes": {}}, {})[1] == {"workflow": workflow}


def test_what_is_not_comfyuis():
    for pieces in [
        [],
        [png("prompt", "a lighthouse")],
        [png("prompt", {})],
        [png("prompt", {"1": {"inputs": {}}})],
        [png("prompt", "[" * 5000)],
        [png("parameters", "a\nSteps: 20")],
        [Embedded("png", "prompt", b"{}")],
    ]:
        assert comfyui.understand(pieces) is None


def test_the_workflow_can_be_left_out():
    graph = text_to_image()
    pieces = [png("prompt", graph), png("workflow", workflow_of(graph))]
    captured = comfyui.understand(pieces, keep_workflow=False)
    assert captured is not None and not captured.tables
    assert json.loads(restored(captured)[0]) == {
        name: {k: v for k, v in each.items() if k != "_meta"} for name, each in graph.items()
    }


@pytest.mark.parametrize(
    "odd",
    [
        {"1": {"class_type": "X", "inputs": None}},
        {"1": {"class_type": "X"}},
        {"": node("X", a=["", 0])},
        {"a.b": node("X", **{"": 1, "__proto__": {"on": True}, "v": ["json", "1"], "w": ["param", "seed"]})},
        {"\ud800": node("KSampler", seed=1, steps=2, positive=["\ud800", 0])},
        {"1": node("X", text="\udc00", seed=10**60, other=str(10**60), n=None, f=float("inf"))},
        {"1": node("X", text="a\n<<<<<<< b\n>>>>>>> c"), "2": {**node("Y"), "extra": {"\ud800": 1}}},
        {"1": node("CLIPTextEncode", text=["2", 0]), "2": node("String", string=["1", 0])},
        {
            "1": node(
                "KSampler", seed=["1", 0], positive=["1", 0], negative=["9", 0], latent_image=["1", 1], steps=["1", 0]
            )
        },
    ],
)
def test_odd_graphs_come_back(odd):
    captured = understood(png("prompt", odd))
    assert restored(captured)[0] == json.dumps(odd)


def test_large_graphs():
    """What is too heavy for tables becomes a text; what is too large for a recipe leaves the prompt."""
    chain = {"0": text_to_image()["4"]}
    for number in range(1, 600):
        chain[str(number)] = node(
            "Step", "A step", strength=number / 7, text=f"word {number}", on=True, model=[str(number - 1), 0]
        )
    captured = understood(png("prompt", chain))
    assert isinstance(captured.params["nodes"], dict) and restored(captured)[0] == json.dumps(chain)
    heavy = {name: node("Step", **{f"v{i}": i for i in range(30)}) for name in chain}
    captured = understood(png("prompt", heavy))
    assert isinstance(captured.params["nodes"], str) and restored(captured)[0] == json.dumps(heavy)
    captured = understood(png("prompt", {"1": node("LoadBase64", image="A" * (4 << 20))}))
    assert captured.level is Level.PROMPT and "too large" in captured.missing[0]


@pytest.mark.parametrize("name", ["image.png", "animation.apng", "animation.webp", "video.mp4", "video.webm"])
def test_files_that_comfyui_0_3_64_made(name):
    """Its own save nodes, with a seed of 64 bits, a title beyond Latin-1 and a further key."""
    with (Path(__file__).parent / "comfyui_outputs" / name).open("rb") as file:
        captured = reader.read(file).captured
    assert captured is not None and captured.level is Level.GRAPH
    assert captured.params["seed"] == str(2**64 - 1)
    (given,) = captured.inputs
    assert (given.name, given.file) == ("7.image", "in.png") and given.sha256 is not None
    graph, extra = map(json.loads, restored(captured))
    assert list(graph)[:3] == ["7", "12", "3"]
    assert graph["7"] == {**node("LoadImage", "LoadImage", image="in.png")}
    assert graph["12"] == node("ImageAddNoise", "Rauschen ä你", image=["7", 0], seed=2**64 - 1, strength=0.25)
    assert extra["note"] == {"b": "café 你好", "a": None}
    assert [each["widgets_values"] for each in extra["workflow"]["nodes"][:3]] == [["in.png"], [2**64 - 1, 0.25], [4]]
