"""Clearing up a remote: marks, waits, second looks; pushes beside it, and kills at every change that it makes."""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from regenstore.errors import Conflict, StorageError
from regenstore.fs import boot
from regenstore.objects.content_store import ContentStore
from regenstore.objects.ids import Digest
from regenstore.objects.recipe import Output, Recipe
from regenstore.objects.result import BlobRecord, Content, Result
from regenstore.objects.results.cache import ResultCache
from regenstore.refs.root_snapshot import LiveRecipes
from regenstore.refs.store_repositories import Holder
from regenstore.remotes import advisory_lock, layout
from regenstore.remotes import gc as remote_gc
from regenstore.remotes.advisory_lock import AdvisoryLock
from regenstore.remotes.backends.contract import Backend, Head, Told
from regenstore.remotes.backends.directory import Directory
from regenstore.remotes.check import clock
from regenstore.remotes.gc import RETENTION, WAIT, RemoteGc, RemoteGcPlan, RemoteGcReport, RetentionRules
from regenstore.remotes.records import Records
from regenstore.remotes.remote import Remote
from tests.conftest import fresh_seed, noise
from tests.remotes.gc_place import Sender

DAY = 86400.0


def quiet(digest: Digest, count: int) -> None:
    """Nobody is told."""


def holder(needed: set[Digest], path: str = "/nowhere", **changed: object) -> Holder:
    records = {
        bytes([number]): BlobRecord(bytes([number]), None, digest, 1, "", (), None, "", "", None)
        for number, digest in enumerate(sorted(needed, key=lambda digest: digest.hex))
    }
    whole = Holder(path, path, True, "", LiveRecipes(records), time.time())
    return whole._replace(**changed)


class Place(Sender):
    """A store, a folder that it shares, and a gc whose clock goes before the folder's."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.shared = folder / "shared"
        self.store = ContentStore(str(folder / "store"))
        self.store.prepare()
        self.cache = ResultCache(self.store.root)
        self.backend = Directory(str(self.shared), create=True)
        self.remote = Remote("studio", self.backend, self.store)
        self.needed: set[Digest] = set()
        self.later = 0.0

    def due(self, *names: str) -> list[Digest]:
        """Contents that nothing needs, marked long enough ago to be deleted."""
        digests = self.put(*names)
        self.send(digests)
        self.age(RETENTION + 60)
        self.run()
        self.age(WAIT + 60)
        return digests

    def gc(self, backend: Backend | None = None, **lock: Any) -> RemoteGc:
        remote = self.remote if backend is None else Remote("studio", backend, self.store)
        return RemoteGc(
            remote,
            lambda: [holder(self.needed)],
            ask_time=lambda there: clock(there) + self.later,
            at_once=0.1,
            pause=0.01,
            **lock,
        )

    def run(self, backend: Backend | None = None) -> tuple[RemoteGcPlan, RemoteGcReport]:
        gc = self.gc(backend)
        plan = gc.plan(RetentionRules())
        return plan, gc.execute(plan)

    def there(self) -> set[Digest]:
        return {d for name, _ in self.backend.names(layout.CONTENTS) if (d := layout.digest_of(name)) is not None}

    def marked(self) -> set[Digest]:
        return set(self.remote.tombstones())

    def age(self, seconds: float) -> None:
        """Let everything have been written, and marked, that much earlier."""
        for path in [path for path in self.shared.rglob("*") if path.is_file()]:
            found = path.stat()
            if "tombstones" in path.parts:
                told = json.loads(path.read_text())
                told["marked"] -= seconds
                told["modified"] -= seconds
                told["tag"] = ""
                path.write_text(json.dumps(told))
            os.utime(path, (found.st_atime - seconds, found.st_mtime - seconds))

    def tree(self) -> dict[str, int]:
        return {str(path): path.stat().st_mtime_ns for path in self.shared.rglob("*") if path.is_file()}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    yield made
    made.cache.close()
    made.store.holds.release()


def test_marked_then_deleted(place: Place) -> None:
    one, two, three = place.put("one", "two", "three")
    place.needed = {one}
    place.send([one, two, three])
    plan, report = place.run()
    assert {i.digest for i in plan.young} == {two, three} and plan.empty and not place.marked()
    place.later = RETENTION + 60
    plan, report = place.run()
    assert {i.digest for i in plan.mark} == {i.digest for i in report.marked} == {two, three} == place.marked()
    assert plan.needed == (1, 2000)
    place.later += WAIT - 60
    plan, report = place.run()
    assert {i.digest for i in plan.waiting} == {two, three} and not report.deleted
    place.later += 120
    plan, report = place.run()
    assert {i.digest for i in report.deleted} == {two, three} and sum(i.size for i in report.deleted) == 4000
    assert place.there() == {one} and not place.marked()
    assert not (place.shared / layout.TURN).exists()
    assert place.gc().plan(RetentionRules()).empty


def test_planning_changes_nothing(place: Place) -> None:
    place.send(place.put("one", "two"))
    place.later = RETENTION + 60
    before = place.tree()
    assert len(place.gc().plan(RetentionRules()).mark) == 2
    assert place.tree() == before
    place.run()
    place.later += WAIT + 60
    before = place.tree()
    plan = place.gc().plan(RetentionRules())
    assert len(plan.delete) == 2 and json.dumps(plan.fields())
    assert place.tree() == before


def test_what_is_needed_or_sent_again_is_kept(place: Place) -> None:
    needed, sent, lonely = place.put("needed", "sent", "lonely")
    place.send([needed, sent, lonely])
    place.age(RETENTION + 60)
    place.run()
    assert place.marked() == {needed, sent, lonely}
    place.age(WAIT + 60)
    place.needed = {needed}
    assert place.send([sent]) == {sent: False}
    plan, report = place.run()
    assert set(plan.unmark) == {needed, sent} and {i.digest for i in report.deleted} == {lonely}
    assert place.there() == {needed, sent} and not place.marked()


def test_what_is_sent_after_the_plan_is_kept(place: Place) -> None:
    one, two = place.due("one", "two")
    gc = place.gc()
    plan = gc.plan(RetentionRules())
    place.send([one])
    report = gc.execute(plan)
    assert {i.digest for i in report.deleted} == {two} and report.stayed == 1 and place.there() == {one}


def test_nothing_goes_that_was_not_shown(place: Place) -> None:
    one, two = place.put("one", "two")
    place.send([one, two])
    place.age(RETENTION + 60)
    gc = place.gc()
    place.needed = {two}
    plan = gc.plan(RetentionRules())
    place.needed = set()
    assert {i.digest for i in gc.execute(plan).marked} == {one} == place.marked()


@pytest.mark.parametrize("damage", [b"", b"[]", b"\xff", b'{"marked": "x"}'])
def test_a_damaged_mark_counts_for_nothing(place: Place, damage: bytes) -> None:
    (one,) = place.put("one")
    place.send([one])
    place.age(RETENTION + WAIT + 60)
    place.backend.write(layout.tombstone(one), damage)
    plan, report = place.run()
    assert not plan.delete and {i.digest for i in report.marked} == {one} and place.there() == {one}


def test_refusals(place: Place, tmp_path: Path) -> None:
    (tmp_path / "shallow").write_text("")
    for changed, said in (
        ({"reachable": False, "reason": "away"}, "away"),
        ({"as_of": None}, "partial"),
        ({"held": LiveRecipes(missing=frozenset({b"x"}))}, "partial"),
        ({"path": str(tmp_path)}, "shallow"),
    ):
        gc = RemoteGc(place.remote, lambda changed=changed: [holder(set()), holder(set(), **changed)])
        with pytest.raises(Conflict, match=said) as caught:
            gc.plan(RetentionRules())
        assert caught.value.kind == "needs-unknown"

    class Listless(Directory):
        lists = False

    with pytest.raises(StorageError, match="listings"):
        place.gc(Listless(str(place.shared))).plan(RetentionRules())


def test_one_at_a_time(place: Place) -> None:
    place.send(place.put("one"))
    place.age(RETENTION + 60)
    lock = place.shared / layout.TURN
    waited: list[float] = []
    gc = place.gc(watched=2.0, waits=waited.append)
    plan = gc.plan(RetentionRules())
    with AdvisoryLock(place.backend, 5.0, 0.01, watched=0.4):
        for hours in (-2, 0, 2):  # the server's clock jumps: the holder is as alive as before
            os.utime(lock, (0, time.time() + hours * 3600))
            with pytest.raises(Conflict, match="another gc is running") as caught:
                gc.execute(plan)
            assert caught.value.kind == "remote-busy" and not place.marked()
    assert waited == [2.0] * 3 and not lock.exists()
    for hours in (-2, 2):
        place.backend.write(layout.TURN, b"of one that was killed")
        os.utime(lock, (0, time.time() + hours * 3600))
        gc = place.gc(watched=0.1)
        gc.execute(gc.plan(RetentionRules()))
        assert place.marked() and not lock.exists()


def test_one_that_was_suspended_deletes_nothing_more(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its machine sleeps for hours just before it deletes: another gc has taken over, or the check is repeated."""
    one, two = place.due("one", "two")
    place.remote.settled = 0.01
    asleep = 0.0
    running = boot.seconds_since_boot
    for module in (remote_gc, advisory_lock):
        monkeypatch.setattr(module, "seconds_since_boot", lambda: running() + asleep)

    class Suspended(Directory):
        """Sleeps while it asks for the content that comes first."""

        checks = 0
        overtaken = b""

        def head(self, name: str) -> Head | None:
            nonlocal asleep
            found = super().head(name)
            if name == layout.content(first):
                self.checks += 1
                if self.checks == 1:
                    asleep += 7200
                    if self.overtaken:
                        self.write(layout.TURN, self.overtaken)
                    else:
                        place.send([first])
            return found

    first, second = sorted((one, two), key=lambda digest: digest.hex)
    backend = Suspended(str(place.shared))
    _, report = place.run(backend)
    assert [item.digest for item in report.deleted] == [second] and report.stayed == 1 and backend.checks == 2
    assert place.there() == {first}
    (first,) = place.due("three")
    backend = Suspended(str(place.shared))
    backend.overtaken = b"another one"
    with pytest.raises(Conflict, match="another gc has started"):
        place.run(backend)
    assert first in place.there() and (place.shared / layout.TURN).read_bytes() == b"another one"


@pytest.mark.parametrize("jump", [-7200.0, 7200.0])
def test_the_clock_jumps_between_plan_and_deletion(place: Place, jump: float) -> None:
    """What is not needed waits longer or shorter by as much; what was sent again is another object all the same."""
    kept, sent, doomed = place.due("kept", "sent", "doomed")
    gc = place.gc()
    plan = gc.plan(RetentionRules())
    assert len(plan.delete) == 3
    place.later += jump
    place.needed = {kept}
    place.send([sent])
    os.utime(place.shared / layout.content(sent), (0, time.time() + jump))
    (new,) = place.put("new")
    place.send([new])
    report = gc.execute(plan)
    assert {item.digest for item in report.deleted} <= {doomed}
    assert place.there() >= {kept, sent, new} and new not in place.marked()


def test_a_content_that_is_locked_for_a_moment(place: Place) -> None:
    """It is looked at again before each try; what somebody sent meanwhile stays."""
    one, two = place.due("one", "two")
    refused: list[str] = []

    class Locked(Directory):
        def delete(self, name: str) -> None:
            if name.startswith(layout.CONTENTS) and name not in refused:
                refused.append(name)
                if name == layout.content(two):
                    place.backend.write(name, noise("two", 2000))
                raise StorageError("remote-unreachable", "423 Locked")
            super().delete(name)

    _, report = place.run(Locked(str(place.shared)))
    assert {item.digest for item in report.deleted} == {one} and report.stayed == 1
    assert place.there() == {two} and len(refused) == 2


def test_what_killed_ones_left_is_removed(place: Place) -> None:
    place.backend.write(f"{layout.PROBE}old", b"x")
    place.send(place.put("one"))
    place.age(RETENTION + 60)
    place.backend.write(f"{layout.PROBE}new", b"x")
    place.run()
    assert [name for name, _ in place.backend.names(layout.PROBE)] == [f"{layout.PROBE}new"]


def record(place: Place, name: str, digest: Digest) -> None:
    recipe = Recipe("procedural.image", "1", params={"prompt": name}, output=Output("image/png"))
    place.cache.record(recipe, Result(recipe.key, {"main": Content(digest, 2000, "image/png")}, 1.0, time.time(), {}))


def test_records_keep_while_they_are_young_and_go_with_their_contents(place: Place) -> None:
    one, two = place.put("one", "two")
    place.needed = {two}
    place.send([one, two])
    place.age(RETENTION + 60)
    record(place, "one", one)
    record(place, "two", two)
    records = Records(place.remote)
    assert records.push(place.cache, {one, two}) == 2
    plan, _ = place.run()
    assert plan.needed[0] == 2 and not place.marked()
    place.age(RETENTION + 60)
    place.run()
    place.age(WAIT + 60)
    before = {name for name, _ in place.backend.names(layout.RECORDS)}
    plan, report = place.run()
    assert {i.digest for i in report.deleted} == {one} and report.lines == 1
    after = dict(place.backend.names(layout.RECORDS))
    assert len(after) == 1 and not before & after.keys()
    # The new file is no younger than what it was made of: what it speaks of is not kept anew.
    place.needed = set()
    plan, _ = place.run()
    assert {i.digest for i in plan.mark} == {two}
    other = Records(Remote("studio", place.backend, ContentStore(str(place.folder / "other"))))
    other.fetch()
    assert [known.name for known in other.known_outputs(two)] == ["main"] and not other.known_outputs(one)
    # And who had the old file tells again what is gone, once it is there again.
    place.send([one])
    records.fetch()
    assert records.push(place.cache, {one, two}) == 1


# ---------------------------------------------------------------------------------- kills and pushes


class Killed(Directory):
    """Ends the process before its n-th change, or after it; may let somebody act before each."""

    def __init__(self, path: str, at: int, after: bool, before: Callable[[str], None] = lambda name: None) -> None:
        super().__init__(path)
        self.left = at
        self.after = after
        self.before = before

    def _change(self, work: Callable[[], None], name: str) -> None:
        self.left -= 1
        self.before(name)
        if self.left == 0 and not self.after:
            os._exit(77)
        work()
        if self.left == 0:
            os._exit(77)

    def write(self, name: str, data: bytes) -> None:
        self._change(lambda: super(Killed, self).write(name, data), name)

    def write_file(self, name: str, path: str, told: Told) -> None:
        self._change(lambda: super(Killed, self).write_file(name, path, told), name)

    def delete(self, name: str) -> None:
        self._change(lambda: super(Killed, self).delete(name), name)


def in_a_process(work: Callable[..., object], *given: object) -> int:
    """Forks; gives the child's id."""
    child = os.fork()
    if child:
        return child
    try:
        work(*given)
        os._exit(0)
    except BaseException as error:
        os.write(2, repr(error).encode())
        os._exit(1)


def ended(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def stale(place: Place) -> None:
    """As if a killed gc's lock had been watched for long enough."""
    place.backend.delete(layout.TURN)


@pytest.mark.parametrize("after", [False, True])
def test_killed_at_every_change(tmp_path: Path, after: bool) -> None:
    """At whatever change it is killed: what is needed stays, what a push was told is there is there, and the next
    run does the rest."""
    at, code = 0, 77
    while code == 77:
        at += 1
        place = Place(tmp_path / str(at))
        kept, sent, marked, doomed, old = place.put("kept", "sent", "marked", "doomed", "old")
        place.send([kept, sent, marked, doomed])
        record(place, "doomed", doomed)
        record(place, "kept", kept)
        Records(place.remote).push(place.cache, {doomed, kept})
        place.cache.close()
        place.needed = {kept}
        place.age(RETENTION + 60)
        place.run()
        place.age(WAIT + 60)
        place.send([old])
        os.utime(place.shared / layout.content(old), (0, time.time() - RETENTION - 60))
        place.send([sent])
        code = ended(in_a_process(place.run, Killed(str(place.shared), at, after)))
        assert code in (0, 77)
        place.remote.settled = 0.01
        place.send([sent, marked])
        assert place.there() >= {kept, sent, marked}
        stale(place)
        place.run()
        assert place.there() == {kept, sent, marked, old} and place.marked() == {old}
        records = Records(place.remote)
        records.fetch()
        assert records.known_outputs(kept) and not records.known_outputs(doomed)
        place.store.holds.release()
    assert at > 10


def test_a_push_between_the_last_look_and_the_deleting(place: Place) -> None:
    """gc looks, a push sends the content, gc deletes it: the push looks again, and sends it once more."""
    (one,) = place.put("one")
    place.send([one])
    place.age(RETENTION + 60)
    place.run()
    place.age(WAIT + 60)
    pushers: list[int] = []

    def push(name: str) -> None:
        if name == layout.content(one) and not pushers:
            written = place.shared / name
            was = written.stat().st_ino
            pushers.append(in_a_process(place.send, [one]))
            until = time.monotonic() + 20
            while written.stat().st_ino == was and time.monotonic() < until:
                time.sleep(0.005)
            assert written.stat().st_ino != was

    _, report = place.run(Killed(str(place.shared), 0, False, push))
    assert len(report.deleted) == 1
    assert ended(pushers[0]) == 0
    assert place.there() == {one}


def test_marked_during_a_push(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was there at the beginning and is marked before the end is sent again."""
    old, new = place.put("old", "new")
    place.send([old])
    place.age(RETENTION + 60)
    sent = place.backend.write_file

    def send(name: str, path: str, told: Told) -> None:
        sent(name, path, told)
        if name == layout.content(new):
            place.run()

    monkeypatch.setattr(place.backend, "write_file", send)
    assert place.send([old, new]) == {old: False, new: False}
    plan, _ = place.run()
    assert plan.unmark == (old,) and place.there() == {old, new}


def pushing(place: Place, digests: list[Digest], log: Path, seed: int) -> None:
    """Push some contents, several times, and write down what is told to be there."""
    mine = random.Random(seed)
    with open(log, "a", buffering=1) as file:
        for _ in range(4):
            for moved in place.remote.send(mine.sample(digests, 6), quiet):
                assert moved.error is None
                file.write(f"{moved.digest.hex}\n")


@pytest.mark.heavy
def test_pushes_beside_a_gc_that_is_killed(tmp_path: Path) -> None:
    seed = fresh_seed()
    print("seed", seed)
    chance = random.Random(seed)
    sent_again = deleted = 0
    for turn in range(12):
        place = Place(tmp_path / str(turn))
        names = [f"{number}" for number in range(60)]
        digests = place.put(*names)
        place.send(digests)
        place.age(RETENTION + 60)
        place.run()
        place.age(WAIT + 60)
        place.cache.close()
        place.remote.settled = 0.5
        log = place.folder / "told"

        pushers = [in_a_process(pushing, place, digests, log, chance.randrange(1 << 30)) for _ in range(2)]
        code = 77
        while code == 77:
            stale(place)
            at, after = chance.randrange(1, 90), chance.random() < 0.5
            code = ended(in_a_process(place.run, Killed(str(place.shared), at, after)))
            assert code in (0, 77)
        assert [ended(pusher) for pusher in pushers] == [0, 0]
        told = {Digest(bytes.fromhex(line)) for line in log.read_text().split()}
        there = place.there()
        assert told <= there
        sent_again += len(told)
        deleted += len(digests) - len(there)
        place.store.holds.release()
    assert sent_again and deleted
