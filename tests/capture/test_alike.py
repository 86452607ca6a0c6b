"""Media that differ from earlier ones in numbers get the very recipes that they get when each is understood in full."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regenstore.capture.captured import Captured
from regenstore.capture.programs import read
from regenstore.capture.recipes import Binding, Capturer
from regenstore.objects import toml
from regenstore.objects.ids import Digest
from regenstore.objects.recipe import Take
from tests.capture.graphs.examples import text_to_image, workflow_of
from tests.capture.pictures import png

SEED = 845_123_456_789_012
Document = dict[str, Any]


def unbound(path: bytes, captured: Captured) -> Binding:
    return Binding()


def texts(graph: Document, workflow: Document) -> dict[str, str]:
    return {"prompt": json.dumps(graph), "workflow": json.dumps(workflow)}


def of_seed(seed: Any, scale: float = 0.9) -> dict[str, str]:
    graph = text_to_image(seed=seed)
    return texts(graph, workflow_of(graph, next_seed=seed, scale=scale))


def recipe_text(capturer: Capturer, metadata: dict[str, str], number: int = 0) -> bytes | None:
    fd = os.memfd_create("picture")
    try:
        os.write(fd, png(metadata))
        return capturer.text(b"a.png", fd, "image/png", Take(Digest(bytes([number] * 32)), 1000 + number), {})
    finally:
        os.close(fd)


def compare(media: Sequence[dict[str, str]], keep_workflow: bool = True) -> None:
    """Compare the recipes of media that one process takes in with those that they get alone."""
    together = Capturer(unbound, keep_workflow=keep_workflow)
    for number, metadata in enumerate(media):
        alone = recipe_text(Capturer(unbound, keep_workflow=keep_workflow), metadata, number)
        assert recipe_text(together, metadata, number) == alone


@pytest.fixture
def understood(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many pieces each medium has that is understood in full."""
    calls: list[int] = []
    understand: Callable[..., Captured | None] = read.understand

    def counted(pieces: Any) -> Captured | None:
        calls.append(len(pieces))
        return understand(pieces)

    monkeypatch.setattr(read, "understand", counted)
    return calls


@pytest.mark.parametrize("keep_workflow", [True, False])
def test_two_pictures_of_a_workflow_are_enough_to_know_it(understood: list[int], keep_workflow: bool) -> None:
    capturer = Capturer(unbound, keep_workflow=keep_workflow)
    for number in range(6):
        text = recipe_text(capturer, of_seed(SEED + number, 0.9 + number / 64), number)
        assert text is not None
        recipe = toml.decode(text)
        assert recipe.params["seed"] == SEED + number
        assert recipe.output.take == Take(Digest(bytes([number] * 32)), 1000 + number)
        assert recipe.key is not None and recipe.output.key == recipe.key.mark
        assert toml.encode(recipe) == text
    assert len(understood) == 3  # two pictures, and one with stand-ins
    compare([of_seed(SEED + number, 0.9 + number / 64) for number in range(6)], keep_workflow)


def test_models_that_become_known_are_in_the_recipe() -> None:
    known: dict[str, str] = {}
    capturer = Capturer(lambda path, captured: Binding({"name": captured.models[0].name, **known}))
    for number in range(6):
        if number == 4:
            known["digest"] = "blake3:" + "ab" * 32
        text = recipe_text(capturer, of_seed(SEED + number))
        assert text is not None and toml.decode(text).model.get("digest") == known.get("digest")


VALUES = st.sampled_from(
    [
        SEED, SEED + 1, SEED + 2, 12345678, 99999999, 100000000, float(SEED), 12345678.0, -12345678, 2**63, 2**64 - 1,
        7, 1.5, 2.25, -2.25, 1e-05, 1e22, 5.0, 5, True, None, "12345678", "a, 12345678 , b", "= 12345678 ",
        " 12345678\n", "[SEED, 845123456789012, 3]", {"seed": 12345678}, [12345678, 2], ["6", 12345678],
        ["json", 12345678],
        "$",
    ]
)  # fmt: skip
PLACES: dict[str, Callable[[Document, Document, Any], None]] = {
    "seed": lambda graph, flow, value: graph["3"]["inputs"].__setitem__("seed", value),
    "cfg": lambda graph, flow, value: graph["3"]["inputs"].__setitem__("cfg", value),
    "steps": lambda graph, flow, value: graph["3"]["inputs"].__setitem__("steps", value),
    "text": lambda graph, flow, value: graph["6"]["inputs"].__setitem__("text", value),
    "another text": lambda graph, flow, value: graph["7"]["inputs"].__setitem__("text", value),
    "lora": lambda graph, flow, value: graph["10"]["inputs"].__setitem__("strength_clip", value),
    "unknown": lambda graph, flow, value: graph["8"]["inputs"].__setitem__("seed", value),
    "hash": lambda graph, flow, value: graph["8"].__setitem__("is_changed", value),
    "title": lambda graph, flow, value: graph["8"].__setitem__("_meta", {"title": value}),
    "widget": lambda graph, flow, value: flow["nodes"][0]["widgets_values"].__setitem__(0, value),
    "next": lambda graph, flow, value: flow["nodes"][0]["widgets_values"].__setitem__(1, value),
    "more widgets": lambda graph, flow, value: flow["nodes"][5].__setitem__("widgets_values", [value, "randomize"]),
    "id": lambda graph, flow, value: flow["nodes"][0].__setitem__("id", value),
    "link": lambda graph, flow, value: flow["links"].append([value, 4, 0, 3, 0, "MODEL"]),
    "property": lambda graph, flow, value: flow["nodes"][1]["properties"].__setitem__("models", [value]),
    "scale": lambda graph, flow, value: flow["extra"]["ds"].__setitem__("scale", value),
    "extra": lambda graph, flow, value: flow["extra"].__setitem__("frontendVersion", value),
    "position": lambda graph, flow, value: flow["nodes"][2].__setitem__("pos", [value, 2]),
}


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.sampled_from(sorted(PLACES)), st.lists(VALUES, min_size=1, max_size=3)), max_size=6),
    st.lists(st.tuples(*[st.integers(0, 2)] * 6, st.sampled_from([SEED, SEED + 1, SEED + 2])), min_size=3, max_size=6),
    st.booleans(),
)
def test_mutated_graphs(
    places: list[tuple[str, list[Any]]], chosen: list[tuple[int, ...]], keep_workflow: bool
) -> None:
    media = []
    for *choices, seed in chosen:
        graph = text_to_image(seed=seed)
        flow = workflow_of(graph, next_seed=seed)
        for (place, values), choice in zip(places, choices, strict=False):
            PLACES[place](graph, flow, values[choice % len(values)])
        media.append(texts(graph, flow))
    compare(media, keep_workflow)
