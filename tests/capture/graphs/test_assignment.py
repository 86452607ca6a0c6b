"""Setting values of a graph by name."""

from __future__ import annotations

from typing import Any

import pytest

from regenstore.capture.graphs import lifted, model_names
from regenstore.capture.graphs.assignment import NodeValue, assign, candidates
from regenstore.capture.graphs.graph import Graph
from regenstore.capture.graphs.roles import find_roles
from regenstore.errors import InvalidInput
from tests.capture.graphs.examples import node, text_to_image

MODEL = {"name": "sd15/v1-5-pruned.safetensors"}


def refined() -> dict[str, Any]:
    """A second sampler refines the picture of the first one."""
    graph = text_to_image()
    graph["20"] = node(
        "KSampler", seed=99, steps=8, cfg=3.5, sampler_name="euler", scheduler="normal", denoise=0.4,
        model=["4", 0], positive=["6", 0], negative=["7", 0], latent_image=["3", 0],
    )  # fmt: skip
    graph["8"]["inputs"]["samples"] = ["20", 0]
    return graph


def params_of(graph: dict[str, Any]) -> dict[str, Any]:
    held = Graph(graph)
    models = model_names.find_models(held)
    main = model_names.named_like(model_names.find_main_model(held, models), models)
    return lifted.lift(held, find_roles(held), model_names.find_loras(held, models), main)


def rebuilt(params: dict[str, Any], node: str) -> dict[str, Any]:
    return lifted.rebuild(params, MODEL)[node]["inputs"]


def test_the_first_sampler_has_the_plain_name():
    params = params_of(refined())
    assert candidates(params, "seed") == [
        NodeValue("3", "KSampler", "seed", 42, True),
        NodeValue("20", "KSampler", "seed", 99, False),
    ]
    changed = assign(params, "seed", 2**64 - 1)
    assert rebuilt(changed, "3")["seed"] == 2**64 - 1 and rebuilt(changed, "20")["seed"] == 99
    assert params["seed"] == 42  # nothing is changed in place


@pytest.mark.parametrize("name", ["seed@20", "20.seed"])
def test_a_node_can_be_named(name):
    changed = assign(params_of(refined()), name, 7)
    assert rebuilt(changed, "20")["seed"] == 7 and changed["seed"] == 42


@pytest.mark.parametrize(
    ("name", "node", "key", "value"),
    [
        ("sampler@3", "3", "sampler_name", "dpmpp_2m"),
        ("filename_prefix", "9", "filename_prefix", "x"),
        ("lora_name@10", "10", "lora_name", "other.safetensors"),
        ("strength_model@10", "10", "strength_model", 0.5),
        ("prompt@7", "7", "text", "none of it"),
    ],
)
def test_values_are_set_where_they_stand(name, node, key, value):
    before = params_of(refined())
    changed = assign(before, name, value)
    assert rebuilt(changed, node)[key] == value
    differing = [
        (number, each)
        for number, inputs in lifted.rebuild(before, MODEL).items()
        for each, held in inputs["inputs"].items()
        if lifted.rebuild(changed, MODEL)[number]["inputs"][each] != held
    ]
    assert differing == [(node, key)]


@pytest.mark.parametrize(
    ("name", "kind", "said"),
    [
        ("nothing", "unknown-parameter", "no value 'nothing'"),
        ("nothing@3", "unknown-parameter", "node 3 has no value 'nothing'"),
        ("ckpt_name", "unknown-parameter", "model"),
        ("text", "ambiguous-parameter", "text@21 = 'b' (CLIPTextEncode)"),
    ],
)
def test_what_cannot_be_set(name, kind, said):
    graph = {**refined(), "21": node("CLIPTextEncode", text="b"), "22": node("CLIPTextEncode", text="c")}
    with pytest.raises(InvalidInput) as raised:
        assign(params_of(graph), name, 1)
    assert raised.value.kind == kind and said in raised.value.message
