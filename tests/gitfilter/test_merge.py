"""Merging recipes field by field: what a merge must never do, and what a conflict looks like."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from regenstore.errors import FormatError
from regenstore.gitfilter.merge_driver import merge_files
from regenstore.objects import toml
from regenstore.objects.attribution import one_text_of_sides
from regenstore.objects.hashing import hash_bytes
from regenstore.objects.ids import Digest
from regenstore.objects.merge import Merged, merge_recipes
from regenstore.objects.recipe import Input, Output, Recipe, Take
from tests.conftest import examples

TAKES = [Take(hash_bytes(name), len(name)) for name in (b"one", b"two!", b"three")]


def recipe(take: Take | None = None, **params: object) -> Recipe:
    return Recipe("g", "1", Output("image/png", take=take, seconds=2 if take else None), params=params)


BASE = recipe(TAKES[0], prompt="sea", seed=1, steps=20)


def changed(given: Recipe, take: Take | None = None, **params: object) -> Recipe:
    merged = {**given.params, **params}
    return replace(given, params={k: v for k, v in merged.items() if v is not None}).with_take(
        take, 3 if take else None
    )


def side(text: bytes, chosen: str) -> bytes:
    """A marked text with every conflict resolved for one side."""
    lines, state = [], "both"
    for line in text.splitlines(keepends=True):
        if line.startswith(b"<<<<<<< "):
            state = "ours"
        elif line == b"=======\n" and state == "ours":
            state = "theirs"
        elif line.startswith(b">>>>>>> "):
            state = "both"
        elif state in ("both", chosen):
            lines.append(line)
    return b"".join(lines)


def marked(text: bytes) -> list[str]:
    """The lines between markers."""
    found, inside = [], False
    for line in text.decode().splitlines():
        if line.startswith(("<<<<<<< ", ">>>>>>> ")):
            inside = line.startswith("<")
        elif inside and line != "=======":
            found.append(line)
    return found


# ------------------------------------------------------------------------------------------- properties

VALUES = st.one_of(
    st.integers(0, 2),
    st.sampled_from([0.0, -0.0, 1.0, True, False, "a", "b\nc\n", "b\nd\n", [1], [True], [1, {"x": 1}], {}]),
    st.sampled_from([1, 1.0]).map(lambda n: {"in": n}),
    st.sampled_from([UTC, timezone(timedelta(hours=1))]).map(
        lambda zone: datetime(2026, 1, 1, 12, tzinfo=UTC).astimezone(zone)
    ),
)
TABLES = st.dictionaries(st.sampled_from("abc"), VALUES | st.dictionaries(st.sampled_from("xy"), VALUES, max_size=2))
INPUTS = st.dictionaries(
    st.sampled_from(["plate", "mask"]),
    st.builds(
        lambda *given: Input(*given),
        st.sampled_from([t.digest for t in TAKES]),
        st.sampled_from([None, "a.png", "b.png"]),
    ),
)
OUTPUTS = st.builds(
    lambda *given: Output(*given),  # else what is left out is made up from its type
    st.sampled_from(["image/png", "image/jpeg"]),
    st.sampled_from(["main", "mask"]),
    st.sampled_from([None, *TAKES]),
    st.sampled_from([None, 2, 3.5]),
)
RECIPES = st.builds(
    Recipe,
    generator=st.sampled_from(["g", "h"]),
    version=st.sampled_from("12"),
    output=OUTPUTS,
    model=TABLES,
    params=TABLES,
    inputs=INPUTS,
    about=TABLES,
    extra=st.dictionaries(st.sampled_from(["later", "other"]), VALUES, max_size=2),
)
IMPORTED = st.builds(Recipe.of_imported, st.sampled_from(TAKES), st.sampled_from(["image/png", "image/jpeg"]), TABLES)


@st.composite
def edited(draw: st.DrawFn, base: Recipe) -> Recipe:
    """A side: some fields of another recipe, the others of the base."""
    other = draw(RECIPES)
    fields = draw(st.sets(st.sampled_from(["version", "model", "params", "inputs", "about", "extra", "output"])))
    return replace(base, **{name: getattr(other, name) for name in fields})


@st.composite
def histories(draw: st.DrawFn) -> tuple[Recipe | None, Recipe, Recipe]:
    if draw(st.booleans()):
        return draw(st.none() | IMPORTED), draw(IMPORTED), draw(IMPORTED)
    base = draw(RECIPES)
    return draw(st.sampled_from([base, None])), draw(edited(base)), draw(edited(base))


def without_take(given: Recipe) -> Recipe:
    return given.with_take(None, None)


@given(histories())
@settings(max_examples=examples(400), deadline=None)
def test_a_merge_is_the_same_from_both_sides(history):
    base, ours, theirs = history
    forth, back = merge_recipes(base, ours, theirs), merge_recipes(base, theirs, ours)
    assert set(forth.conflicts) == set(back.conflicts)
    if forth.conflicts:
        assert side(forth.text, "ours") == side(back.text, "theirs")
        assert side(forth.text, "theirs") == side(back.text, "ours")
    else:
        assert forth.text == back.text or seconds_differ(forth, back)


def seconds_differ(a: Merged, b: Merged) -> bool:
    """Both sides ran the same recipe to the same bytes, and it cost them differently: either will do."""
    first, second = (toml.decode(m.text) for m in (a, b))
    return replace(first, output=first.output._replace(seconds=None)) == replace(
        second, output=second.output._replace(seconds=None)
    )


@given(histories())
@settings(max_examples=examples(200), deadline=None)
def test_an_unchanged_side_gives_way(history):
    base, ours, _ = history
    assume(base is not None)
    for merged in (merge_recipes(base, ours, base), merge_recipes(base, base, ours)):
        assert not merged.conflicts
        found = toml.decode(merged.text)
        if ours.output.take is not None or ours.key != base.key:
            assert merged.text == toml.encode(ours)
        else:  # a take that one side dropped without another reason still is the take
            assert without_take(found) == without_take(ours)


@given(histories())
@settings(max_examples=examples(100), deadline=None)
def test_equal_sides_merge_to_themselves(history):
    base, ours, _ = history
    assert merge_recipes(base, ours, ours) == Merged(toml.encode(ours), ())


@given(histories())
@settings(max_examples=examples(400), deadline=None)
def test_a_take_is_kept_for_its_own_key_only(history):
    base, ours, theirs = history
    merged = merge_recipes(base, ours, theirs)
    for chosen in ("ours", "theirs"):
        found = toml.decode(side(merged.text, chosen))
        assert toml.encode(found) == side(merged.text, chosen)
        if found.imported:
            assert found.output.take in (ours.output.take, theirs.output.take)
            continue
        made = [s.output.take for s in (ours, theirs) if s.key == found.key and s.output.name == found.output.name]
        assert found.output.take in made if made else found.wanted
        if any(made):
            assert not found.wanted


@given(histories())
@settings(max_examples=examples(300), deadline=None)
def test_conflicts_are_told_and_both_values_are_there(history):
    base, ours, theirs = history
    merged = merge_recipes(base, ours, theirs)
    assert bool(merged.conflicts) == (b"\n<<<<<<< ours\n" in merged.text)
    if not merged.conflicts:
        toml.decode(merged.text)
        return
    with pytest.raises(FormatError) as caught:
        toml.decode(merged.text)
    assert caught.value.kind == "conflict-markers"
    assert side(merged.text, "ours") != side(merged.text, "theirs")


@given(histories())
@settings(max_examples=examples(200), deadline=None)
def test_no_change_of_one_side_is_lost(history):
    """Every field that one side alone changed has that side's value."""
    base, ours, theirs = history
    assume(base is not None and not base.imported)
    found = toml.decode(side(merge_recipes(base, ours, theirs).text, "ours"))
    for table in ("params", "model", "about"):
        before, mine, other = (getattr(r, table) for r in (base, ours, theirs))
        for name in {*before, *mine, *other}:
            was, is_mine, is_theirs = (text(t, name) for t in (before, mine, other))
            if was == is_mine:
                assert text(getattr(found, table), name) == is_theirs
            elif was == is_theirs:
                assert text(getattr(found, table), name) == is_mine


def text(table: Mapping[str, object], name: str) -> str | None:
    return toml._inline(table[name]) if name in table else None


# ------------------------------------------------------------------------------------------- examples


def test_changes_of_different_fields_are_both_kept():
    merged = merge_recipes(BASE, changed(BASE, TAKES[1], seed=2), changed(BASE, TAKES[2], steps=30))
    found = toml.decode(merged.text)
    assert merged.conflicts == ()
    assert found.params == {"prompt": "sea", "seed": 2, "steps": 30}
    assert found.wanted
    assert found.output.seconds is None


def test_a_merge_that_equals_one_side_has_its_take():
    ours = changed(BASE, TAKES[1], seed=2)
    theirs = replace(BASE, about={"rating": 5})
    found = toml.decode(merge_recipes(BASE, ours, theirs).text)
    assert found.output.take == TAKES[1]
    assert found.about == {"rating": 5}


def test_markers_are_around_the_field_in_conflict_only():
    ours, theirs = changed(BASE, TAKES[1], seed=2, steps=25), changed(BASE, TAKES[2], seed=3)
    merged = merge_recipes(BASE, ours, theirs)
    assert merged.conflicts == ("params.seed",)
    # steps merges cleanly; resolved for ours it is ours to the byte, and so has ours's take
    assert marked(merged.text)[:2] == ["seed = 2", "seed = 3"]
    outside = side(side(merged.text, "none"), "none").decode()
    assert "steps = 25" in outside
    assert 'prompt = "sea"' in outside
    assert toml.decode(side(merged.text, "ours")) == ours
    assert toml.decode(side(merged.text, "theirs")).wanted


def test_a_conflict_in_a_long_prompt_marks_its_lines_only():
    words = [f"line {n}" for n in range(20)]

    def prompt(last: str) -> str:
        return "\n".join([*words, last, *words]) + "\n"

    base, ours, theirs = (recipe(None, prompt=prompt(last)) for last in ("sea", "calm sea", "rough sea"))
    merged = merge_recipes(base, ours, theirs)
    assert merged.conflicts == ("params.prompt",)
    assert marked(merged.text) == ["calm sea", "rough sea"]


def test_removing_and_changing_a_field_is_a_conflict():
    merged = merge_recipes(BASE, changed(BASE, seed=None), changed(BASE, seed=5))
    assert merged.conflicts == ("params.seed",)
    assert marked(merged.text) == ["seed = 5"]


def test_removing_on_both_sides_is_none():
    gone = changed(BASE, TAKES[1], seed=None)
    assert merge_recipes(BASE, gone, gone).text == toml.encode(gone)


@pytest.mark.parametrize(("before", "after"), [(1, True), (1, 1.0), (0.0, -0.0), ([1], [True]), ({"a": 1}, {"a": 1.0})])
def test_values_that_only_look_equal_are_changes(before, after):
    base, ours = recipe(None, x=before, y=1), recipe(None, x=before, y=1)
    theirs = recipe(None, x=after, y=1)
    merged = toml.decode(merge_recipes(base, ours, theirs).text)
    assert repr(merged.params["x"]) == repr(after)
    merged = toml.decode(merge_recipes(base, recipe(None, x=before, y=2), theirs).text)
    assert (repr(merged.params["x"]), merged.params["y"]) == (repr(after), 2)


def test_two_takes_of_one_recipe_are_a_conflict_of_the_output():
    """Both sides rendered the same recipe anew, on machines that gave different bytes."""
    ours, theirs = (replace(BASE, output=BASE.output._replace(take=take)) for take in TAKES[1:])
    merged = merge_recipes(BASE, ours, theirs)
    assert merged.conflicts == ("output.digest",)
    assert toml.decode(side(merged.text, "ours")) == ours
    assert toml.decode(side(merged.text, "theirs")) == theirs
    assert merge_recipes(BASE, ours, BASE).text == toml.encode(ours)


def test_imported_media_merge_by_their_bytes():
    base, ours, theirs = (Recipe.of_imported(take, "image/png") for take in TAKES)
    assert merge_recipes(base, ours, base).text == toml.encode(ours)
    merged = merge_recipes(base, ours, theirs)
    assert merged.conflicts == ("take",)
    for chosen, expected in (("ours", ours), ("theirs", theirs)):
        assert toml.decode(side(merged.text, chosen)) == expected
    noted = replace(ours, about={"note": "x"})
    assert toml.decode(merge_recipes(base, noted, base).text) == noted


def test_both_added_the_path():
    assert merge_recipes(None, BASE, BASE).text == toml.encode(BASE)
    merged = merge_recipes(None, BASE, changed(BASE, TAKES[1], seed=9))
    assert merged.conflicts == ("params.seed",)
    assert toml.decode(side(merged.text, "ours")) == BASE


def test_the_markers_are_as_long_as_git_asks():
    merged = merge_recipes(BASE, changed(BASE, seed=2), changed(BASE, seed=3), marker=11, names=("HEAD", "topic"))
    lines = merged.text.decode().splitlines()
    assert "<" * 11 + " HEAD" in lines
    assert "=" * 11 in lines
    assert ">" * 11 + " topic" in lines


# ------------------------------------------------------------------------------------------- the driver


@pytest.fixture
def files(tmp_path, monkeypatch):
    def write(*contents: bytes | Recipe) -> list[str]:
        paths = []
        for name, content in zip(("base", "ours", "theirs"), contents):
            (tmp_path / name).write_bytes(content if isinstance(content, bytes) else toml.encode(content))
            paths.append(str(tmp_path / name))
        return paths

    monkeypatch.chdir(tmp_path)
    return write


def test_the_driver_writes_the_merge_into_ours(files):
    base, ours, theirs = files(BASE, changed(BASE, seed=2), changed(BASE, steps=30))
    assert merge_files(base, ours, theirs, 7) is True
    with open(ours, "rb") as file:
        assert toml.decode(file.read()).params == {"prompt": "sea", "seed": 2, "steps": 30}


def test_the_driver_tells_of_conflicts(files):
    base, ours, theirs = files(BASE, changed(BASE, seed=2), changed(BASE, seed=3))
    assert merge_files(base, ours, theirs, 7) is False
    with open(ours, "rb") as file:
        assert b"<<<<<<< ours\nseed = 2\n=======\nseed = 3\n>>>>>>> theirs\n" in file.read()


def test_an_empty_base_is_no_base(files):
    base, ours, theirs = files(b"", BASE, replace(BASE, about={"n": 1}))
    assert merge_files(base, ours, theirs, 7) is True


@pytest.mark.parametrize(
    ("contents", "clean"),
    [
        ((b"a\nb\nc\n", b"a\nb\nC\n", b"A\nb\nc\n"), True),
        ((b"a\n", b"b\n", b"c\n"), False),
        ((BASE, BASE, b"<<<<<<< x\n" + toml.encode(BASE)), True),
        ((BASE, changed(BASE, seed=2), b"regenstore = 9\n"), False),
        ((BASE, changed(BASE, seed=2), Recipe.of_imported(TAKES[1], "image/png")), False),
        ((b"\x89PNG\0\0", b"\x89PNG\0\1", b"\x89PNG\0\2"), False),
    ],
    ids=range(6),
)
def test_anything_else_is_gits_own_merge(files, contents, clean):
    base, ours, theirs = files(*contents)
    assert merge_files(base, ours, theirs, 7) is clean


def test_the_take_and_its_key_are_one_unit() -> None:
    one, other = Take(Digest(b"\1" * 32), 5), Take(Digest(b"\2" * 32), 5)
    base = Recipe("g", "1", Output("image/png"), params={"seed": 1, "steps": 1}).with_take(one, 2)
    ours = replace(base, params={"seed": 2, "steps": 1}).with_take(one, 2)
    theirs = replace(base, params={"seed": 3, "steps": 1}).with_take(other, 2)
    text = merge_recipes(base, ours, theirs).text.decode()
    hunk = text[text.rindex("<<<<<<<") :].split("=======")
    assert [part.count("digest = ") == part.count("key = ") == 1 for part in hunk] == [True] * 2
    # Somebody changed the text of one side; the other side did nothing: the outdated take stays as it was told.
    edited = toml.decode(toml.encode(base).replace(b"seed = 1", b"seed = 9"))
    assert toml.decode(merge_recipes(base, edited, base).text) == edited
    # Made for the merged parameters by one side: that take, not the outdated one.
    made = edited.with_take(other, 2)
    assert toml.decode(merge_recipes(base, edited, made).text) == made
    assert toml.decode(merge_recipes(base, made, edited).text) == made
    steps = replace(base, params={"seed": 1, "steps": 5}).with_take(other, 2)
    assert toml.decode(merge_recipes(base, edited, steps).text).output.named is None


def test_a_conflict_resolved_by_hand_tells_from_which_side_its_take_comes() -> None:
    one, other = Take(Digest(b"\1" * 32), 5), Take(Digest(b"\2" * 32), 6)
    ours = Recipe("g", "1", Output("image/png"), params={"seed": 2}).with_take(one, 2)
    theirs = Recipe("g", "1", Output("image/png"), params={"seed": 3}).with_take(other, 2)
    sides = [toml.encode(ours), toml.encode(theirs)]
    keyless = [b"\n".join(line for line in side.split(b"\n") if not line.startswith(b"key")) for side in sides]
    for known in (sides, keyless):
        assert one_text_of_sides(keyless[0], known) == known[0]
        assert one_text_of_sides(keyless[1], known) == known[1]
        mixed = toml.decode(one_text_of_sides(keyless[0].replace(b"seed = 2", b"seed = 3"), known))
        assert (mixed.output.outdated, mixed.output.take) == (one, None)
        new = toml.decode(one_text_of_sides(keyless[0].replace(b"01", b"07"), known))
        assert new.output.take is not None and new.output.key is None
