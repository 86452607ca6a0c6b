"""gc, undo and purge, killed at every step that changes anything: nothing is lost, and the next one finishes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from regenstore.gc import undo
from regenstore.objects.content_store import CACHE
from tests.conftest import THOROUGH, fresh_seed
from tests.gc.moments import Moments
from tests.gc.world import DAY, DEAD, SUPERSEDED, World


class Died(BaseException):
    """Nothing of ours catches this, as nothing survives a kill."""


def die() -> None:
    raise Died


def prepared(root: Path) -> World:
    """Something for every part of a gc: to evict, to discard, to purge, to restore, to promote, to demote."""
    root.mkdir()
    world = World(root)
    world.make("purged", standing=SUPERSEDED)
    wanted = world.make("wanted again", standing=SUPERSEDED)
    world.gc()
    world.now += 2 * DAY
    world.refer(world.recipe("wanted again").with_take(None, None))
    world.film.pins.add(world.recipe("wanted again").key.hex)
    plate = world.make("plate", standing=SUPERSEDED)
    world.make("shot", plate, standing=SUPERSEDED)
    world.make("lapsed", proven=False, tree=CACHE)
    world.make("variant", standing=DEAD, proven=False)
    world.make("proven now")
    world.imported(b"photo")
    assert world.where(wanted) == ["trash"]
    return world


def at_every_step(tmp_path: Path, start: Callable[[Path], World], act: Callable[[World], object]) -> None:
    """At every second step, from the first or the second on; at all of them with REGENSTORE_FAULTS=all."""
    step = 1 if THOROUGH else 2
    n, died = fresh_seed() % step + 1 - step, True
    template = start(tmp_path / "template")
    while died:
        n, died = n + step, False
        world = template.copy(tmp_path / f"w{n}")
        needed = {record.digest for record in world.film.records.values() if record.digest is not None}
        with pytest.MonkeyPatch.context() as patch:
            moments = Moments(world, patch, n, die, reads=False)
            try:
                act(world)
            except Died:
                died = True
        world.before_survey = world.after_survey = lambda: None
        world.cache.close()
        print(n, moments.names[-1])
        for digest in needed:
            assert world.obtain(digest) is not None
        world.gc(free=10_000, unreachable=True, older_than=0.0)
        world.all_obtainable()
        world.gc(unreachable=True, purge=True)
        assert not os.path.exists(f"{world.store.root}/trash")
        world.all_obtainable()
        shutil.rmtree(tmp_path / f"w{n}")
    assert n > 20


@pytest.mark.parametrize("wish", [{}, {"free": 10_000}, {"unreachable": True, "older_than": 0.0}], ids=str)
def test_gc(tmp_path, wish):
    at_every_step(tmp_path, prepared, lambda world: world.gc(**wish))


def test_undo(tmp_path):
    def start(root: Path) -> World:
        world = prepared(root)
        world.gc(unreachable=True, older_than=0.0)
        for n in range(12):
            world.make(f"more{n}", standing=SUPERSEDED)
        world.gc()
        return world

    def act(world: World) -> None:
        runs = undo.taken(world.store)
        undo.undo(world.store, undo.choose(runs, None))

    at_every_step(tmp_path, start, act)
