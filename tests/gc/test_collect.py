"""Carrying out a plan: what moves, what is written down before, and what comes back."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from regenstore.errors import Conflict
from regenstore.gc import undo
from regenstore.gc.collect import BATCH, alone
from regenstore.objects import evicted
from regenstore.objects.content_store import CACHE, VAULT, identity
from regenstore.objects.recipe import Recipe, Take
from regenstore.schemas.stored import STORED
from tests.gc.world import DAY, DEAD, KIND, SUPERSEDED, TIP, World


def age(world: World, days: float) -> None:
    world.now += days * DAY


def test_to_the_trash_and_after_the_grace_away(world):
    old = world.make("old", standing=SUPERSEDED)
    kept = world.make("kept", proven=False)
    report = world.gc()
    assert [item.digest for item in report.evicted] == [old]
    assert (report.freed, report.purged) == (0, [])
    assert world.where(old) == ["trash"] and world.where(kept) == [VAULT]
    assert world.gc().purged == []
    age(world, 0.9)
    assert world.gc().purged == []
    age(world, 0.2)
    plan = world.plan()
    assert [copy.digest for copy in plan.purge] == [old]
    report = world.collector.execute(plan)
    assert report.freed == 1000
    assert world.where(old) == []
    assert not os.path.exists(f"{world.store.root}/trash")
    world.all_obtainable()


def test_asked_for_space_it_is_gone_at_once(world):
    old, now = world.make("old", standing=SUPERSEDED), world.make("now")
    report = world.gc(free=500)
    assert (report.freed, world.where(old), world.where(now)) == (1000, [], [CACHE])
    world.all_obtainable()


def test_purging_the_trash(world):
    old = world.make("old", standing=SUPERSEDED)
    world.gc()
    assert world.gc(purge=True).freed == 1000
    assert world.where(old) == []


def test_trees_follow_the_proof(world):
    digest = world.make("now")
    assert world.where(digest) == [VAULT]
    before = identity(world.store.stored(digest))
    assert world.gc().moved == 1
    assert world.where(digest) == [CACHE]
    assert identity(world.store.stored(digest)) == before
    world.here = {"generator": "grow/2"}
    assert world.gc().moved == 1
    assert world.where(digest) == [VAULT]


def test_what_lies_in_both_trees(world):
    digest = world.make("now", proven=False)
    world.make("now", proven=False, tree=CACHE)
    assert world.where(digest) == [CACHE, VAULT]
    world.gc()
    assert world.where(digest) == ["trash", VAULT]
    assert world.gc(purge=True).freed == 1000
    assert world.where(digest) == [VAULT]


def test_of_what_lies_in_both_trees_the_sound_one_stays(world):
    digest = world.make("now", proven=False, tree=CACHE)
    path = Path(world.store.object_path(digest, VAULT))
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(bytes(1000))
    world.gc()
    world.gc(purge=True)
    assert Path(world.store.object_path(digest, CACHE)).read_bytes() != bytes(1000)


def test_the_manifest_is_there_before_anything_goes(world, monkeypatch):
    old = world.make("old", standing=SUPERSEDED)
    real = os.replace

    def check(source: str, target: str, **more: object) -> None:
        if "/trash/" in target:
            (run,) = evicted.runs(world.store.root)
            assert [record.digest for record in evicted.read(world.store.root, run)] == [old]
        real(source, target)

    monkeypatch.setattr(os, "replace", check)
    assert len(world.gc().evicted) == 1


def test_it_comes_back_without_database_and_branch(world):
    plate = world.make("plate", standing=SUPERSEDED)
    shot = world.make("shot", plate, standing=SUPERSEDED)
    world.gc(free=5000)
    assert world.where(plate) == world.where(shot) == []
    world.lose_database()
    world.film.live.clear()
    assert world.obtain(shot) is not None
    assert world.obtain(plate) is not None


def test_inputs_that_were_never_here_are_written_down_too(world):
    plate = world.make("plate", standing=SUPERSEDED)
    world.gc(free=1)
    age(world, 1)
    shot = world.make("shot", plate, standing=SUPERSEDED)
    world.gc(free=1)
    run = evicted.runs(world.store.root)[-1]
    for line in Path(evicted.manifest_path(world.store.root, run)).read_bytes().splitlines():
        STORED["gc-manifest-line"].model_validate_json(line)
    assert [(r.digest, r.taken) for r in evicted.read(world.store.root, run)] == [(shot, True), (plate, False)]
    for old in evicted.runs(world.store.root)[:-1]:
        os.unlink(f"{world.store.root}/evicted/{old}.jsonl")
    world.lose_database()
    assert world.obtain(shot) is not None


def test_what_is_needed_again_leaves_the_trash(world):
    old = world.make("old", standing=SUPERSEDED)
    world.gc()
    world.refer(Recipe.of_imported(Take(old, 1000), KIND, {}))
    age(world, 5)
    report = world.gc(purge=True)
    assert (report.purged, [copy.digest for copy in report.restored]) == ([], [old])
    assert world.where(old) == [VAULT]


def test_when_not_all_can_be_asked_the_trash_stays_as_it_is(world):
    old = world.make("old", standing=SUPERSEDED)
    world.gc()
    world.film.told = False
    age(world, 5)
    report = world.gc(purge=True)
    assert (report.purged, report.restored, world.where(old)) == ([], [], ["trash"])
    assert world.store.find(old) is not None


def test_unreachable_things_have_a_longer_grace(world):
    variant = world.make("variant", standing=DEAD, proven=False)
    world.now = os.stat(world.store.stored(variant)).st_mtime + 15 * DAY
    assert [item.digest for item in world.gc(unreachable=True).discarded] == [variant]
    assert world.where(variant) == ["trash"]
    assert world.gc(purge=True).purged == []
    age(world, 29)
    assert world.gc(unreachable=True).purged == []
    world.film.pins.add(world.recipe("variant").key.hex)
    age(world, 2)
    assert world.gc().purged == []
    assert world.where(variant) == [VAULT]
    world.film.pins.clear()
    world.gc(unreachable=True, older_than=0.0)
    report = world.gc(unreachable=True, purge=True)
    assert [copy.digest for copy in report.purged] == [variant]


def test_only_one_at_a_time(world):
    world.make("old", standing=SUPERSEDED)
    plan = world.plan()
    with alone(world.store.root), pytest.raises(Conflict) as caught:
        world.collector.execute(plan)
    assert caught.value.kind == "store-busy"
    assert len(world.collector.execute(plan).evicted) == 1


def test_more_than_a_batch(world):
    digests = {world.make(f"old{n}", standing=SUPERSEDED, bytes=10) for n in range(BATCH + 3)}
    assert {item.digest for item in world.gc().evicted} == digests
    assert len(undo.taken(world.store)[0].trashed) == BATCH + 3


def test_a_plan_does_what_was_shown_and_no_more(world):
    shown = world.make("shown", standing=SUPERSEDED)
    plan = world.plan(free=10_000)
    later = world.make("later", standing=SUPERSEDED)
    report = world.collector.execute(plan)
    assert [item.digest for item in report.evicted] == [shown]
    assert world.where(later) == [CACHE]


def test_what_has_no_recipe_at_hand_does_not_go(world):
    old = world.make("old", standing=SUPERSEDED)
    world.cache.database.write(lambda db: db.execute("DELETE FROM recipe"))
    report = world.gc(free=1)
    assert report.evicted == [] and sum(report.skipped.values()) == 1
    assert world.where(old) == [CACHE]


def test_no_digest_of_the_vault_is_ever_evicted(world):
    """Also when a plan says so: the function that evicts knows no path into the vault."""
    photo = world.imported(b"photo")
    other = world.make("old", standing=SUPERSEDED)
    plan = world.plan(free=1)
    stored = world.survey().entries[photo].stored
    forged = replace(plan.evict[0], entry=plan.evict[0].entry._replace(stored=stored))
    report = world.collector.execute(replace(plan, evict=(forged,)))
    assert report.evicted == [] and world.where(photo) == [VAULT]
    assert world.where(other) == [CACHE]
    from regenstore.gc.trash import Trash

    Trash(world.store).prepare("run", CACHE, photo)
    with pytest.raises(FileNotFoundError):
        Trash(world.store).evict(photo, "run")


# ------------------------------------------------------------------------------------------- undo


def test_undo(world):
    old, tip = world.make("old", standing=SUPERSEDED), world.make("tip", standing=TIP)
    world.gc()
    age(world, 0.1)
    world.forget(tip)
    world.gc()
    runs = undo.taken(world.store)
    assert [[copy.digest for copy in run.trashed] for run in runs] == [[tip], [old]]
    assert [copy.digest for copy in undo.undo(world.store, undo.choose(runs, None))] == [tip]
    assert world.where(tip) == [CACHE]
    runs = undo.taken(world.store)
    assert undo.undo(world.store, undo.choose(runs, runs[1].run)) != []
    assert world.where(old) == [CACHE]
    assert [run.gone for run in undo.taken(world.store)] == [[], []]
    from regenstore.errors import NotFound

    for wanted in (None, "2031"):
        with pytest.raises(NotFound):
            undo.choose(undo.taken(world.store), wanted)


def test_undo_names_what_is_deleted(world):
    old = world.make("old", standing=SUPERSEDED)
    world.gc(free=1)
    (run,) = undo.taken(world.store)
    assert run.trashed == [] and [record.digest for record in run.gone] == [old]
    assert run.gone[0].recipe is not None
    world.make("old", standing=SUPERSEDED)
    assert undo.taken(world.store)[0].gone == []


def test_a_content_counts_with_the_last_run_that_took_it(world):
    def counts() -> list[tuple[int, int]]:
        return [(len(run.trashed), len(run.gone)) for run in undo.taken(world.store)]

    world.make("old", standing=SUPERSEDED)
    world.gc(free=1)
    assert counts() == [(0, 1)]
    age(world, 0.1)
    world.make("old", standing=SUPERSEDED)
    world.gc()
    assert counts() == [(1, 0), (0, 0)]
    world.gc(purge=True)
    assert counts() == [(0, 1), (0, 0)]


def test_a_second_copy_in_the_trash_is_nothing_that_could_come_back(world):
    plate = world.make("plate", proven=False)
    world.store.put_bytes(Path(world.store.stored(plate)).read_bytes(), plate, tree=CACHE)
    world.store.holds.release()
    world.gc()
    assert world.where(plate) == ["trash", VAULT]
    assert [run.trashed for run in undo.taken(world.store)] == [[]]
