"""The golden vectors of `keys.toml`, against the independent implementation and against the package."""

import tomllib
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regenstore.objects import canonical, toml
from tests.golden import independent

VECTORS = tomllib.loads((Path(__file__).parent / "keys.toml").read_text(encoding="utf-8"))["vector"]
BY_NAME = {vector["name"]: vector for vector in VECTORS}
KEYED = [vector for vector in VECTORS if vector.get("key")]
FIELDS = {"name", "recipe", "canonical_text", "material", "key"}
RELATIONS = {"same_text_as", "same_key_as", "different_key_from"}


def each(vectors):
    return pytest.mark.parametrize("vector", [pytest.param(vector, id=vector["name"]) for vector in vectors])


def table_of(vector) -> dict:
    return tomllib.loads(vector["recipe"].removeprefix("\ufeff"))


def recipe_of(vector):
    return toml.decode(vector["recipe"].encode())


# The file itself.


def test_there_are_enough_vectors_with_unique_names():
    assert len(VECTORS) >= 40
    assert len(BY_NAME) == len(VECTORS)


def test_vectors_have_known_fields_and_refer_to_vectors():
    for vector in VECTORS:
        assert vector.keys() <= FIELDS | RELATIONS
        assert bool(vector.get("key")) == bool(vector.get("material"))
        assert vector.get("canonical_text", True) != ("same_text_as" in vector), vector["name"]
        for field in ("same_text_as", "same_key_as"):
            assert vector.get(field, vector["name"]) in BY_NAME
        assert BY_NAME.keys() >= set(vector.get("different_key_from", ()))


def test_keys_are_equal_exactly_where_the_material_is():
    assert len({vector["key"] for vector in KEYED}) == len({vector["material"] for vector in KEYED})


@each([vector for vector in VECTORS if "same_key_as" in vector])
def test_same_key(vector):
    assert vector["key"] == BY_NAME[vector["same_key_as"]]["key"]


@each([vector for vector in VECTORS if "different_key_from" in vector])
def test_different_key(vector):
    assert vector["key"] not in {BY_NAME[name]["key"] for name in vector["different_key_from"]}


# The independent implementation.


@each(KEYED)
def test_independent_key_material(vector):
    assert independent.key_material(table_of(vector)).hex() == vector["material"]


@each(VECTORS)
def test_independent_recipe_key(vector):
    assert independent.recipe_key(table_of(vector)) == (vector.get("key") or None)


# The package.


@each(KEYED)
def test_key_material(vector):
    assert canonical.key_material(recipe_of(vector)).hex() == vector["material"]


@each(VECTORS)
def test_recipe_key(vector):
    key = canonical.recipe_key(recipe_of(vector))
    assert (key if key is None else str(key)) == (vector.get("key") or None)


@each(VECTORS)
def test_text(vector):
    one_text = BY_NAME[vector.get("same_text_as", vector["name"])]["recipe"]
    assert toml.encode(recipe_of(vector)).decode() == one_text


# Every value that TOML can hold, encoded by both.

OFFSETS = st.integers(-23 * 60 - 59, 23 * 60 + 59).map(lambda minutes: timezone(timedelta(minutes=minutes)))
ZONES = st.none() | OFFSETS
MICROSECONDS = st.sampled_from([0, 1, 10, 500_000, 999_999]) | st.integers(0, 999_999)
TIMES = st.builds(lambda at, micro: at.replace(microsecond=micro), st.times(), MICROSECONDS)
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
INTEGRAL_FLOATS = st.integers(-(2**65), 2**65).map(float)
FLOATS = st.floats(allow_nan=False, allow_infinity=False) | INTEGRAL_FLOATS
SCALARS = st.one_of(
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    FLOATS,
    TEXT,
    st.builds(datetime.combine, st.dates(), TIMES, ZONES),
    st.dates(),
    TIMES,
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(TEXT, inner, max_size=6),
    max_leaves=30,
)


@given(VALUES)
def test_both_implementations_encode_any_value_alike(value):
    assert canonical.encode_value(value) == independent.canonical(value)


NO_ENCODING = [float("nan"), float("inf"), float("-inf"), "\ud800", ["a\udfff"], {"\ud800": 1}]


@pytest.mark.parametrize("value", NO_ENCODING, ids=ascii)
def test_what_has_no_encoding_is_refused(value):
    with pytest.raises(ValueError):
        independent.canonical(value)
    with pytest.raises(Exception):  # noqa: B017 - which error it is belongs to the package's own tests
        canonical.encode_value(value)
