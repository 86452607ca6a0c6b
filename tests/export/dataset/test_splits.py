"""Groups, shares, strata, and that nothing moves."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from regenstore.errors import InvalidInput
from regenstore.export.dataset.splits import Division, Member, Rules, divide, parse_group_by, parse_shares

RULES = Rules(parse_shares("80/10/10"), method="balanced")


def singles(count: int, first: int = 0, stratum: str = "") -> list[Member]:
    return [Member(f"k{n:05}", (f"t{n:05}",), stratum) for n in range(first, first + count)]


def counts(done: Division) -> dict[str, int]:
    return dict(Counter(done.split.values()))


def test_shares_come_out_exactly_with_single_samples():
    assert counts(divide(singles(100), RULES)) == {"train": 80, "validation": 10, "test": 10}
    assert counts(divide(singles(10), RULES)) == {"train": 8, "validation": 1, "test": 1}


def test_a_split_of_no_share_gets_nothing():
    done = divide(singles(50), Rules(parse_shares("train=90,test=10"), method="balanced"))
    assert counts(done) == {"train": 45, "test": 5}


@settings(suppress_health_check=[HealthCheck.too_slow])  # of a busy machine
@given(st.lists(st.lists(st.integers(0, 12), min_size=1, max_size=3), min_size=1, max_size=30), st.integers(0, 9))
def test_no_group_is_divided_and_the_order_does_not_matter(shared, seed):
    members = [Member(f"k{n}", (f"own{n}", *(f"shared{t}" for t in tokens))) for n, tokens in enumerate(shared)]
    done = divide(members, RULES)
    for one in members:
        for other in members:
            if {*one.tokens} & {*other.tokens}:
                assert done.split[one.key] == done.split[other.key]
                assert done.group[one.key] == done.group[other.key]
    mixed = list(members)
    random.Random(seed).shuffle(mixed)
    again = divide(mixed, RULES)
    assert (again.split, again.group) == (done.split, done.group)


def test_strata_have_the_shares_too():
    members = singles(60, 0, "ext") + singles(40, 60, "int")
    done = divide(members, RULES)
    for stratum, size in (("ext", 60), ("int", 40)):
        found = Counter(done.split[m.key] for m in members if m.stratum == stratum)
        assert found == {"train": size * 0.8, "validation": size * 0.1, "test": size * 0.1}


@given(st.lists(st.integers(1, 30), min_size=1, max_size=6))
def test_a_growing_dataset_moves_nothing(steps):
    ledger: dict[str, str] = {}
    before: dict[str, str] = {}
    total = 0
    for step in steps:
        total += step
        done = divide(singles(total), RULES, ledger)
        assert {key: done.split[key] for key in before} == before
        ledger, before = done.ledger, done.split
    if total >= 40:
        assert abs(counts(done)["train"] / total - 0.8) < 0.06


def test_a_group_that_shrank_or_left_is_still_pinned():
    pair = [Member("a", ("a", "scene")), Member("b", ("b", "scene"))]
    first = divide([*pair, *singles(18)], RULES)
    later = divide([Member("c", ("c", "scene")), *singles(18)], RULES, first.ledger)
    assert later.split["c"] == first.split["a"]


def test_explicit_assignments_take_the_whole_group():
    pair = [Member("a", ("a", "scene")), Member("b", ("b", "scene"))]
    done = divide([*pair, *singles(18)], RULES, explicit={"a": "test"})
    assert done.split["a"] == done.split["b"] == "test"
    with pytest.raises(InvalidInput, match="one group into test and train"):
        divide(pair, RULES, explicit={"a": "test", "b": "train"})


@pytest.mark.parametrize(("rule", "expected"), [("exclude", None), ("train", "train"), ("error", InvalidInput)])
def test_a_new_sample_that_ties_two_splits_together(rule, expected):
    ledger = {"one": "train", "two": "test", "a": "train", "b": "test"}
    members = [Member("A", ("a", "one")), Member("B", ("b", "two")), Member("new", ("new", "one", "two"))]
    rules = Rules(RULES.shares, on_leak=rule)
    if expected is InvalidInput:
        with pytest.raises(InvalidInput, match=r"(train|test) and"):
            divide(members, rules, ledger)
        return
    done = divide(members, rules, ledger)
    assert (done.split["A"], done.split["B"]) == ("train", "test")
    assert done.split.get("new") == expected
    assert ("new" in done.left_out) == (expected is None)
    assert done.notes


def test_by_hash_needs_no_ledger():
    rules = Rules(RULES.shares, method="hash")
    whole = divide(singles(400), rules)
    part = divide(singles(100), rules)
    assert all(whole.split[key] == split for key, split in part.split.items())
    assert 0.7 < counts(whole)["train"] / 400 < 0.9


def test_a_split_does_not_depend_on_what_else_is_there():
    """Groups by a scene, a source and its derivatives, each with some of their samples filtered out."""
    rules = Rules(RULES.shares)
    members = [
        Member(f"k{n}m{m}", (f"own{n}-{m}", f"source{n}"), anchor=(1, f"source{n}"))
        for n in range(60)
        for m in range(3)
    ]
    members += [Member(f"s{n}", (f"s{n}", "scene"), anchor=(0, "scene")) for n in range(3)]
    whole = divide(members, rules)
    for seed in range(5):
        some = random.Random(seed).sample(members, 70)
        part = divide(some, rules).split
        assert part.items() <= whole.split.items()
    larger = divide([*members, *singles(100)], rules).split
    assert whole.split.items() <= larger.items()
    other = divide(members, Rules(RULES.shares, salt="another")).split
    assert other != whole.split
    with_less = divide(members, Rules(parse_shares("75/15/10"))).split
    assert sum(with_less[key] != split for key, split in whole.split.items()) < len(members) * 0.15


def test_a_group_too_large_for_the_shares_is_told():
    big = [Member(f"b{n}", (f"b{n}", "all")) for n in range(9)]
    assert "largest group has 9 of 10" in divide([*big, *singles(1)], RULES).notes[0]


@pytest.mark.parametrize("text", ["", "train", "train=x", "train=-1,test=2", "holdout=10,train=90", "0/0/0", "1/2/3/4"])
def test_shares_that_are_none(text):
    with pytest.raises(InvalidInput, match="--split"):
        parse_shares(text)


def test_group_keys():
    assert parse_group_by("scene, character") == ("scene", "character")
    assert parse_group_by("none") == ()
    with pytest.raises(InvalidInput, match="group-by colour"):
        parse_group_by("colour")
