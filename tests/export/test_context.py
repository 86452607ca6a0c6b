"""The context: complete, documented, and redacted everywhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from regenstore.export import context
from regenstore.export.context import NAMES, TABLE, is_known, redacted, text_of
from tests.export.clips import REC709, clip

DOCUMENT = Path(__file__).parents[2] / "docs" / "export.md"


def documented() -> dict[str, tuple[str, str]]:
    rows = re.findall(r"^\| `([a-z_.*]+)` \| (\w+) \| (.+) \|$", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)
    return {name: (kind, meaning) for name, kind, meaning in rows}


def test_the_document_lists_the_same_names_types_and_meanings():
    assert documented() == {entry.name: (entry.type, entry.meaning) for entry in TABLE}


def test_every_name_that_a_clip_has_is_documented_and_every_fixed_one_is_there():
    made = clip(columns={"blur": [0.5] * 96}, timecode="01:00:00:00", color=REC709, audio=True)
    assert made.fields.keys() >= NAMES
    assert not [name for name in made.fields if not is_known(name)]
    still = clip(still=True)
    assert still.fields.keys() >= NAMES
    assert still.fields["video.rate"] is None


KINDS = {
    "text": str, "time": str, "integer": int, "number": (int, float), "boolean": bool, "list": tuple,
}  # fmt: skip


def test_values_have_the_types_that_are_documented():
    made = clip(columns={"blur": [0.5] * 96}, timecode="01:00:00:00", color=REC709, audio=True, params={"cfg": 6.5})
    for name, value in made.fields.items():
        entry = next((e for e in TABLE if e.name == name), None)
        if value is not None and entry is not None and entry.type in KINDS:
            assert isinstance(value, KINDS[entry.type]), name


@pytest.mark.parametrize(
    ("params", "name", "value"),
    [
        ({"text": "sea", "prompt": None}, "gen.prompt", None),
        ({"noise_seed": 7}, "gen.seed", "1234567890123456789012"),
        ({"num_inference_steps": 20}, "gen.steps", 30),
        ({"guidance_scale": 5.5}, "gen.guidance", 5.5),
        ({"loras": {"a": 0.5, "b": 1}}, "gen.loras", ("a:0.5", "b:1")),
        ({"loras": ["a.safetensors:0.75", "plain"]}, "gen.loras", ("a.safetensors:0.75", "plain")),
        ({"loras": [{"lora_name": "x", "strength_model": 0.4}]}, "gen.lora_weights", (0.4,)),
        ({"loras": ["a", "b"], "lora_weights": [0.5, 1]}, "gen.loras", ("a:0.5", "b:1")),
        ({"loras": ["a", "b"], "lora_weights": [0.5]}, "gen.loras", ("a", "b")),
    ],
)
def test_common_parameters_are_found_under_their_usual_names(params, name, value):
    made = clip(params={key: text for key, text in params.items() if text is not None}, prompt="sea")
    if value is not None:
        assert made.fields[name] == value


def test_redaction_takes_out_the_text_wherever_it_is():
    secret = "nobody must read this"
    made = clip(prompt=secret, params={"caption": secret}, about={"note": secret, "writer": "me"})
    gone = redacted(made.fields, frozenset({"prompt", "writer"}))
    assert gone >= {"gen.prompt", "gen.params.prompt", "gen.params.caption", "about.note", "about.writer"}
    assert "gen.negative_prompt" not in gone
    inside = clip(
        prompt='a "quoted" prömpt\nof two lines', params={"graph": {"6": {"text": 'a "quoted" prömpt\nof two lines'}}}
    )
    assert "gen.params.graph.6.text" in redacted(inside.fields, frozenset({"prompt"}))
    nested = clip(prompt='a "quoted" prömpt\nof two', params={"graph": [{"text": 'say: a "quoted" prömpt\nof two'}]})
    assert "gen.params.graph" in redacted(nested.fields, frozenset({"prompt"}))
    hidden = clip(prompt=secret, about={"note": secret}, redact=frozenset({"prompt"}))
    assert secret not in repr(dict(hidden.fields))
    assert hidden.redacted >= {"gen.prompt", "about.note"}
    groups = redacted(made.fields, frozenset({"gen.params"}))
    assert {"gen.params.seed", "gen.params.steps"} <= groups


def test_source_types_are_never_a_guess():
    assert clip().fields["gen.source_type"] == "trainedAlgorithmicMedia"
    made = clip()
    recipe = made.medium.recipe
    for generator, model, expected in (
        ("procedural.video", {}, "algorithmicMedia"),
        ("derive.video", {}, None),
        ("studio.tool", {}, None),
        (None, {}, None),
    ):
        other = type(recipe)(generator, "1", recipe.output, model=model)
        assert context._source_type(other) == expected


def test_text_of_values():
    from array import array
    from fractions import Fraction

    assert text_of(Fraction(24000, 1001)) == "24000/1001"
    assert text_of(Fraction(24)) == "24"
    assert text_of((1, "a", True)) == "1, a, true"
    assert text_of(array("d", [1.0, float("nan")])) == "2 values, 1 to 1"
    assert text_of(None) == ""
