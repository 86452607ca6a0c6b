"""What cannot be read is not missing: one file or folder after the other is made unreadable, and the commands that
depend on it say which, end with an error, and change nothing."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest

from regenstore.refs.registration import registrations
from tests.conftest import Checkout, copied, noise
from tests.unprivileged import AS_USER, bytes_below, needed, unreadable

pytestmark = needed
SEA = "plates/sea.png"
VOLATILE = re.compile(r"results\.sqlite|use-|gc\Z|speed\.json\Z|.*\.held\Z")
"""Files that asking alone may write: databases, holds, locks, what was held."""
GC = ("gc", "--yes", "--unreachable", "--purge", "--free", "1g")
WHY, STATUS, DOCTOR = ("why", SEA), ("status",), ("doctor",)
FSCK, PUSH, PUSH_ALL, REMOTE_GC = ("fsck",), ("push",), ("push", "--all"), ("remote", "gc", "studio", "--yes")


class Rig:
    """A film with a proven older take, one in the trash, a discarded try, a stash, a linked worktree and a remote."""

    def __init__(self, film: Checkout, shared: Path) -> None:
        self.film = film
        self.git = film.path / ".git"
        self.shared = shared

    def said(self, *command: str) -> tuple[int, str]:
        done = self.film.run(*AS_USER, "regenstore", *command, check=False)
        out, err = done.stdout.decode(), done.stderr.decode()
        assert "Traceback" not in err and "bug" not in err, err
        return done.returncode, out + err

    def kept(self) -> dict[str, bytes]:
        return bytes_below(self.film.store, self.shared, leave=VOLATILE)

    def refuses(self, path: Path, *commands: tuple[str, ...]) -> None:
        """Each of the commands names the path, fails, and changes nothing."""
        before = self.kept()
        for command in commands:
            with unreadable(path):
                code, said = self.said(*command)
            assert str(path) in said, f"{command}: {said}"
            # status tells what it can, and says what it cannot
            assert code in ((0, 6) if command == STATUS else (1, 6)), f"{path}: {command} gave {code}: {said}"
            assert "missing" not in said.replace("not missing", ""), said
        changed = {name for name, data in before.items() if self.kept().get(name) != data}
        assert not changed, f"{path}: {changed}"


@pytest.fixture(scope="module")
def rig(film_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Rig:
    """Made once: nothing here changes it."""
    tmp_path = tmp_path_factory.mktemp("unreadable")
    film = copied(film_template, tmp_path, Checkout)
    film.regenstore("verify", "--all")
    film.regenstore("set", SEA, "seed=7")
    film.commit("another sea")
    film.regenstore("gc", "--yes")  # the older take goes to the trash, and a manifest tells of it
    film.regenstore("set", SEA, "seed=8")  # a try that nobody keeps
    film.git("checkout", "-q", "HEAD", "--", SEA)
    film.write("refs/photo.png", b"\x89PNG\r\n\x1a\n" + noise("stashed", 3000))
    film.git("stash", "-q")
    film.git("worktree", "add", "-q", "--detach", str(tmp_path / "linked"))
    film.git("pack-refs", "--all")
    film.git("branch", "loose")
    shared = tmp_path / "shared"
    film.regenstore("remote", "add", "studio", str(shared), "--create")
    film.regenstore("push")
    return Rig(film, shared)


def photo(store: Path) -> Path:
    """The imported photo, which HEAD and the remote have."""
    (found,) = [path for path in contents(store / "vault") if path.stat().st_size == 5008]
    return found


def contents(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_roots(rig: Rig) -> None:
    rig.refuses(rig.git / "logs/HEAD", GC, WHY, STATUS, DOCTOR, PUSH_ALL, REMOTE_GC)
    rig.refuses(rig.git / "logs/refs/stash", GC)
    rig.refuses(rig.git / "refs/heads", GC, PUSH, REMOTE_GC)
    rig.refuses(rig.git / "packed-refs", GC)
    rig.refuses(rig.git / "index", GC, PUSH)
    rig.refuses(rig.git / "worktrees/linked", GC, WHY)
    rig.refuses(rig.git / "worktrees/linked/index", GC)
    rig.refuses(rig.git / "objects/pack", GC)


def test_the_store(rig: Rig) -> None:
    store = rig.film.store
    (run,) = (store / "trash").iterdir()
    for folder in (store / "vault", store / "cache", store / "trash", run):
        rig.refuses(folder, GC)
    rig.refuses(photo(store).parent, GC, FSCK, PUSH, STATUS)
    rig.refuses(store / "leases", GC)
    rig.refuses(store / "format.json", GC, FSCK)
    rig.refuses(store / "results.sqlite", GC, WHY, FSCK, STATUS)
    rig.refuses(contents(store / "evicted")[0], FSCK)
    held = store / "leases/use-0000000000000000-1-00000000"
    held.write_bytes(bytes(32))
    rig.refuses(held, GC)
    held.unlink()
    lock = store / "leases/gc"
    lock.write_bytes(b"")
    rig.refuses(lock, GC)
    lock.unlink()


def test_a_content_that_cannot_be_read_is_left_as_it_is(rig: Rig) -> None:
    """fsck neither calls it missing, nor puts other bytes in its place, nor moves it away."""
    for path in contents(rig.film.store / "vault") + contents(rig.film.store / "cache"):
        rig.refuses(path, FSCK)
    path = photo(rig.film.store)
    with unreadable(path):
        code, said = rig.said("fsck")
        assert f"bad: {path}: no permission; left unchanged" in said and "1 lost or left" in said and code == 1
    assert rig.said("fsck")[0] == 0


def test_a_remote(rig: Rig) -> None:
    rig.refuses(rig.shared, PUSH, REMOTE_GC)
    (there,) = [path for path in contents(rig.shared / "v1/cas") if path.stat().st_size == 5008]
    rig.refuses(there.parent, PUSH, REMOTE_GC)
    for folder in ("records", "tombstones"):
        (rig.shared / "v1" / folder).mkdir(exist_ok=True)
        rig.refuses(rig.shared / "v1" / folder, REMOTE_GC)
    known = contents(rig.film.store / "remotes")
    rig.refuses(next(path for path in known if path.suffix == ".jsonl"), REMOTE_GC)


def test_who_shares_the_store(rig: Rig, tmp_path: Path) -> None:
    film, store = rig.film, tmp_path / "store"
    shutil.copytree(film.store, store)
    film.git("config", "regenstore.store", str(store))
    try:
        ask_who_shares(rig, tmp_path, store)
    finally:
        film.git("config", "--unset", "regenstore.store")


def ask_who_shares(rig: Rig, tmp_path: Path, store: Path) -> None:
    film = rig.film
    other = Checkout(tmp_path / "other", film.environment)
    film.git("clone", "-q", str(film.path), str(other.path))
    other.regenstore("init")
    other.git("config", "regenstore.store", str(store))
    other.regenstore("status")
    other.regenstore("why", SEA)
    film.regenstore("status")
    assert len(registrations(str(store))) == 2
    theirs = other.path / ".git"
    (registration,) = [r for r in registrations(str(store)) if r.path == str(theirs)]
    for path in (theirs, theirs / "logs/HEAD", theirs / "regenstore-id"):
        rig.refuses(path, GC, REMOTE_GC)
    rig.refuses(theirs / "logs/HEAD", FSCK, DOCTOR, WHY)
    for path in (store / "repositories", store / "repositories" / f"{registration.name}.json"):
        rig.refuses(path, GC)
    os.rename(other.path, tmp_path / "unmounted")
    rig.refuses(store / "repositories" / f"{registration.name}.held", GC)
    code, said = rig.said("gc", "--dry-run")  # one that is not there holds what it last held
    assert code == 0, said
