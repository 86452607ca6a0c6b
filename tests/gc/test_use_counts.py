"""Counting uses from gc to gc: what is folded in, what fades, what is forgotten, and the aging value."""

from __future__ import annotations

import os
import shutil

import pytest

from regenstore.gc import use_counts
from regenstore.gc.policy import UseRecord
from regenstore.objects.ids import Digest
from tests.gc.world import DAY, DEAD, SUPERSEDED, World


def use(world: World, *digests: Digest, days_ago: float = 0.0) -> None:
    """A program that used these has ended."""
    for digest in digests:
        assert world.store.use(digest)
    world.store.holds.release()
    for folder, _, names in os.walk(f"{world.store.root}/uses"):
        for name in names:
            then = world.now - days_ago * DAY
            os.utime(f"{folder}/{name}", (then, then))


def counted(world: World) -> use_counts.Uses:
    return use_counts.load(world.store, world.cache)


def save(world: World, *, present: list[Digest], evicted: list[Digest] | None = None, aging: float = 0.0) -> None:
    use_counts.save(world.cache, counted(world), present, evicted or [], aging, world.now)


def test_each_program_counts_once_and_only_once(world):
    plate, shot = world.make("plate"), world.make("shot")
    save(world, present=[plate, shot])
    before = counted(world).of(plate).frequency
    use(world, plate, plate)
    use(world, plate, shot)
    for _ in range(2):  # loading changes nothing
        assert counted(world).of(plate).frequency == before + 2
        assert counted(world).of(shot).frequency == before + 1
    save(world, present=[plate, shot])
    assert os.listdir(f"{world.store.root}/uses") == []
    assert counted(world).of(plate).frequency == before + 2
    assert counted(world).counted == []


def test_the_last_use_is_that_of_the_last_program(world):
    plate = world.make("plate")
    save(world, present=[plate])
    use(world, plate, days_ago=5)
    save(world, present=[plate])
    assert counted(world).last[plate] == pytest.approx(world.now - 5 * DAY)
    use(world, plate, days_ago=9)
    assert counted(world).last[plate] == pytest.approx(world.now - 5 * DAY)
    use(world, plate, days_ago=2)
    assert counted(world).last[plate] == pytest.approx(world.now - 2 * DAY)


def test_what_is_used_gets_the_aging_value_of_then(world):
    plate, shot = world.make("plate"), world.make("shot")
    save(world, present=[plate, shot], aging=3.0)
    assert counted(world).aging == 3.0
    assert counted(world).of(plate).base == 0.0
    use(world, plate)
    assert counted(world).of(plate).base == 3.0
    assert counted(world).of(shot).base == 0.0


def test_what_is_evicted_fades_by_half_at_each_eviction(world):
    plate = world.make("plate")
    for _ in range(7):
        use(world, plate)
    frequency = counted(world).of(plate).frequency
    save(world, present=[], evicted=[plate])
    assert counted(world).of(plate).frequency == frequency / 2
    save(world, present=[], evicted=[plate])
    assert counted(world).of(plate).frequency == frequency / 4


def test_what_is_long_gone_is_forgotten(world):
    plate = world.make("plate")
    use(world, plate)
    save(world, present=[], evicted=[plate])
    assert plate in counted(world).usage
    world.now += use_counts.REMEMBERED + 1
    save(world, present=[plate])
    assert plate in counted(world).usage  # it is here
    save(world, present=[])
    assert plate not in counted(world).usage


def test_old_fame_fades_for_all_alike(world):
    plate, shot = world.make("plate"), world.make("shot")
    known = counted(world)
    known.usage = {plate: UseRecord(use_counts.MANY + 1, 2.0), shot: UseRecord(10.0, 1.0)}
    use_counts.save(world.cache, known, [plate, shot], [], 0.0, world.now)
    found = counted(world)
    assert found.of(plate) == UseRecord((use_counts.MANY + 1) / 2, 2.0)
    assert found.of(shot) == UseRecord(5.0, 1.0)


def test_a_run_writes_down_what_its_choice_says_of_worth(world):
    world.make("cheap", standing=SUPERSEDED, seconds=1.0)
    dear = world.make("dear", standing=SUPERSEDED, seconds=50.0)
    world.gc(free=1)
    aging = counted(world).aging
    assert aging > 0
    use(world, dear)
    assert counted(world).of(dear).base == aging
    world.make("new", standing=DEAD)
    assert counted(world).of(world.make("newer", standing=DEAD)).base == aging


@pytest.mark.parametrize("wish", [{"select": "*.bin"}, {"older_than": 10 * DAY}])
def test_a_run_over_a_part_says_nothing_of_the_worth_of_all(world, wish):
    """What is dear and alone in its part would otherwise make everything else look old."""
    dear = world.make("dear", standing=SUPERSEDED, seconds=5000.0)
    other = world.make("other", standing=SUPERSEDED, seconds=6000.0)
    cheap = world.make("cheap", standing=SUPERSEDED, seconds=1.0)
    world.names = {dear: ("dear.bin",), other: ("other.bin",)}
    shutil.rmtree(f"{world.store.root}/uses")
    for digest, days in ((dear, 20), (other, 20), (cheap, 1)):
        then = world.now - days * DAY
        os.utime(world.store.stored(digest), (then, then))
    report = world.gc(free=1, **wish)
    assert [item.digest for item in report.evicted] == [dear]
    assert counted(world).aging == 0.0
    world.gc(free=1)
    assert counted(world).aging > 0
