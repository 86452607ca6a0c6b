"""The simulator of benchmarks/eviction is honest: against results by hand, and against every possible policy."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import chain, combinations

import pytest

from benchmarks.eviction.bounds import offline_greedy, upper_bound
from benchmarks.eviction.contenders import CONTENDERS, Contender, Lfu, Lru, S3Fifo, play, seconds_of_requests
from benchmarks.eviction.traces import TRACES, Trace


def trace_of(
    requests: str, sizes: dict[str, int], seconds: dict[str, float], inputs: dict[str, str] | None = None
) -> Trace:
    names = sorted(sizes)
    trace = Trace("tiny", [names.index(one) for one in requests])
    for name in names:
        made_from = tuple(names.index(one) for one in (inputs or {}).get(name, ""))
        trace.add(sizes[name], seconds[name], made_from)
    return trace


UNIT = dict.fromkeys("abcd", 1)
SECONDS = {"a": 1.0, "b": 10.0, "c": 100.0, "d": 1000.0}


@pytest.mark.parametrize(
    ("build", "requests", "spent"),
    [
        # Two fit. a b: made. a: hit. c: b goes. b: a goes. a: c goes.
        (Lru, "abacba", 1 + 10 + 0 + 100 + 10 + 1),
        # The new ones are rarest of all, and go at once.
        (Lfu, "aabbcdab", 1 + 10 + 100 + 1000),
        (Lru, "aabbcdab", 1 + 10 + 100 + 1000 + 1 + 10),
    ],
)
def test_by_hand(build, requests, spent):
    trace = trace_of(requests, UNIT, SECONDS)
    assert play(trace, build(trace, 2)) == spent


def test_s3_fifo_by_hand():
    """``a`` was used twice while in the small queue, so it outlives the scan of b, c, d."""
    trace = trace_of("aaabcda", UNIT, SECONDS)
    assert play(trace, S3Fifo(trace, 2)) == 1 + 10 + 100 + 1000
    assert play(trace, Lru(trace, 2)) == 1 + 10 + 100 + 1000 + 1


def test_a_lost_input_is_made_again_first():
    trace = trace_of("bcdb", UNIT, SECONDS, {"b": "a"})
    assert play(trace, Lru(trace, 2)) == (1 + 10) + 100 + 1000 + (1 + 10)
    assert play(trace, Lru(trace, 4)) == 1 + 10 + 100 + 1000


def test_the_bound_by_hand():
    """One fits. Holding b over its reuse takes two of the four slots; a's take the two around, four in all."""
    trace = trace_of("abab", {"a": 1, "b": 1}, {"a": 1.0, "b": 10.0})
    assert upper_bound(trace, 1) == 11.0
    assert offline_greedy(trace, 1) == 10.0
    assert upper_bound(trace_of("abab", {"a": 2, "b": 2}, {"a": 1.0, "b": 10.0}), 1) == 0.0


def test_in_the_bound_an_object_is_at_hand_when_something_was_made_from_it():
    """Making b takes an a: holding that a for one request saves the next one."""
    trace = trace_of("acccba", UNIT, SECONDS, {"b": "a"})
    assert upper_bound(trace, 1) == 100 + 100 + 1


def subsets(items: frozenset[int]) -> Iterator[frozenset[int]]:
    ordered = sorted(items)
    return map(frozenset, chain.from_iterable(combinations(ordered, count) for count in range(len(ordered) + 1)))


def least_spent(trace: Trace, capacity: int) -> float:
    """Of every way to keep things, the least seconds."""
    states: dict[frozenset[int], float] = {frozenset(): 0.0}
    for item in trace.requests:
        following: dict[frozenset[int], float] = {}
        for held, spent in states.items():
            at_hand, todo = set(held), [item]
            while todo:
                needed = todo.pop()
                if needed not in at_hand:
                    at_hand.add(needed)
                    spent += trace.seconds[needed]
                    todo += trace.inputs[needed]
            for kept in subsets(frozenset(at_hand)):
                if sum(trace.sizes[one] for one in kept) <= capacity:
                    following[kept] = min(spent, following.get(kept, spent))
        states = following
    return min(states.values())


@pytest.mark.parametrize("seed", range(40))
def test_between_the_bound_and_every_contender_lies_the_best_possible(seed):
    draw = random.Random(seed)
    trace = Trace("tiny")
    for item in range(5):
        made_from = tuple(draw.sample(range(item), draw.randrange(min(item, 2) + 1))) if seed % 2 else ()
        trace.add(draw.randrange(1, 6), float(draw.randrange(1, 30)), made_from)
    trace.requests = [draw.randrange(5) for _ in range(12)]
    capacity = draw.randrange(1, 12)
    asked = seconds_of_requests(trace)
    best = asked - least_spent(trace, capacity)
    bound = upper_bound(trace, capacity)
    assert bound >= best - 1e-9
    if not any(trace.inputs):
        assert best >= offline_greedy(trace, capacity) - 1e-9
    for name, build in CONTENDERS.items():
        contender = build(trace, capacity)
        _watch(contender)
        assert asked - play(trace, contender) <= best + 1e-9, name


def _watch(contender: Contender) -> None:
    """Nobody gains by holding more than there is room for, or by miscounting it."""
    trim = contender.trim

    def watched(step: int) -> None:
        trim(step)
        assert sum(contender.trace.sizes[item] for item in contender.held) == contender.bytes <= contender.capacity

    contender.trim = watched


@pytest.mark.parametrize("name", TRACES)
def test_traces_are_reproducible_and_complete(name):
    trace = TRACES[name](5, 2000)
    assert trace == TRACES[name](5, 2000)
    assert trace != TRACES[name](6, 2000)
    assert len(trace.requests) == 2000
    assert [step for step, _, _ in trace.standings] == sorted(step for step, _, _ in trace.standings)
    assert all(needed < item for item, made_from in enumerate(trace.inputs) for needed in made_from)
    assert any(trace.inputs) == (name == "lineage")
