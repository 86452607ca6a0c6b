"""What a plan takes, in which order, and what it says."""

from __future__ import annotations

import json
import os
import shutil
import time

import pytest

from regenstore.gc import trash
from regenstore.gc.plan import EvictionPlan, GcWish, make_plan
from regenstore.gc.use_counts import load
from regenstore.objects.content_store import CACHE
from tests.gc.world import DAY, DEAD, SUPERSEDED, TIP, WORKING, World


def words(world: World, **wish: object) -> list[object]:
    return [item.digest for item in world.plan(**wish).evict]


def test_an_empty_store(world):
    plan = world.plan()
    assert plan.empty and plan.total == 0 and plan.short == 0
    assert json.loads(json.dumps(plan.fields()))["evict"] == []


def test_without_a_size_only_what_the_past_needs_goes(world):
    dead = world.make("dead", standing=DEAD)
    old = world.make("old", standing=SUPERSEDED)
    world.make("tip", standing=TIP)
    world.make("now", standing=WORKING)
    world.make("unproven", standing=SUPERSEDED, proven=False)
    world.imported(b"photo")
    plan = world.plan()
    assert {item.digest for item in plan.evict} == {dead, old}
    assert plan.evictable == (2, 2000)
    assert plan.kept == {"unproven": (1, 1000), "imported": (1, 5)}
    assert (plan.bytes, plan.freed, plan.total, plan.seconds) == (2000, 0, 5005, 4.0)
    assert world.plan().fields() == plan.fields()


def test_as_much_as_is_asked_for_in_the_order_of_standing(world):
    now = world.make("now", standing=WORKING)
    tip = world.make("tip", standing=TIP)
    old = world.make("old", standing=SUPERSEDED, seconds=4.0)
    dead = world.make("dead", standing=DEAD, seconds=3.0)
    assert words(world, free=1) == [dead]
    assert words(world, free=2000) == [dead, old]
    assert words(world, free=3500) == [dead, old, tip, now]
    plan = world.plan(free=10_000)
    assert words(world, free=10_000) == [dead, old, tip, now]
    assert (plan.freed, plan.short) == (4000, 6000)
    assert words(world, cap=4000) == []
    assert words(world, cap=2500) == [dead, old]
    assert words(world, cap=0) == [dead, old, tip, now]


def test_previews_go_before_what_is_needed_now(world):
    world.make("tip", standing=TIP)
    shown = world.make("shown", standing=WORKING, seconds=9.0, output="preview")
    assert words(world, free=1) != [shown]  # the recipe in Git names another output
    oid, (record, standing) = next((o, pair) for o, pair in world.film.live.items() if pair[0].digest == shown)
    world.film.live[oid] = record._replace(output="preview"), standing
    assert words(world, free=1) == [shown]


def test_only_what_was_not_used_for_long(world):
    old, new, used = (world.make(word, standing=DEAD) for word in ("old", "new", "used"))
    world.now = 2_000_000_000.0
    for digest, days in ((old, 10), (new, 1), (used, 10)):
        then = world.now - days * DAY
        os.utime(world.store.stored(digest), (then, then))
    shutil.rmtree(f"{world.store.root}/uses")
    world.store.use(used)
    world.store.holds.release()
    assert set(words(world)) == {old, new, used}
    for name in os.listdir(f"{world.store.root}/uses"):
        os.utime(f"{world.store.root}/uses/{name}", (world.now - 2 * DAY, world.now - 2 * DAY))
    assert words(world, older_than=5 * DAY) == [old]


def test_only_what_has_such_a_path(world):
    first, second = world.make("first", standing=DEAD), world.make("second", standing=DEAD)
    names = {first: ["shots/a.bin", "plates/a.bin"], second: ["shots/b.png"]}

    def chosen(pattern: str) -> set[object]:
        copies = list(trash.copies(world.store))
        uses = load(world.store, world.cache)
        plan = make_plan(world.survey(), copies, uses, GcWish(select=pattern), world.now, names)
        return {item.digest for item in plan.evict}

    assert chosen("shots/*") == {first, second}
    assert chosen("*.bin") == {first}
    assert chosen("plates/a.bin") == {first}
    assert chosen("a.bin") == set()


def test_an_input_is_worth_what_depends_on_it(world):
    """What is dear to bring back stays longer than what is cheap, also when only its inputs are dear."""
    plate = world.make("plate", standing=DEAD, seconds=100.0)
    shot = world.make("shot", plate, standing=DEAD, seconds=1.0)
    other = world.make("other", standing=DEAD, seconds=5.0)
    assert words(world, free=1) == [shot]
    assert words(world, free=1001) == [shot, other]
    assert words(world, free=2001) == [shot, other, plate]


def test_an_input_that_went_counts_through_what_is_not_here_and_not_through_what_stays(world):
    far = world.make("far", standing=SUPERSEDED, seconds=40.0)
    there = world.make("there", far, standing=TIP, seconds=1.0)
    shot = world.make("shot", there, standing=SUPERSEDED, seconds=50.0)
    other = world.make("other", standing=SUPERSEDED, seconds=70.0)
    assert words(world) == [far, shot, other]  # what is between them stays, being at a tip
    os.unlink(world.store.stored(there))
    assert words(world) == [far, other, shot]


@pytest.mark.parametrize("tree", [CACHE, "vault"])
def test_unreachable_is_what_nobody_needs_and_nothing_brings_back(world, tree):
    variant = world.make("variant", standing=DEAD, proven=False, tree=tree)
    stray = world.imported(b"stray", standing=DEAD)
    plate = world.make("plate", standing=DEAD, proven=False)
    world.make("shot", plate)
    world.make("proven", standing=DEAD)
    pinned = world.make("pinned", standing=DEAD, proven=False)
    world.film.pins.add(world.recipe("pinned").key.hex)
    held = world.make("held", standing=DEAD, proven=False)
    world.store.holds.hold([held])
    world.now = time.time() + 15 * DAY
    assert {item.digest for item in world.plan(unreachable=True).discard} == {variant, stray}
    assert world.plan().discard == ()
    world.now -= 10 * DAY
    assert world.plan(unreachable=True).discard == ()
    assert {i.digest for i in world.plan(unreachable=True, older_than=0.0).discard} == {variant, stray}
    world.film.missing = frozenset([b"\1" * 20])
    plan = world.plan(unreachable=True, older_than=0.0)
    assert plan.discard == () and not plan.complete and plan.problems
    assert pinned not in {item.digest for item in plan.evict}


def test_nothing_goes_when_somebody_never_told_what_he_needs(world):
    world.make("dead", standing=DEAD)
    world.film.told = False
    plan = world.plan(free=100, unreachable=True, older_than=0.0)
    assert plan.empty and plan.short == 100
    assert plan.problems


def test_what_is_not_built_in_goes_only_with_a_probe_that_fits(world: World) -> None:
    """The cheapest take speaks for all of its generator; what is made from one that is gone needs that one too."""
    plate = world.make("plate", seconds=3.0)
    shot = world.make("shot", plate, seconds=2.0)
    world.make("wide", seconds=9.0)

    def plan(budget: float, *names: str) -> EvictionPlan:
        given = world.collector
        files, uses = list(trash.copies(world.store)), load(world.store, world.cache)
        return make_plan(given.survey(), files, uses, GcWish(free=9000), world.now, {}, names.__contains__, budget)

    (probe,) = plan(5.0).probes
    assert (probe.definition, probe.referrer.digest, probe.seconds) == (("grow", "1"), shot, 2.0)
    assert len(plan(5.0).evict) == 3 and plan(5.0).probe_budget == 5.0
    short = plan(1.9)
    assert (short.evict, short.probes, short.kept) == ((), (), {"unprobed": (3, 3000)})
    assert (len(plan(0.0, "grow").evict), plan(0.0, "grow").probes) == (3, ())
    os.unlink(world.store.object_path(plate))
    (probe,) = plan(9.0).probes
    assert (probe.referrer.digest, probe.seconds) == (plate, 3.0)  # of what is gone, too; the shot costs 5 by now
