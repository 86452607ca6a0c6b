"""Everything that may go, gone at once, comes back from what is left: compared with trying it out."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from regenstore.proof.fixpoint import Foundation, solve
from tests.conftest import examples


def founded(base, ways, weights=None, similar=frozenset()) -> Foundation[str]:
    return solve(base, ways, dict.fromkeys(ways, 1) if weights is None else weights, similar)


def test_a_chain_on_something_kept_may_all_go():
    found = founded("a", {"b": ["a"], "c": ["b"], "d": ["bc"]})
    assert (set(found.founded), found.kept) == (set("bcd"), {})


def test_what_needs_nothing_may_go():
    assert founded("", {"a": [""]}).founded == {"a": 0}


def test_without_something_that_is_nowhere_it_stays_and_says_so():
    found = founded("", {"b": ["xa"], "c": ["b"], "a": [""]})
    assert (set(found.founded), found.kept) == (set("ac"), {"b": "x"})


def test_one_of_two_that_need_each_other_stays_the_smaller():
    found = founded("", {"x": ["y"], "y": ["x"]}, {"x": 5, "y": 3})
    assert (set(found.founded), found.kept) == ({"x"}, {"y": None})


def test_what_is_made_from_such_a_pair_need_not_stay():
    found = founded("", {"x": ["y"], "y": ["x"], "z": ["x"]}, {"x": 5, "y": 3, "z": 1})
    assert (set(found.founded), found.kept) == (set("xz"), {"y": None})


def test_a_pair_that_is_not_here_is_lost_and_keeps_what_is_made_from_it():
    found = founded("", {"x": ["y"], "y": ["x"], "z": ["x"]}, {"z": 1})
    assert (found.founded, found.kept) == ({}, {"z": "x"})


def test_it_needs_itself():
    assert founded("", {"x": ["x"]}).kept == {"x": None}


def test_what_is_missing_in_between_can_be_made_on_the_way():
    assert set(founded("a", {"m": ["a"], "c": ["m"]}, {"c": 1}).founded) == set("mc")


def test_any_one_way_is_enough_and_the_possible_one_is_named():
    found = founded("a", {"c": ["x", "a"], "d": ["x", "y"]})
    assert (found.founded, set(found.kept)) == ({"c": 1}, {"d"})


def test_from_what_is_only_similar_nothing_can_be_made():
    found = founded("", {"s": [""], "c": ["s"]}, similar={"s"})
    assert (set(found.founded), found.kept) == ({"s"}, {"c": "s"})
    assert set(founded("s", {"c": ["s"]}, similar={"s"}).founded) == {"c"}


ITEMS = list(range(9))
WAYS = st.dictionaries(
    st.sampled_from(ITEMS), st.lists(st.frozensets(st.sampled_from(ITEMS), max_size=3), min_size=1, max_size=2)
)


@settings(max_examples=examples(600), deadline=None)
@given(WAYS, st.frozensets(st.sampled_from(ITEMS)), st.frozensets(st.sampled_from(ITEMS)), st.randoms())
def test_against_trying_it_out(ways, present, similar, random):
    """``present`` is in the store; what of it has a way is a candidate, the rest is kept."""
    base = {item for item in present if item not in ways}
    weights = {item: random.randrange(5) for item in present if item in ways}
    found = solve(base, ways, weights, similar)
    gone = {item for item in found.founded if item in present}
    left = set(present) - gone

    def obtainable(have: set[int]) -> set[int]:
        """All that can be had to the byte, by making whatever can be made, again and again."""
        while more := {
            item
            for item, choices in ways.items()
            if item not in have and item not in similar and any(set(needs) <= have for needs in choices)
        }:
            have = have | more
        return have

    had = obtainable(left)
    for item in gone:
        assert item in had or (item in similar and any(set(needs) <= had for needs in ways[item]))
        assert set(ways[item][found.founded[item]]) <= had
    assert set(found.kept) == weights.keys() - gone
    if not similar:  # nothing that was to be had before is lost
        assert obtainable(set(present)) <= had
        for item, without in found.kept.items():  # what stays for want of something could not go
            assert without is None or item not in obtainable(left - {item})
