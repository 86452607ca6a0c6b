"""Clearing up real servers: marks and deleting, pushes and other gcs beside it, SIGKILL between any two requests."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from regenstore.errors import Conflict, StorageError
from regenstore.objects.ids import Digest
from regenstore.remotes import layout
from regenstore.remotes.gc import RETENTION, WAIT, RetentionRules
from regenstore.remotes.records import Records
from tests.conftest import THOROUGH, fresh_seed
from tests.remotes.gc_place import GcPlace, Job
from tests.remotes.real_servers import Started

LISTING = ("nginx-dav", "rclone-dav", "rclone-s3", "seaweedfs", "seaweedfs-dav", "sshd")
"""Those that give listings; rclone's S3 ignores conditions, and tells an ETag that is no MD5."""
WHOLE = ("nginx-dav",)
"""That on which it is killed before each request; on the others, before some."""
NEW = 2.1
"""Seconds until a server's times tell two writings apart; what gc marks is an hour old and more."""
SETTLED = 20.0


@pytest.fixture(params=[pytest.param(name, marks=pytest.mark.heavy) for name in LISTING])
def rooms(request: pytest.FixtureRequest, tmp_path: Path, servers: Started) -> Iterator[Callable[[], GcPlace]]:
    """Opens places on one server, each below a folder of its own that is not there yet."""
    if request.param in ("rclone-s3", "seaweedfs"):
        pytest.importorskip("obstore")
    if request.param == "sshd":
        pytest.importorskip("asyncssh")
    made: list[GcPlace] = []

    with servers.room(request.param) as url:

        def room() -> GcPlace:
            made.append(GcPlace(tmp_path / str(len(made)), f"{url}/{len(made)}"))
            return made[-1]

        yield room
        for place in made:
            place.close()


@pytest.fixture
def place(rooms: Callable[[], GcPlace]) -> GcPlace:
    return rooms()


def due(places: list[GcPlace]) -> list[dict[str, Digest]]:
    """In each place: what is kept by a root, marked and sent again, marked only; all old enough to be deleted."""
    names = ("kept", "sent", "doomed")
    found = []
    for place in places:
        digests = dict(zip(names, place.put(*names), strict=True))
        place.send(digests.values())
        place.tell(("kept", digests["kept"]), ("doomed", digests["doomed"]))
        place.needed = {digests["kept"]}
        place.later = 2 * RETENTION
        place.gc().execute_all()
        assert place.marked() == {digests["sent"], digests["doomed"]}
        place.later += WAIT + 60
        found.append(digests)
    time.sleep(NEW)
    return found


def forget_the_turn(place: GcPlace) -> None:
    """As if it had been watched for long enough."""
    place.backend.delete(layout.TURN)


# ---------------------------------------------------------------------------------- its work


def test_marked_then_deleted(place: GcPlace) -> None:
    one, two, three = place.put("one", "two", "three")
    place.needed = {one}
    assert place.gc().plan(RetentionRules()).empty
    place.send([one, two, three])
    assert {item.digest for item in place.gc().plan(RetentionRules()).young} == {two, three}
    time.sleep(NEW)
    place.later = RETENTION + 60
    plan = place.gc().plan(RetentionRules())
    assert {item.digest for item in plan.mark} == {two, three} and not place.marked()
    assert len(place.gc().execute(plan).marked) == 2 and place.marked() == {two, three}
    place.later += WAIT - 60
    plan = place.gc().plan(RetentionRules())
    assert {item.digest for item in plan.waiting} == {two, three} and plan.empty
    place.later += 120
    assert place.send([three]) == {three: False}
    plan = place.gc().plan(RetentionRules())
    assert [item.digest for item in plan.delete] == [two] and place.there() == {one, two, three}
    report = place.gc().execute(plan)
    assert [item.digest for item in report.deleted] == [two]
    assert place.there() == {one, three}
    assert place.backend.head(layout.TURN) is None and place.marked() <= {three}
    place.fetch([one, three])


def test_more_than_a_server_lists_at_once(place: GcPlace, request: pytest.FixtureRequest) -> None:
    """An S3 gives a thousand names, OpenSSH a hundred."""
    count = 1020 if request.node.callspec.params["rooms"] in ("rclone-s3", "seaweedfs") else 200
    digests = place.put(*(f"{number}" for number in range(count)))
    place.needed = set(digests[20:])
    place.send(digests)
    place.later = RETENTION + 60
    time.sleep(NEW)
    gc = place.gc()
    assert len(gc.execute(gc.plan(RetentionRules())).marked) == 20
    place.later += WAIT + 60
    gc = place.gc()
    plan = gc.plan(RetentionRules())
    assert len(plan.delete) == 20 and plan.needed == (count - 20, (count - 20) * 2000)
    assert len(gc.execute(plan).deleted) == 20
    assert place.there() == place.needed and not place.marked()


@pytest.mark.heavy
def test_a_server_that_cannot_list(servers: Started, tmp_path: Path) -> None:
    with servers.room("nginx") as url:
        place = GcPlace(tmp_path, url)
        place.send(place.put("one"))
        with pytest.raises(StorageError, match="no listings") as caught:
            place.gc().plan(RetentionRules())
        assert caught.value.kind == "remote-failed"
        assert place.backend.head(layout.TURN) is None
        place.close()


# ---------------------------------------------------------------------------------- killed


def test_killed_before_every_request(rooms: Callable[[], GcPlace], request: pytest.FixtureRequest) -> None:
    """Wherever it is killed: what is needed can be fetched, what a push was told is there is there, what is known of
    it is found, and the next run does the rest."""
    asked: list[str] = []
    first = rooms()
    due([first])
    first.gc(lambda method, name: asked.append(method)).execute_all()
    step = (1 if THOROUGH else 3) if request.node.callspec.params["rooms"] in WHOLE else 8
    points = range(fresh_seed() % step + 1, len(asked) + 1, step)
    places = [rooms() for _ in points]
    for at, place, of in zip(points, places, due(places), strict=True):
        process = place.job(kill=at).start()
        said = process.end()
        assert process.returncode == -signal.SIGKILL, (at, said)
        place.fetch([of["kept"]])
        place.remote.settled = 0.2
        place.send([of["sent"]])
        forget_the_turn(place)
        place.gc().execute_all()
        assert place.there() == {of["kept"], of["sent"]}, at
        place.fetch([of["kept"], of["sent"]])
        records = Records(place.elsewhere())
        records.fetch()
        assert records.known_outputs(of["kept"]) and not records.known_outputs(of["doomed"]), at


def test_killed_at_any_time(rooms: Callable[[], GcPlace]) -> None:
    """Within requests too: one gc after the other is killed, and pushes go on."""
    seed = fresh_seed()
    print("seed", seed)
    chance = random.Random(seed)
    place = rooms()
    digests = place.put(*(f"{number}" for number in range(40)))
    place.send(digests)
    place.needed = set(digests[:10])
    place.later = 2 * RETENTION
    place.gc().execute_all()
    place.later += WAIT + 60
    time.sleep(NEW)
    sent: set[Digest] = set()
    for _ in range(6):
        forget_the_turn(place)
        process = place.job().start()
        time.sleep(chance.uniform(0.0, 0.8))
        again = chance.sample(digests, 3)
        pusher = Job(place.url, place.store.root, [d.hex for d in again], 0.0, push=True).start()
        time.sleep(chance.uniform(0.0, 0.3))
        process.kill()
        process.end()
        said = pusher.end()
        assert pusher.returncode == 0, said
        sent.update(again)
        assert sent | place.needed <= place.there()
    forget_the_turn(place)
    place.gc().execute_all()
    assert place.there() == sent | place.needed
    place.fetch(place.there())


# ---------------------------------------------------------------------------------- beside others


def interleaved(place: GcPlace, of: dict[str, Digest], at: int, steps: int) -> set[Digest]:
    """gc stops before its request ``at``; a push does so many steps; gc comes to its end; then the push. Gives what
    the push was told to be there."""
    pushed = [of["sent"], of["doomed"], *place.put("new")]
    stepped, go_on = threading.Event(), threading.Event()
    done = 0

    def step(method: str, name: str) -> None:
        nonlocal done
        if done == steps:
            stepped.set()
            assert go_on.wait(30)
        done += 1

    pusher = place.beside(step)
    pusher.settled = SETTLED
    told: set[Digest] = set()

    def push() -> None:
        try:
            told.update(place.send(pushed, pusher))
        finally:
            stepped.set()

    thread = threading.Thread(target=push)
    count = 0

    def before(method: str, name: str) -> None:
        nonlocal count
        count += 1
        if count == at:
            thread.start()
            assert stepped.wait(30)

    try:
        place.gc(before).execute_all()
        if count < at:
            thread.start()
    finally:
        go_on.set()
        if thread.ident is not None:
            thread.join(60)
    assert not thread.is_alive()
    return told


def test_a_push_beside_it(rooms: Callable[[], GcPlace]) -> None:
    """gc stops somewhere, a push goes on to somewhere: what the push was told stays, now and after the next run."""
    seed = fresh_seed()
    print("seed", seed)
    chance = random.Random(seed)
    asked: list[tuple[str, str]] = []
    first = rooms()
    (of,) = due([first])
    first.gc(lambda method, name: asked.append((method, name))).execute_all()
    deleting = asked.index(("delete", layout.content(of["doomed"]))) + 1
    places = [rooms() for _ in range(16)]
    for number, (place, of) in enumerate(zip(places, due(places), strict=True)):
        at, steps = chance.randrange(1, len(asked) + 2), chance.randrange(1, 16)
        if number < 12:  # while it looks and deletes, after each step of the push
            at, steps = deleting - number % 2, 2 + number
        told = interleaved(place, of, at, steps)
        assert told | {of["kept"]} <= place.there(), (at, steps)
        place.gc().execute_all()
        assert told | {of["kept"]} <= place.there(), (at, steps)
        place.fetch(told | {of["kept"]})


def test_two_at_once(place: GcPlace) -> None:
    """Whoever comes second is refused, and changes nothing."""
    (of,) = due([place])
    refused = []

    def before(method: str, name: str) -> None:
        if method == "delete" and name.startswith(layout.CONTENTS):
            with pytest.raises(Conflict) as caught:
                place.gc().execute_all()
            refused.append(caught.value.kind)

    place.gc(before).execute_all()
    assert set(refused) == {"remote-busy"}
    assert place.there() == {of["kept"]} and place.backend.head(layout.TURN) is None


def test_two_that_both_have_the_turn(place: GcPlace) -> None:
    """Both looked; one deletes, a push sends it anew, and the other one deletes that: the push sends it once more."""
    (of,) = due([place])
    doomed = layout.content(of["doomed"])
    looked, both, written = threading.Event(), threading.Event(), threading.Event()

    def first(method: str, name: str) -> None:
        if (method, name) == ("write", layout.TURN) and not looked.is_set():
            looked.set()
            assert both.wait(30)

    def second(method: str, name: str) -> None:
        if (method, name) == ("delete", doomed):
            both.set()
            assert written.wait(30)

    sent: list[str] = []

    def push(method: str, name: str) -> None:
        if method == "write":
            sent.append(name)
            threading.Timer(0.5, written.set).start()  # after it was looked at

    def overtaken() -> None:
        with pytest.raises(Conflict, match="another gc has started"):
            place.gc(second, 3.0).execute_all()

    threads = [threading.Thread(target=work) for work in (place.gc(first, 3.0).execute_all, overtaken)]
    threads[0].start()
    assert looked.wait(30)
    threads[1].start()
    assert both.wait(30)
    while place.backend.head(doomed) is not None:
        time.sleep(0.01)
    time.sleep(0.2)
    pusher = place.beside(push)
    pusher.settled = SETTLED
    place.send([of["doomed"]], pusher)
    for thread in threads:
        thread.join(60)
    assert of["doomed"] in place.there() and sent.count(doomed) > 1


def test_two_begin_at_the_same_moment(rooms: Callable[[], GcPlace]) -> None:
    """Many times: together they do what one does."""
    places = [rooms() for _ in range(4)]
    for place, of in zip(places, due(places), strict=True):
        both = [place.job().start() for _ in range(2)]
        said = [process.end() for process in both]
        assert 0 in [process.returncode for process in both], said
        assert all(not text or "remote-busy" in text or "another gc" in text for text in said), said
        assert place.there() == {of["kept"]} and not place.marked()
        place.fetch([of["kept"]])
