"""gc against a process that begins to rely on what gc is just taking, at every moment there is."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from regenstore.fs import durable
from regenstore.objects import toml
from regenstore.objects.content_store import ContentStore
from regenstore.objects.hashing import hash_bytes
from regenstore.objects.ids import Digest
from regenstore.objects.recipe import Recipe, Take
from tests.conftest import THOROUGH, fresh_seed
from tests.gc.moments import Moments
from tests.gc.world import CACHE, DAY, DEAD, KIND, SUPERSEDED, World, grown

WORD = "old"


def bytes_of(world: World) -> bytes:
    return grown(world.recipe(WORD))


class Other:
    """Another process on the same store: its own holds, its own look at things."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.store = ContentStore(world.store.root)
        self.data = bytes_of(world)
        self.digest = hash_bytes(self.data)
        self.acted = False

    def rely(self) -> None:
        """What clean does with bytes that somebody drew himself: no recipe makes them, as far as Git knows."""
        self.acted = True
        if self.store.claim(self.digest, len(self.data)) is None:
            self.store.put_bytes(self.data, self.digest)
        self.world.refer(Recipe.of_imported(Take(self.digest, len(self.data)), KIND, {}))

    def rely_and_leave(self) -> None:
        self.rely()
        self.store.holds.release()

    def read(self) -> None:
        """What a checkout does: the path stays good until it lets go."""
        self.acted = True
        self.path = self.store.use(self.digest, len(self.data))

    def check_path(self) -> None:
        if self.path is not None:
            assert Path(self.path).read_bytes() == self.data


def prepared(root: Path, kind: str) -> World:
    """A world in which the next gc takes, or deletes, one content."""
    root.mkdir()
    world = World(root)
    world.make("another", standing=SUPERSEDED)
    if kind == "unreachable":
        world.make(WORD, standing=DEAD, proven=False)
    else:
        digest = world.make(WORD, standing=SUPERSEDED)
    if kind == "twice":
        world.store.put_bytes(bytes_of(world), digest, tree=CACHE)
        world.store.holds.release()
    if kind == "purge":
        world.gc()
        world.now += 2 * DAY
    return world


WISHES: dict[str, dict[str, object]] = {
    "order": {},
    "space": {"free": 5000},
    "purge": {},
    "unreachable": {"unreachable": True, "older_than": 0.0},
    "twice": {},
}


def every_moment(
    tmp_path: Path, kind: str, turn: int, act: Callable[[Other], None], check: Callable[[World, Other, bool], None]
) -> None:
    """Others do one of three things, in turns, at the moments: each at all of them with REGENSTORE_FAULTS=all."""
    step = 1 if THOROUGH else 3
    n = 1 + (fresh_seed() + turn) % step
    total = n
    template = prepared(tmp_path / "template", kind)
    while n <= total:
        world = template.copy(tmp_path / f"w{n}")
        other = Other(world)
        with pytest.MonkeyPatch.context() as patch:
            moments = Moments(world, patch, n, lambda other=other: act(other))
            world.gc(**WISHES[kind])
            total = moments.count
            print(n, moments.names[n - 1] if n <= total else "never")
        world.before_survey = world.after_survey = lambda: None
        check(world, other, other.acted)
        n += step
    assert total > 20


@pytest.mark.parametrize("leave", [False, True])
@pytest.mark.parametrize("kind", WISHES)
def test_a_new_referrer_at_any_moment_keeps_the_bytes(tmp_path, kind, leave):
    def check(world: World, other: Other, acted: bool) -> None:
        world.now += 40 * DAY
        for _ in range(2):
            world.gc(purge=True, unreachable=True, older_than=0.0)
        if acted:
            found = world.store.find(other.digest)
            assert found is not None and Path(found).read_bytes() == other.data
        other.store.holds.release()

    every_moment(tmp_path, kind, int(leave), Other.rely_and_leave if leave else Other.rely, check)


@pytest.mark.parametrize("kind", WISHES)
def test_a_path_that_is_held_stays_good(tmp_path, kind):
    def check(world: World, other: Other, acted: bool) -> None:
        if acted:
            other.check_path()
            world.now += 40 * DAY
            world.gc(purge=True, unreachable=True, older_than=0.0)
            other.check_path()
        other.store.holds.release()

    every_moment(tmp_path, kind, 2, Other.read, check)


@pytest.mark.parametrize("kind", ["order", "space", "purge"])
def test_a_recipe_that_arrives_without_bytes_at_any_moment(tmp_path, kind):
    """As 'git fetch' brings it: nobody held anything, and the recipe is another one than the proven."""

    def arrive(other: Other) -> None:
        other.acted = True
        other.world.refer(Recipe.of_imported(Take(other.digest, len(other.data)), KIND, {}))

    def check(world: World, other: Other, acted: bool) -> None:
        world.now += 40 * DAY
        world.gc(purge=True, unreachable=True, older_than=0.0)
        if acted:
            assert world.obtain(other.digest) == other.data

    every_moment(tmp_path, kind, 0, arrive, check)


def at_first(world: World, patch: pytest.MonkeyPatch, start: str, act: Callable[[], None]) -> None:
    """Act at the first moment of that name that is about the content."""
    moments = Moments(world, patch, -1, act)
    done: list[str] = []
    count = moments.moment

    def moment(name: str) -> None:
        if not done and name.startswith(start) and hash_bytes(bytes_of(world)).hex[2:] in name:
            done.append(name)
            act()
        count(name)

    patch.setattr(moments, "moment", moment)


def test_who_came_and_went_between_the_look_and_the_move(world):
    """Nobody holds it any more, and the root was set after the survey: the changed identity tells."""
    world.make(WORD, standing=SUPERSEDED)
    world.gc(free=0, older_than=1e12)
    other = Other(world)
    plan = world.plan()
    with pytest.MonkeyPatch.context() as patch:
        at_first(world, patch, "before rename", other.rely_and_leave)
        report = world.collector.execute(plan)
    assert other.acted and report.evicted == []
    assert world.where(other.digest) == ["cache"]


def test_who_came_and_went_before_the_look(world):
    """The content is not even moved for a moment."""
    world.make(WORD, standing=SUPERSEDED)
    world.gc(free=0, older_than=1e12)
    other = Other(world)
    plan = world.plan()
    with pytest.MonkeyPatch.context() as patch:
        moved: list[str] = []
        world.after_survey = other.rely_and_leave
        real = durable.rename
        patch.setattr(durable, "rename", lambda a, b: (moved.append(b), real(a, b)))
        report = world.collector.execute(plan)
    assert report.evicted == [] and report.skipped
    assert not [path for path in moved if "/trash/" in path]


def test_a_recipe_that_arrives_before_the_purge(world):
    """What is deleted is surveyed once more, after it was moved: what is needed by then goes back."""
    digest = world.make(WORD, standing=SUPERSEDED)
    plan = world.plan(free=1)

    def arrive() -> None:
        if world.surveys == 2:
            world.refer(Recipe.of_imported(Take(digest, 1000), KIND, {}))

    world.after_survey = arrive
    report = world.collector.execute(plan)
    assert (world.surveys, len(report.evicted), report.purged) == (3, 1, [])
    assert [copy.digest for copy in report.restored] == [digest]
    assert world.where(digest) == ["vault"]


HOLDER = """
import sys
from regenstore.objects.content_store import ContentStore
from regenstore.objects.ids import Digest
store = ContentStore(sys.argv[1])
print(store.claim(Digest.parse(sys.argv[2])), flush=True)
sys.stdin.read()
"""


def test_a_killed_process_holds_nothing(world):
    old = world.make(WORD, standing=SUPERSEDED)
    plan = world.plan()
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, world.store.root, str(old)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with holder:
        assert holder.stdout is not None and b"None" not in holder.stdout.readline()
        assert world.gc().evicted == []
        assert world.collector.execute(plan).evicted == []
        holder.kill()
    assert [item.digest for item in world.gc().evicted] == [old]


def shared(world: World, proven: str) -> Digest:
    """The same bytes from two keys, of which one is proven."""
    first = world.make("first", standing=SUPERSEDED, proven=proven in ("first", "both"), same="x")
    second = world.make("second", standing=SUPERSEDED, proven=proven in ("second", "both"), same="x")
    assert first == second
    return first


@pytest.mark.parametrize("proven", ["first", "second"])
def test_shared_bytes_stay_unless_every_key_is_proven(world, proven):
    digest = shared(world, proven)
    assert world.gc(free=5000).evicted == []
    assert world.store.stored(digest) is not None


def test_shared_bytes_go_when_every_key_is_proven(world):
    digest = shared(world, "both")
    assert [item.digest for item in world.gc(free=5000).evicted] == [digest]


def test_a_proof_that_lapses_between_plan_and_deed(world):
    digest = shared(world, "both")
    plan = world.plan(free=5000)
    recipe = world.recipe("second", same="x")
    seen: list[int] = []

    def refuted() -> None:
        if not seen:
            seen.append(1)
            world.prove(recipe, digest, tier="different")

    world.after_survey = refuted
    report = world.collector.execute(plan)
    assert seen and report.purged == []
    world.after_survey = lambda: None
    world.gc(purge=True)
    assert world.store.stored(digest) is not None


def test_a_pin_that_is_set_between_plan_and_deed(world):
    old = world.make("old", standing=SUPERSEDED)
    plan = world.plan()
    world.after_survey = lambda: world.film.pins.add(world.recipe("old").key.hex)
    report = world.collector.execute(plan)
    assert report.evicted == [] and report.skipped["pinned meanwhile"] == 1
    assert world.store.stored(old) is not None


def test_times_decide_nothing(world):
    """Clocks that jump, and files from the future: what goes and what stays is the same."""
    kept = world.make("kept", proven=False)
    old = world.make("old", standing=SUPERSEDED)
    for when in (0, 2**33):
        for digest in (kept, old):
            path = world.store.find(digest)
            if path is not None:
                os.utime(path, (when, when))
        world.now = float(when + 1)
        world.gc(unreachable=True)
        assert world.store.stored(kept) is not None
    world.now = 5.0
    world.gc(purge=True, unreachable=True)
    assert world.obtain(old) is not None and toml.decode(world.cache.known_outputs(old)[0].recipe)
    world.all_obtainable()
