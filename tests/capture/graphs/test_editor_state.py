"""The editor's state: small in Git, exact, and harmless whatever it holds."""

from __future__ import annotations

import json
import random
import subprocess
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regenstore.capture.embedded import Embedded
from regenstore.capture.graphs import editor_state, packed
from regenstore.capture.graphs.graph import Graph
from regenstore.capture.programs import comfyui, invokeai
from regenstore.errors import FormatError
from regenstore.objects import toml
from regenstore.objects.ids import Digest
from regenstore.objects.recipe import Take
from tests.capture.graphs.examples import recipe_of, text_to_image, workflow_of
from tests.capture.programs.test_comfyui import png, understood
from tests.conftest import hermetic_environment

MORE, MOST = 30, 400


def test_further_pictures_of_a_workflow_take_few_bytes(tmp_path):
    """Pictures that differ in digest, size, seed, next seed and prompt, committed and repacked."""
    chance = random.Random(1)
    words = ["lighthouse", "harbour", "storm", "gull", "rope", "foam", "cliff", "beam", "night"]
    repository = tmp_path / "repository"

    def git(*arguments: str) -> None:
        who = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(["git", *who, *arguments], cwd=repository, env=hermetic_environment(tmp_path), check=True)

    repository.mkdir()
    git("init", "-q")
    sizes = []
    for count in (1, MORE):
        for number in range(count):
            graph = text_to_image(chance.getrandbits(60), " ".join(chance.choices(words, k=12)))
            workflow = workflow_of(graph, next_seed=chance.getrandbits(60))
            recipe = recipe_of(understood(png("prompt", graph), png("workflow", workflow)))
            take = Take(Digest(chance.randbytes(32)), chance.randrange(10**7))
            (repository / f"ComfyUI_{count}_{number:05}_.png").write_bytes(toml.encode(recipe.with_take(take, None)))
        git("add", ".")
        git("commit", "-q", "-m", "Pictures")
        git("repack", "-adfq")
        sizes.append(sum(pack.stat().st_size for pack in (repository / ".git/objects/pack").glob("*.pack")))
    each = (sizes[1] - sizes[0]) / MORE
    print(f"packed bytes per further picture: {each:.0f}")
    assert each < MOST


def test_widgets_of_primitives_and_subgraphs_are_found() -> None:
    graph = {
        "1": {"inputs": {"noise_seed": 5, "on": True}, "class_type": "A"},
        "4:2": {"inputs": {"text": "a lighthouse", "seed": 9}, "class_type": "B"},
    }
    inner_text = "a lighthouse"
    inner = {"id": 2, "type": "B", "widgets_values": ["a lighthouse", 10, "increment"]}
    target = {
        "id": 1,
        "type": "A",
        "inputs": [{"name": "noise_seed", "widget": {"name": "noise_seed"}}],
        "widgets_values": [6, "fixed", True],
    }
    workflow: dict[str, Any] = {
        "nodes": [
            target,
            {"id": 3, "type": "PrimitiveNode", "outputs": [{"links": [7]}], "widgets_values": [6, "randomize"]},
            {"id": 4, "type": "uuid", "properties": {"proxyWidgets": [["2", "text"]]}, "widgets_values": [inner_text]},
            {"id": 8, "type": "Reroute", "widgets_values": [3000000]},
        ],
        "links": [[7, 3, 0, 1, 0, "INT"]],
        "definitions": {"subgraphs": [{"id": "uuid", "nodes": [inner]}]},
    }  # fmt: skip
    table = editor_state.pack(Graph(graph), {"workflow": workflow})
    assert table is not None
    assert table["values"] == {"1.noise_seed": 6, "1.noise_seed'": 6, "8[0]": 3000000, "4:2.seed": 10}
    shown = json.dumps(packed.unpack(table["data"]))
    assert "lighthouse" not in shown and shown.count('"$"') == 7


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"format": "other", "data": ""}, "format"),
        ({"format": packed.FORMAT, "data": "!"}, "data"),
        ({"format": packed.FORMAT, "data": packed.pack([1])}, "not what was packed"),
        ({"format": packed.FORMAT, "data": packed.pack("x" * (packed.MAX_PLAIN + 1))}, "longer than"),
    ],
)
def test_a_damaged_table_is_named(table, said):
    with pytest.raises(FormatError) as raised:
        editor_state.restore({"workflow": table}, {"nodes": {}}, {})
    assert raised.value.kind == "bad-recipe" and said in raised.value.message


KEYS = st.sampled_from(
    [
        *("nodes", "id", "type", "inputs", "class_type", "widgets_values", "links", "extra", "ds", "definitions"),
        *("subgraphs", "edges", "properties", "outputs", "widget", "name", "proxyWidgets", "$", "1", "image"),
        *("prompt", "loras", "model", "weight"),
    ]
)
ANYTHING = st.recursive(
    st.sampled_from([None, True, 1, 2**40, 1.0, "1", "PrimitiveNode", "core_metadata", "randomize", "x.safetensors"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=25,
)


@settings(max_examples=60)
@given(ANYTHING, ANYTHING, ANYTHING)
def test_nothing_embedded_is_too_strange(one, two, three):
    texts = [json.dumps(each) for each in (one, {"1": {"class_type": "KSampler", "inputs": two}}, three)]
    for prompt in texts[:2]:
        captured = comfyui.understand([Embedded("png", "prompt", prompt), Embedded("png", "workflow", texts[2])])
        if captured is not None and captured.generator:
            recipe = recipe_of(captured)
            graph, extra = editor_state.restore(recipe.extra, recipe.params, recipe.model)
            kept = {"workflow": three} if isinstance(three, (dict, list)) else {}
            assert json.dumps(graph) == prompt and json.dumps(extra) == json.dumps(kept)
    node = {"id": "n:abcdefgh", "type": "t", **(two if isinstance(two, dict) else {})}
    graph = {"id": "g", "nodes": {"n:abcdefgh": node}, "edges": []}
    invokeai.understand([Embedded("png", "invokeai_graph", json.dumps(each)) for each in (three, graph)])
    for name in ("invokeai_metadata", "sd-metadata"):
        invokeai.understand([Embedded("png", name, text) for text in texts])
