"""Any graph survives the way into a recipe's text and back."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regenstore.capture import bounded_json
from regenstore.capture.graphs import editor_state, lifted, model_names
from regenstore.capture.graphs.graph import Graph
from regenstore.capture.graphs.roles import find_roles
from regenstore.objects import toml
from regenstore.objects.bounded import Unparsable
from regenstore.objects.recipe import Output, Recipe

NAMES = st.sampled_from(
    [
        "text",
        "seed",
        "steps",
        "model",
        "positive",
        "lora_name",
        "strength_model",
        "ckpt_name",
        "width",
        "height",
        "$",
        "a.b",
    ]
) | st.text(max_size=6)
IDS = st.sampled_from(["1", "2", "12:3", "a.b", "", "__proto__", "true", "1979-05-27"])
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([2**63 - 1, 2**63, 2**64 - 1, -(2**63) - 1]),
    st.floats(),
    st.text(),
    st.sampled_from(["a\\b.safetensors", "a/b.safetensors", "\ud800", str(2**64), "x\n>>>>>>> y\n<<<<<<<", "param"]),
)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=6
)
LINKS = st.tuples(IDS, st.integers(0, 3)).map(list)
NODES = st.fixed_dictionaries(
    {"class_type": st.sampled_from(["KSampler", "CLIPTextEncode", "LoraLoader", "X"])},
    optional={"inputs": st.dictionaries(NAMES, VALUES | LINKS, max_size=6), "_meta": VALUES, "more": VALUES},
)


def as_json(value: Any) -> Any:
    return json.loads(json.dumps(value))


@settings(max_examples=80)
@given(graph=st.dictionaries(IDS, NODES, min_size=1, max_size=4).map(as_json), extra=VALUES.map(as_json))
def test_there_and_back(graph, extra):
    held = Graph(graph)
    models = model_names.find_models(held)
    main = model_names.find_main_model(held, models)
    loras = model_names.find_loras(held, models)
    params = lifted.lift(held, find_roles(held), loras, model_names.named_like(main, models))
    table = editor_state.pack(held, {"workflow": {"nodes": [{"id": 1, "widgets_values": [extra]}]}, "$": extra})
    assert table is not None
    model = {"name": main.name.replace("\\", "/")} if main else {}
    recipe = toml.decode(
        toml.encode(Recipe("comfyui", "1", Output("image/png"), model=model, params=params, extra={"workflow": table}))
    )
    restored, others = editor_state.restore(recipe.extra, recipe.params, recipe.model)
    assert json.dumps(restored) == json.dumps(graph)
    assert json.dumps(others) == json.dumps({"workflow": {"nodes": [{"id": 1, "widgets_values": [extra]}]}, "$": extra})


@pytest.mark.parametrize(("before", "after"), [("[", "]"), ('{"a":', "}"), ('[1, {"a":', "}]")])
def test_json_is_read_to_a_depth(before: str, after: str) -> None:
    levels = bounded_json.MAX_DEPTH // (before.count("[") + before.count("{"))
    bounded_json.parse(before * levels + "1" + after * levels)
    for deeper in (levels + 1, 10 * levels, 1000 * levels):
        with pytest.raises(Unparsable):
            bounded_json.parse(before * deeper + "1" + after * deeper)
    assert bounded_json.parse(f'"{"[" * 1000}"') == "[" * 1000
