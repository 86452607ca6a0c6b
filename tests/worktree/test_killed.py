"""A process killed before each single thing that placing does to a file: the next one finds nothing that it does not
know as ours, and what people wrote is where they wrote it."""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from regenstore.fs import swap
from regenstore.fs.swap import NOTHING, Identity, Nothing
from regenstore.worktree.index_lock import STAGE_PREFIX, mark_of
from regenstore.worktree.location import Location, locate
from regenstore.worktree.place import Placement, Placer
from regenstore.worktree.recovery import abandoned_lock, recover
from tests.conftest import Checkout

CHANGES = {"os.rename", "os.link", "os.remove", "os.mkdir", "os.rmdir"}
RECIPE, MEDIUM = b"recipe\n", b"medium " * 100


def dying(work: Callable[[], object], point: int, late: Callable[[], object] = lambda: None) -> int:
    """Run in a child that is killed before its n-th change to a file; gives how many changes it made. ``late`` runs
    just before each rename of ours."""
    end, begin = os.pipe()
    if child := os.fork():
        os.close(begin)
        with open(end, "rb") as told:
            count = len(told.read())
        os.waitpid(child, 0)
        return count
    seen = 0

    def change() -> None:
        nonlocal seen
        seen += 1
        if seen == point:
            os.kill(os.getpid(), signal.SIGKILL)
        os.write(begin, b".")

    def audit(event: str, arguments: tuple[object, ...]) -> None:
        opened = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if event in CHANGES or (opened and not isinstance(arguments[0], int)):
            change()

    real = swap._renameat2

    def renameat2(*given: object) -> int:
        change()
        late()
        return real(*given)

    try:
        swap._renameat2 = renameat2
        sys.addaudithook(audit)
        work()
        os._exit(0)
    finally:
        os._exit(1)


@pytest.fixture
def place(empty: Checkout) -> Location:
    empty.write("a.txt", RECIPE)
    empty.commit("text")
    return locate(str(empty.path))


def left(place: Location) -> list[str]:
    return [name for name in os.listdir(place.git_dir) if STAGE_PREFIX in name or name.endswith(".lock")]


def oid(checkout: Checkout) -> bytes:
    return bytes.fromhex(checkout.git("rev-parse", ":a.txt"))


@pytest.mark.parametrize("renames", [True, False], ids=["renameat2", "links"])
@pytest.mark.parametrize("new", [True, False], ids=["nothing there", "a file there"])
def test_killed_anywhere(
    empty: Checkout, place: Location, new: bool, renames: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not renames:
        monkeypatch.setattr(swap, "_found", [lambda *given: errno.ENOSYS])
    name = empty.path / "a.txt"
    blob, point = oid(empty), 0
    locked = 0
    while True:
        point += 1
        name.unlink(missing_ok=True)
        if not new:
            name.write_bytes(RECIPE)
        wish = Placement(b"a.txt", MEDIUM, NOTHING if new else RECIPE, blob)
        count = dying(lambda wish=wish: Placer(place, 20).place([wish]), point)
        lock = place.index + ".lock"
        if os.path.lexists(lock):
            locked += 1
            assert mark_of(lock) is not None and abandoned_lock(place) == lock, "it is known by its content"
        assert not recover(place, 20).problems
        assert left(place) == []
        assert name.read_bytes() in (MEDIUM, RECIPE) if name.exists() else new
        if count < point - 1 or count + 1 > point:
            break  # it was not killed any more
    assert name.read_bytes() == MEDIUM
    assert point > 10 and locked >= 3


def test_a_lock_whose_stage_is_gone_is_ours_all_the_same(empty: Checkout, place: Location) -> None:
    lock = Path(place.index + ".lock")
    lock.write_text(f"{STAGE_PREFIX}1-12345678")
    assert abandoned_lock(place) == str(lock)
    recover(place, 20)
    assert not lock.exists()


@pytest.mark.parametrize("text", ["", "DIRC\0\0\0\2", "1234", f"{STAGE_PREFIX}1-1/x"])
def test_a_lock_of_somebody_else_stays(place: Location, text: str) -> None:
    lock = Path(place.index + ".lock")
    lock.write_text(text)
    assert abandoned_lock(place) is None
    assert not recover(place, 20).problems
    assert lock.read_text() == text


def test_a_lock_for_another_index_goes_with_its_stage(empty: Checkout, place: Location) -> None:
    """Git's hooks may have us work on an index of another name."""
    other = Location(place.top, place.git_dir, place.common_dir, place.git_dir + "/other")
    Path(other.index).write_bytes(Path(place.index).read_bytes())
    for point in range(1, 30):
        (empty.path / "a.txt").write_bytes(RECIPE)
        dying(lambda: Placer(other, 20).place([Placement(b"a.txt", MEDIUM, RECIPE, oid(empty))]), point)
        recover(place, 20)
        assert left(place) == []


def saves(name: Path) -> Callable[[], None]:
    """An editor that saves once, in the last instant before a rename of ours over its file."""
    done: list[int] = []

    def late() -> None:
        if len(done) == 1:
            beside = name.with_suffix(".new")
            beside.write_bytes(b"edited")
            os.replace(beside, name)
        done.append(1)

    return late


def test_what_was_saved_in_the_last_instant_comes_back_after_a_kill(empty: Checkout, place: Location) -> None:
    """The first rename takes the lock, the second exchanges the file with what was just saved."""
    if swap._system()(-100, b"/", -100, b"/", 1) == errno.ENOSYS:
        pytest.skip("the system has no renameat2")
    name = empty.path / "a.txt"
    kept = 0
    for point in range(1, 40):
        name.write_bytes(RECIPE)
        work = Placement(b"a.txt", MEDIUM, RECIPE, oid(empty))
        dying(lambda work=work: Placer(place, 20).place([work]), point, saves(name))
        killed_within = name.read_bytes() == MEDIUM
        assert not recover(place, 20).problems
        assert left(place) == []
        assert name.read_bytes() in (RECIPE, b"edited")
        kept += killed_within
    assert kept, "no kill came between the exchange and the way back"


def test_what_has_no_way_back_is_named_and_stays(empty: Checkout, place: Location) -> None:
    name = empty.path / "a.txt"
    for point in range(1, 40):
        name.write_bytes(RECIPE)
        work = Placement(b"a.txt", MEDIUM, RECIPE, oid(empty))
        dying(lambda work=work: Placer(place, 20).place([work]), point, saves(name))
        if name.read_bytes() == MEDIUM:
            break
        recover(place, 20)
    name.write_bytes(b"newer still")
    (problem,) = recover(place, 20).problems
    assert "a.txt" in problem.message and STAGE_PREFIX in problem.message
    (stage,) = Path(place.git_dir).glob(f"{STAGE_PREFIX}*")
    assert b"edited" in [file.read_bytes() for file in stage.iterdir()]
    assert name.read_bytes() == b"newer still"
    assert not os.path.lexists(place.index + ".lock")


def test_a_stage_that_cannot_be_read_is_named(place: Location) -> None:
    folder = Path(place.git_dir) / f"{STAGE_PREFIX}1-12345678"
    folder.mkdir()
    os.mkfifo(folder / "moves")
    (problem,) = recover(place, 20).problems
    assert problem.kind == "unreadable" and str(folder) in problem.message
    assert folder.exists()


@pytest.mark.parametrize("code", [errno.EIO, errno.EACCES, errno.ESTALE])
def test_what_cannot_be_looked_at_is_skipped_by_name_and_the_rest_is_placed(
    empty: Checkout, place: Location, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    empty.write("b.txt", RECIPE)
    empty.write("c.txt", RECIPE)
    real = os.lstat

    def lstat(path: object, **named: object) -> os.stat_result:
        if path == b"b.txt":
            raise OSError(code, os.strerror(code))
        return real(path, **named)

    monkeypatch.setattr(os, "lstat", lstat)
    wishes = [Placement(name, MEDIUM, RECIPE) for name in (b"a.txt", b"b.txt", b"c.txt")]
    report = Placer(place, 20).place(wishes)
    assert report.placed == [b"a.txt", b"c.txt"]
    ((path, error),) = report.skipped
    assert (path, error.kind) == (b"b.txt", "unreadable") and "b.txt" in error.message
    assert empty.read("b.txt") == RECIPE


def test_placements_say_what_was_seen(empty: Checkout, place: Location) -> None:
    """Nothing, one file, or a text: what else is there stays."""
    name = empty.path / "a.txt"
    found = swap.identity(name.stat())
    for replaces in (NOTHING, Identity(found.inode, found.modified, found.size, found.changed - 1), b"other\n"):
        report = Placer(place, 20).place([Placement(b"a.txt", MEDIUM, replaces)])
        assert [error.kind for _, error in report.skipped] == ["edited"], replaces
    assert name.read_bytes() == RECIPE
    assert Placer(place, 20).place([Placement(b"a.txt", MEDIUM, found)]).placed == [b"a.txt"]
    name.unlink()
    for gone in (found, RECIPE):
        assert Placer(place, 20).place([Placement(b"a.txt", MEDIUM, gone)]).placed == []
    assert isinstance(NOTHING, Nothing)
    assert Placer(place, 20).place([Placement(b"new/a.txt", MEDIUM, NOTHING)]).placed == [b"new/a.txt"]
