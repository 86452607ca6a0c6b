"""Conditions and expressions."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from regenstore.errors import InvalidInput
from regenstore.export.context import prompt_of
from regenstore.export.dataset.row import COLUMNS, LISTS, Captions, caption
from regenstore.export.dataset.sample_rows import Drops
from regenstore.export.dataset.selection import Limits, conditions, expression
from regenstore.objects.ids import Digest
from regenstore.objects.recipe import Input, Output, Recipe, Take
from tests.export.dataset.studio import Studio


def row(**known: Any) -> dict[str, Any]:
    empty = {column.name: [] if column.name in LISTS else None for column in COLUMNS}
    return {**empty, "params": "{}", "about": "{}", "media_type": "video/mp4", **known}


@pytest.mark.parametrize(
    ("limits", "passes", "fails"),
    [
        (Limits(kind="video"), {}, {"media_type": "image/png"}),
        (Limits(scenes=("a", "b")), {"scene": "b"}, {"scene": None}),
        (Limits(characters=("ann",)), {"characters": ["bob", "ann"]}, {"characters": ["Ann"]}),
        (Limits(without_failures=("melted",)), {"failure_tags": ["blur"]}, {"failure_tags": ["blur", "melted"]}),
        (Limits(without_failures=("*",)), {"failure_tags": []}, {"failure_tags": ["blur"]}),
        (Limits(without_tags=("night",)), {"tags": ["day"]}, {"tags": ["night"]}),
        (Limits(min_quality=(("quality", 0.5),)), {"quality": 0.5}, {"quality": None}),
        (Limits(min_quality=(("face_confidence", 0.5),)), {"face_confidence": 0.6}, {"face_confidence": 0.4}),
        (Limits(min_rating=3), {"rating": 3.0}, {"rating": 2.9}),
        (Limits(min_duration=1, max_duration=2), {"duration": 2.0}, {"duration": 2.1}),
        (Limits(min_size=(640, 360)), {"width": 640, "height": 360}, {"width": 640, "height": 359}),
        (Limits(proven=True), {"proof": "exact"}, {"proof": "unproven"}),
        (Limits(select=("rating > 2.0 && 'ann' in tags",)), {"rating": 3.0, "tags": ["ann"]}, {"rating": 4.0}),
        (Limits(select=("params.cfg > 5",)), {"params": '{"cfg": 7}'}, {"params": "{}"}),
        (Limits(select=("about.note.contains('x')",)), {"about": '{"note": "axb"}'}, {"about": "{}"}),
        (Limits(select=("tags.exists(t, t.startsWith('n'))",)), {"tags": ["night"]}, {"tags": []}),
        (Limits(select=("rating == null",)), {}, {"rating": 1.0}),
        (Limits(select=("prompt != ''",)), {"prompt": "x"}, {"prompt": None}),
        (Limits(select=("rating != 3.0",)), {"rating": 2.0}, {"rating": None}),
        (Limits(select=("rating >= 3.0 || scene == 'a'",)), {"scene": "a"}, {"scene": "null"}),
        (Limits(max_quality=(("frozen", 0.5),)), {"frozen": 0.5}, {"frozen": None}),
    ],
)  # fmt: skip
def test_conditions(limits, passes, fails):
    found = conditions(limits)
    assert all(condition.holds(row(**passes)) for condition in found)
    assert not all(condition.holds(row(**fails)) for condition in found)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("rating >=", "Syntax error"),
        ("ratng > 3", "did you mean 'rating'"),
        ("__import__('os').system('true')", "--select"),
        ("1 + 1", "gives int"),
        ("'x' * 5000" + " " * 5000, "longer than"),
        ("tags.exists(a, tags.exists(b, tags.exists(c, a == b)))", "more than 2 deep"),
    ],
)
def test_expressions_that_are_refused(text, told):
    with pytest.raises(InvalidInput, match=told):
        assert not expression(text).holds(row())
        raise InvalidInput("bad-export", "--select: it holds of nothing")


@pytest.mark.parametrize(
    ("limits", "told"),
    [
        (Limits(min_quality=(("frozen", 0.5),)), "--max-quality frozen=0.5"),
        (Limits(max_quality=(("rating", 3),)), "--min-quality rating=3"),
    ],
)
def test_a_bound_that_would_keep_the_worst(limits, told):
    with pytest.raises(InvalidInput, match="would keep the worst") as refused:
        conditions(limits)
    assert told in refused.value.hint


def test_what_is_unknown_is_counted():
    drops = Drops(conditions(Limits(max_quality=(("frozen", 0.5),), select=("rating > 1.0",))))
    for known in ({}, {"frozen": 0.9}, {"frozen": 0.1}, {"frozen": 0.1, "rating": 1.0}):
        assert not drops.passes(row(**known))
    assert drops.counts == {"--max-quality frozen 0.5": 2, "--select rating > 1.0": 2}
    assert drops.unknown == {"--max-quality frozen 0.5": 1, "--select rating > 1.0": 1}


def test_brackets_in_literals_hide_no_depth():
    with pytest.raises(InvalidInput, match="2 deep"):
        expression("tags.exists(a, a == ')' || tags.exists(b, b == \")\" || tags.exists(c, c == a)))")


def test_each_condition_tells_what_it_dropped(difficult: Studio, tmp_path: Path):
    limits = Limits(min_rating=3, select=("'val' in characters",))
    outcome = difficult.export(tmp_path / "set", limits)
    assert len(outcome.manifest.samples) == 1
    assert outcome.manifest.filters == ["--min-rating 3", "--select 'val' in characters"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("two\nlines\u2028three", "two lines three"), ("  \x00\x1b ", "my shot"), ("", "my shot"),
        ("\ud800 half \u202e", "half"), ("plain", "plain"),
    ],
)  # fmt: skip
def test_captions_are_one_line_and_never_empty(text, expected):
    from regenstore.export.media_set import Medium
    from regenstore.objects.hashing import hash_bytes

    medium = Medium("a/my_shot.mp4", Recipe("g", "1", Output("video/mp4")), hash_bytes(b""), 0, "video/mp4", "")
    assert caption({"gen.prompt": text}, medium) == expected


@pytest.mark.parametrize(
    ("captions", "expected"),
    [
        (Captions(), "a storm"),
        (Captions(prefix="photo of "), "photo of a storm"),
        (Captions(trigger="zwx"), "zwx, a storm"),
        (Captions(trigger="storm"), "a storm"),
        (Captions(prefix="p ", trigger="zwx", template="{caption}, {scene_type}, {tags}"), "p zwx, a storm, a, b"),
        (Captions(template="{scene}, {model}"), "a storm"),
    ],
)
def test_captions_by_options(captions, expected):
    captions.check()
    assert captions.caption(row(text="a storm", tags=["a", "b"])) == expected


@pytest.mark.parametrize("template", ["{prompt", "{nothing}", "{params.x}", "{width:d}", "{}"])
def test_templates_of_captions_that_are_refused(template):
    with pytest.raises(InvalidInput, match="--caption-template"):
        Captions(template=template).check()


def test_derivatives_have_the_prompt_of_their_source():
    def recipe(byte: int, source: str = "", generator: str = "g", **params: Any) -> Recipe:
        inputs = {"of": Input(Digest(bytes([byte - 1]) * 32), source)} if source else {}
        take = Take(Digest(bytes([byte]) * 32), 1)
        return Recipe(generator, "1", Output("video/mp4", take=take), params=params, inputs=inputs)

    clip, proxy, still = recipe(1, prompt="a storm"), recipe(2, "clip"), recipe(3, "proxy")
    at = {"clip": clip, "proxy": proxy}
    assert prompt_of(still, at.get) == "a storm"
    assert prompt_of(recipe(3, "proxy", prompt="its own"), at.get) == "its own"
    assert prompt_of(recipe(9, "proxy"), at.get) is None  # of other bytes


def test_a_caption_follows_the_prompt_of_the_source(studio: Studio, tmp_path: Path):
    medium = studio.add("a.png")
    studio.media["a.png"] = replace(medium, recipe=replace(medium.recipe, generator="derive.image"))
    for told in ("a storm", "a calm"):
        studio.export(tmp_path / "out", update=True, prompt_of=lambda _, told=told: told)
        (line,) = (tmp_path / "out" / "samples.jsonl").read_text().splitlines()
        assert (json.loads(line)["prompt"], json.loads(line)["text"]) == (told, told)
