"""Parameter schemas: what is checked, how text is read, and which name is suggested."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from regenstore.errors import InvalidInput, RegenstoreError
from regenstore.generators.schema import INT64, Param, ParamSchema
from regenstore.objects import toml
from regenstore.objects.recipe import Output, Recipe

SCHEMA = ParamSchema(
    {
        "prompt": Param(type="string", max_length=20),
        "seed": Param(type="integer", default=0),
        "guidance": Param(type="number", default=7, minimum=0, maximum=30),
        "tile": Param(type="boolean", default=False),
        "style": Param(type="string", default="auto", choices=("auto", "sea")),
        "sizes": Param(type="array", items="integer", default=[1, 2], minimum=0, max_length=4),
        "width": Param(type="integer", optional=True, minimum=16),
    }
)


def refused(params: dict[str, object]) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        SCHEMA.check(params)
    return caught.value


def test_defaults_are_filled_in_and_absent_optional_ones_left_out():
    assert SCHEMA.check({"prompt": "sea"}) == {
        "prompt": "sea",
        "seed": 0,
        "guidance": 7,
        "tile": False,
        "style": "auto",
        "sizes": [1, 2],
    }
    assert SCHEMA.check({"prompt": "", "width": 20.0})["width"] == 20


def test_defaults_come_in_their_type():
    schema = ParamSchema(
        {"seed": Param(type="integer", default="99999999999999999999"), "n": Param(type="integer", default=3.0)}
    )
    checked = schema.check({})
    assert checked == {"seed": 99999999999999999999, "n": 3}
    assert [type(v) for v in checked.values()] == [int, int]


@pytest.mark.parametrize(
    ("params", "kind", "words"),
    [
        ({}, "missing-parameter", "'prompt' is required"),
        ({"prompt": 3}, "bad-parameter", "'prompt': expected text, found 3"),
        ({"prompt": "x" * 21}, "bad-parameter", "at most 20 characters"),
        ({"prompt": "", "promt": ""}, "unknown-parameter", "did you mean 'prompt'?"),
        ({"prompt": "", "guidence": 1}, "unknown-parameter", "did you mean 'guidance'?"),
        ({"prompt": "", "zzz": 1}, "unknown-parameter", "known: prompt, seed"),
        ({"prompt": "", "seed": True}, "bad-parameter", "a whole number, found True"),
        ({"prompt": "", "seed": 1.5}, "bad-parameter", "a whole number, found 1.5"),
        ({"prompt": "", "seed": "1.5"}, "bad-parameter", "a whole number"),
        ({"prompt": "", "seed": "1_000"}, "bad-parameter", "a whole number"),
        ({"prompt": "", "seed": " 1"}, "bad-parameter", "a whole number"),
        ({"prompt": "", "seed": "\u0663"}, "bad-parameter", "a whole number"),
        ({"prompt": "", "seed": "9" * 101}, "bad-parameter", "a whole number"),
        ({"prompt": "", "seed": float("inf")}, "bad-parameter", "finite"),
        ({"prompt": "", "guidance": -0.1}, "bad-parameter", "0 or more, found -0.1"),
        ({"prompt": "", "guidance": 31}, "bad-parameter", "30 or less"),
        ({"prompt": "", "guidance": "7"}, "bad-parameter", "a number, found '7'"),
        ({"prompt": "", "tile": 1}, "bad-parameter", "true or false"),
        ({"prompt": "", "style": "Sea"}, "bad-parameter", "one of auto, sea"),
        ({"prompt": "", "sizes": 3}, "bad-parameter", "a list of integers"),
        ({"prompt": "", "sizes": [1, "x"]}, "bad-parameter", "'sizes[1]': expected a whole number"),
        ({"prompt": "", "sizes": [1, -1]}, "bad-parameter", "'sizes[1]': expected 0 or more"),
        ({"prompt": "", "sizes": [1] * 5}, "bad-parameter", "at most 4 items"),
        ({"prompt": "", "width": 15}, "bad-parameter", "16 or more"),
    ],
)
def test_what_is_refused_and_how_it_is_said(params, kind, words):
    error = refused(params)
    assert error.kind == kind
    assert words in error.message


def test_long_values_are_not_repeated_whole():
    assert len(refused({"prompt": "", "seed": "x" * 10_000}).message) < 300


def test_a_list_with_choices_is_checked_item_by_item():
    schema = ParamSchema({"layers": Param(type="array", choices=("fg", "bg"), default=["fg"])})
    assert schema.check({"layers": ["bg", "fg"]}) == {"layers": ["bg", "fg"]}
    with pytest.raises(InvalidInput, match=r"layers\[1\]"):
        schema.check({"layers": ["bg", "sky"]})


@pytest.mark.parametrize("seed", [2**63 - 1, -(2**63), "18446744073709551615", "-99999999999999999999", "42"])
def test_seeds_of_any_size_arrive_as_integers(seed):
    assert SCHEMA.check({"prompt": "", "seed": seed})["seed"] == int(seed)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("prompt", "42", "42"),
        ("prompt", "", ""),
        ("seed", "42", 42),
        ("seed", " 42", 42),
        ("seed", "-7", -7),
        ("seed", "9223372036854775807", 2**63 - 1),
        ("seed", "9223372036854775808", "9223372036854775808"),
        ("seed", "+18446744073709551615", "18446744073709551615"),
        ("guidance", "3", 3),
        ("guidance", "3.5", 3.5),
        ("guidance", "1e1", 10.0),
        ("tile", "Yes", True),
        ("tile", "off", False),
        ("sizes", "1, 2,3", [1, 2, 3]),
        ("sizes", "", []),
        ("sizes", "18446744073709551615", ["18446744073709551615"]),
    ],
)
def test_typed_text_becomes_what_a_recipe_holds(name, text, value):
    parsed = SCHEMA.lookup(name).parse(name, text)
    assert parsed == value
    assert type(parsed) is type(value)
    toml.encode(Recipe("g", "1", Output("x/y"), params={name: parsed}))
    SCHEMA.check({"prompt": "", name: parsed})


@given(st.sampled_from(sorted(SCHEMA.params)), st.text(max_size=30) | st.integers().map(str) | st.floats().map(repr))
def test_any_text_is_read_or_refused(name, text):
    param = SCHEMA.lookup(name)
    try:
        parsed = param.parse(name, text)
    except InvalidInput as error:
        assert error.kind == "bad-parameter"
        return
    assert SCHEMA.check({"prompt": "", name: parsed})[name] is not None


@given(st.floats() | st.integers() | st.text(max_size=5) | st.booleans() | st.none() | st.lists(st.integers()))
def test_any_value_is_checked_or_refused(value):
    for name in SCHEMA.params:
        try:
            checked = SCHEMA.lookup(name).check(name, value)
        except RegenstoreError:
            continue
        assert SCHEMA.lookup(name).check(name, checked) == checked


@given(st.integers(-(2**70), 2**70))
def test_whole_numbers_survive_text_and_recipe(number):
    param = SCHEMA.lookup("seed")
    held = param.parse("seed", str(number))
    assert isinstance(held, str) == (number not in INT64)
    assert param.check("seed", held) == number


def test_large_numbers_for_a_float_are_floats():
    wide = Param(type="number")
    held = wide.parse("x", "1" + "0" * 30)
    assert (held, type(held)) == (1e30, float)
    assert wide.check("x", held) == 1e30


@pytest.mark.parametrize(
    "fields",
    [
        {"type": "integer", "default": "many"},
        {"type": "integer", "default": 5, "maximum": 4},
        {"type": "string", "default": "a", "choices": ("b",)},
        {"type": "picture"},
        {"type": "string", "colour": "red"},
        {},
    ],
)
def test_a_schema_that_contradicts_itself_is_refused(fields):
    with pytest.raises(ValidationError):
        Param.model_validate(fields)
