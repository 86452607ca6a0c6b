"""Choosing what to evict: the order of GDSF, standings, what evicting inputs costs, aging, and the speed of it."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Collection, Mapping

import pytest

from regenstore.gc.policy import (
    DEAD,
    SUPERSEDED,
    TIP,
    WORKING,
    Candidate,
    Choice,
    UseRecord,
    bytes_to_free,
    choose,
    faded,
    used,
)
from regenstore.objects.hashing import hash_bytes
from regenstore.objects.ids import Digest

MB = 1_000_000


def digest(name: object) -> Digest:
    return hash_bytes(str(name).encode())


def candidate(
    name: object,
    size: int = MB,
    seconds: float = 10.0,
    *,
    frequency: float = 1.0,
    base: float = 0.0,
    standing: int = TIP,
    preview: bool = False,
) -> Candidate:
    return Candidate(digest(name), size, seconds, frequency, base, standing, preview)


def names(choice: Choice) -> list[Digest]:
    return [item.digest for item in choice.chosen]


def test_the_cheapest_seconds_per_byte_go_first():
    small_and_dear = candidate("still", 100_000, 60)
    large_and_cheap = candidate("latents", 180 * MB, 8)
    video = candidate("video", 14 * MB, 420)
    given = [small_and_dear, video, large_and_cheap]
    assert choose(given, 1).chosen == [large_and_cheap]
    assert choose(given, 180 * MB + 1).chosen == [large_and_cheap, video]


def test_frequent_use_protects():
    once, often = candidate("a"), candidate("b", frequency=3)
    assert choose([often, once], 1).chosen == [once]


def test_what_was_used_long_ago_is_overtaken():
    dear_once = candidate("model", 10 * MB, 1000)  # H = 8e-4
    fresh = candidate("still", 10 * MB, 1, base=16e-4)
    assert choose([fresh, dear_once], 1).chosen == [dear_once]


def test_nothing_to_free_chooses_nothing():
    assert choose([candidate("a")], 0, floor=5.0) == Choice([], 5.0)
    assert choose([candidate("a")], -7).chosen == []


def test_all_go_when_all_are_too_few():
    given = [candidate(n) for n in range(5)]
    choice = choose(given, 10**12)
    assert set(names(choice)) == {item.digest for item in given}
    assert choice.freed == 5 * MB


def test_of_equals_the_past_and_previews_go_first_and_the_working_set_last():
    given = [
        candidate("working", standing=WORKING),
        candidate("tip", standing=TIP),
        candidate("preview of the working set", standing=WORKING, preview=True),
        candidate("superseded", standing=SUPERSEDED),
        candidate("dead", standing=DEAD),
    ]
    order = names(choose(given, 10**12))
    assert set(order[:3]) == {given[n].digest for n in (2, 3, 4)}
    assert order[3:] == [digest("tip"), digest("working")]


@pytest.mark.parametrize(("lower", "higher"), [(DEAD, TIP), (SUPERSEDED, TIP), (TIP, WORKING)])
def test_a_standing_is_worth_eight_times_the_seconds(lower, higher):
    held = candidate("held", seconds=10, standing=higher)
    assert choose([held, candidate("a", seconds=79, standing=lower)], 1).chosen != [held]
    assert choose([held, candidate("a", seconds=81, standing=lower)], 1).chosen == [held]


def test_an_input_that_went_makes_its_dependents_dearer():
    """Alone the film would go second; without its plate it would take as long as both."""
    plate = candidate("plate", seconds=5)
    film = candidate("film", seconds=6)
    other = candidate("other", seconds=8)
    given = [film, other, plate]
    assert choose(given, 10**9).chosen == [plate, film, other]
    made_of = {film.digest: {plate.digest}}
    assert choose(given, 10**9, inputs=made_of).chosen == [plate, other, film]
    often = candidate("often", frequency=100)
    choice = choose([*given, often], 3 * MB, inputs=made_of)
    assert choice.chosen == [plate, other, film]
    assert choice.aging == pytest.approx(8 * 11 / (MB + 4096))


def test_an_evicted_input_counts_through_what_is_not_in_the_store():
    plate, film, other = candidate("plate", seconds=5), candidate("film", seconds=6), candidate("other", seconds=8)
    cut = digest("a cut that is not in the store")
    made_of = {film.digest: [cut], cut: [plate.digest]}
    assert choose([plate, film, other], 10**9, inputs=made_of).chosen == [plate, other, film]


def test_an_evicted_input_does_not_count_through_what_stays():
    plate, film, other = candidate("plate", seconds=5), candidate("film", seconds=6), candidate("other", seconds=8)
    cut = candidate("cut", seconds=100)
    made_of = {film.digest: [cut.digest], cut.digest: [plate.digest]}
    assert choose([plate, film, other, cut], 10**9, inputs=made_of).chosen == [plate, film, other, cut]


def test_inputs_in_a_circle_end():
    a, b = candidate("a", seconds=5), candidate("b", seconds=6)
    assert choose([a, b], 10**9, inputs={a.digest: [b.digest], b.digest: [a.digest]}).chosen == [a, b]


def naive(
    given: list[Candidate], to_free: int, inputs: Mapping[Digest, Collection[Digest]], floor: float
) -> tuple[list[Candidate], float]:
    """The same choice by looking at everything again before each step."""
    left, gone, chosen = {item.digest: item for item in given}, dict[Digest, Candidate](), list[Candidate]()
    absent = inputs.keys() - left.keys()

    def priority(item: Candidate) -> float:
        seen, todo = set[Digest](), [item.digest]
        while todo:
            fresh = {one for one in inputs.get(todo.pop(), ()) if one in gone or one in absent} - seen
            seen |= fresh
            todo += fresh
        again = math.fsum(gone[one].seconds for one in seen if one in gone)
        weight = 1 if item.preview or item.standing < TIP else 8 if item.standing == TIP else 64
        return item.base + weight * item.frequency * max(item.seconds + again, 0.1) / (item.size + 4096)

    before = floor
    while left and to_free > 0:
        first = min(left.values(), key=lambda item: (priority(item), item.digest))
        floor = max(floor, priority(first))
        chosen.append(first)
        gone[first.digest] = left.pop(first.digest)
        to_free -= first.size
    return chosen, floor if left else before


@pytest.mark.parametrize("seed", range(30))
def test_the_choice_is_that_of_looking_at_everything_again(seed):
    draw = random.Random(seed)
    digests = [digest(n) for n in range(60)]
    inputs = {digests[n]: draw.sample(digests[:n], min(n, draw.randrange(3))) for n in range(60) if draw.random() < 0.7}
    given = [
        Candidate(
            one,
            draw.choice([1, 5000, MB, 180 * MB]),
            draw.choice([0.0, 0.1, 5.0, 5.0, 300.0]),
            draw.choice([1.0, 1.0, 4.0]),
            draw.choice([0.0, 0.0, 1e-5]),
            draw.choice([DEAD, SUPERSEDED, TIP, WORKING]),
            draw.random() < 0.2,
        )
        for one in digests
        if draw.random() < 0.8
    ]
    to_free = draw.randrange(sum(item.size for item in given))
    chosen, aging = naive(given, to_free, inputs, 1e-6)
    for _ in range(3):
        draw.shuffle(given)
        choice = choose(given, to_free, inputs=inputs, floor=1e-6)
        assert choice.chosen == chosen
        assert choice.aging == aging


def test_the_aging_value_is_the_highest_priority_that_went_and_never_falls():
    given = [candidate("a", MB, 1), candidate("b", MB, 2), candidate("c", MB, 3)]
    assert choose(given, 2 * MB).aging == pytest.approx(8 * 2 / (MB + 4096))
    assert choose(given, 2 * MB, floor=1.0).aging == 1.0


def test_evicting_everything_says_nothing_about_worth():
    """Clearing out all that is dead must not make all that is live look old."""
    assert choose([candidate("a", seconds=3600)], 10**9, floor=1e-9).aging == 1e-9


def test_equals_go_in_the_order_of_their_digests():
    given = [candidate(n) for n in range(20)]
    assert names(choose(given, 10**9)) == sorted(item.digest for item in given)


@pytest.mark.parametrize("seconds", [math.inf, math.nan, -1.0])
def test_a_cost_that_is_not_known_is_no_candidate(seconds):
    with pytest.raises(ValueError, match="not a candidate"):
        candidate("a", seconds=seconds)


def test_hysteresis():
    assert bytes_to_free(999, 1000) == 0
    assert bytes_to_free(1000, 1000) == 0
    assert bytes_to_free(1001, 1000) == 101
    assert bytes_to_free(5, 0) == 5


def test_uses_are_folded():
    first = used(None, 0, 0.5)
    assert first == UseRecord(1.0, 0.5)
    assert used(first, 0, 0.9) == first  # not used since: it keeps the age of its last use
    assert used(first, 3, 0.9) == UseRecord(4.0, 0.9)
    assert used(None, 2, 0.0) == UseRecord(3.0, 0.0)
    assert faded(UseRecord(4.0, 0.9)) == UseRecord(2.0, 0.9)


@pytest.mark.parametrize("with_inputs", [False, True])
def test_a_hundred_thousand_candidates(with_inputs):
    draw = random.Random(7)
    given = [
        Candidate(Digest(draw.randbytes(32)), draw.randrange(10**8), draw.random() * 100, 1.0, 0.0, draw.randrange(4))
        for _ in range(100_000)
    ]
    inputs = {item.digest: [given[draw.randrange(1000)].digest] for item in given[1000:]} if with_inputs else None
    begun = time.process_time()
    assert choose(given, sum(item.size for item in given) // 2, inputs=inputs).chosen
    assert time.process_time() - begun < 4
