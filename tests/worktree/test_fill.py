"""Filling recipe files in place: what was edited stays, nothing is half filled after the next command, whatever
stopped this one, and Git takes all of it for unchanged."""

from __future__ import annotations

import errno
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from blake3 import blake3

from regenstore.errors import StorageError
from regenstore.fs import boot
from regenstore.fs.reflink import Linker
from regenstore.objects.ids import Digest
from regenstore.worktree import fill
from regenstore.worktree.fill import RECORD_PREFIX, Filler
from regenstore.worktree.index_file import IndexFile
from regenstore.worktree.index_lock import STAGE_PREFIX
from regenstore.worktree.location import Location, locate
from regenstore.worktree.place import Placement, Placer
from regenstore.worktree.recovery import recover, torn_files
from tests.conftest import Checkout, noise
from tests.worktree.test_killed import dying

NAMES = [f"shots/{number}.bin" for number in range(3)]


class Project:
    """Committed recipe texts with their media in a store; the first medium is shorter than its text."""

    def __init__(self, checkout: Checkout) -> None:
        self.checkout = checkout
        self.path = checkout.path
        self.media = {name: noise(name, size) for name, size in zip(NAMES, (20, 5000, 70_000), strict=True)}
        store = checkout.path.parent / "store"
        store.mkdir()
        self.stored: dict[bytes, str] = {}
        self.texts: dict[str, bytes] = {}
        for name, data in self.media.items():
            digest = blake3(data).hexdigest()
            self.stored[bytes.fromhex(digest)] = str(store / digest[2:])
            (store / digest[2:]).write_bytes(data)
            text = f'regenstore = 1\n\n[output]\nmedia_type = "a/b"\ndigest = "blake3:{digest}"\nsize = {len(data)}\n'
            self.texts[name] = text.encode()
            checkout.write(name, self.texts[name])
        checkout.commit("texts")
        self.location: Location = locate(str(checkout.path))

    def find(self, digest: Digest, size: int) -> str | None:
        return self.stored.get(digest.raw)

    def wishes(self) -> list[Placement]:
        return [
            Placement(
                name.encode(),
                self.stored[blake3(self.media[name]).digest()],
                self.texts[name],
                bytes.fromhex(self.checkout.git("rev-parse", f":{name}")),
            )
            for name in NAMES
        ]

    def filler(self, linker: Linker | None = None) -> Filler:
        return Filler(Placer(self.location, 20, linker, lock_wait=0.1))

    def reset(self) -> None:
        for name in NAMES:
            self.checkout.write(name, self.texts[name])
        self.checkout.git("update-index", "-q", "--refresh")

    def unchanged(self, name: str) -> bool:
        """Whether Git takes a file for unchanged by its stat, and will not look at its content either."""
        index = IndexFile.read(self.location.index, 20)
        found = os.lstat(self.path / name)
        older = found.st_mtime_ns // 10**9 < os.stat(self.location.index).st_mtime_ns // 10**9
        return older and index.matches(index.by_path()[name.encode()], found)

    def left(self) -> list[str]:
        names = os.listdir(self.location.git_dir)
        return [name for name in names if STAGE_PREFIX in name or name.endswith(".lock")]

    def records(self) -> list[Path]:
        return list(Path(self.location.git_dir).glob(f"{RECORD_PREFIX}*"))


@pytest.fixture
def project(empty: Checkout, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setattr(fill, "FROM", 1)
    return Project(empty)


def test_files_stay_the_same_files_and_git_sees_no_change(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    (project.path / NAMES[1]).chmod(0o755)
    before = {name: os.stat(project.path / name) for name in NAMES}
    report = project.filler().place(project.wishes())
    assert (sorted(report.placed), report.skipped) == ([name.encode() for name in NAMES], [])
    for name, data in project.media.items():
        found = os.stat(project.path / name)
        assert project.checkout.read(name) == data
        assert (found.st_ino, found.st_mode) == (before[name].st_ino, before[name].st_mode)
        assert found.st_mtime_ns != before[name].st_mtime_ns
        assert project.unchanged(name)
    assert not project.left()
    [record] = project.records()
    recover(project.location, 20, project.find)
    assert record.exists(), "the disk may not have it all"
    os.utime(record, (0, 0))  # as if the clock had been set meanwhile
    recover(project.location, 20, project.find)
    assert record.exists()
    now = time.monotonic()
    monkeypatch.setattr(fill.time, "monotonic", lambda: now + fill.WRITTEN_DOWN + 2)
    recover(project.location, 20, project.find)
    assert not record.exists()


def test_what_is_not_the_file_that_git_wrote_is_not_written_to(project: Project, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    for edit, kept in (
        (lambda path: path.write_bytes(b"painted"), b"painted"),
        (lambda path: path.write_bytes(project.texts[NAMES[1]].replace(b"5000", b"5001")), None),
        (lambda path: path.unlink(), None),
        (lambda path: (path.unlink(), path.symlink_to(elsewhere)), None),
        (lambda path: (path.unlink(), os.mkfifo(path)), None),
    ):
        path = project.path / NAMES[1]
        if os.path.lexists(path):
            path.unlink()
        project.reset()
        elsewhere.write_bytes(project.texts[NAMES[1]])
        wishes = project.wishes()
        edit(path)
        was = os.lstat(path) if os.path.lexists(path) else None
        report = project.filler().place(wishes)
        assert NAMES[1].encode() not in report.placed and len(report.skipped) == 1
        now = os.lstat(path) if os.path.lexists(path) else None
        assert (was and was.st_mtime_ns, was and was.st_ino) == (now and now.st_mtime_ns, now and now.st_ino)
        assert elsewhere.read_bytes() == project.texts[NAMES[1]]
        assert kept is None or path.read_bytes() == kept
        assert project.checkout.read(NAMES[2]) == project.media[NAMES[2]]


def test_the_other_name_of_a_file_keeps_its_content(project: Project) -> None:
    os.link(project.path / NAMES[1], project.path / "other")
    project.filler().place(project.wishes())
    assert project.checkout.read("other") == project.texts[NAMES[1]]
    assert project.checkout.read(NAMES[1]) == project.media[NAMES[1]]


def test_while_git_holds_the_index_all_stays_as_it_was(project: Project) -> None:
    (project.path / ".git/index.lock").touch()
    report = project.filler().place(project.wishes())
    assert [error.kind for _, error in report.skipped] == ["index-locked"] * 3
    assert all(project.checkout.read(name) == text for name, text in project.texts.items())
    (project.path / ".git/index.lock").unlink()
    assert not project.left() and not project.records()


class Stopping(Linker):
    """Copies the first bytes of the second file only; then something happens."""

    def __init__(self, count: int, happens: Callable[[], None], *, truncates: bool = False) -> None:
        super().__init__(reflink=False)
        self._count, self._happens, self._truncates = count, happens, truncates

    def fill_over(self, source: int, target: int, before: int, size: int) -> None:
        if os.fstat(source).st_size != 5000:
            super().fill_over(source, target, before, size)
            return
        if self._truncates:
            os.ftruncate(target, 0)
        os.pwrite(target, os.pread(source, self._count, 0), 0)
        self._happens()


def no_room() -> None:
    raise OSError(errno.ENOSPC, "no room")


def test_on_a_full_disk_the_text_comes_back(project: Project) -> None:
    with pytest.raises(StorageError, match="no space"):
        project.filler(Stopping(3000, no_room)).place(project.wishes())
    assert project.checkout.read(NAMES[1]) == project.texts[NAMES[1]]
    for name in NAMES:
        assert project.checkout.read(name) in (project.texts[name], project.media[name])
    assert project.checkout.git("diff", "--name-only", NAMES[1]) == ""
    assert not project.left()


def in_order(project: Project) -> None:
    """After a kill and the next command."""
    assert not recover(project.location, 20, project.find).problems
    assert not project.left()
    for name in NAMES:
        data = project.checkout.read(name)
        assert data in (project.texts[name], project.media[name])
        assert data == project.texts[name] or project.unchanged(name)


@pytest.mark.parametrize(
    ("count", "truncates"), [(0, True), (3, False), (3, True), (140, False), (4096, False), (5000, False)]
)
def test_killed_while_a_file_is_half_filled(project: Project, count: int, truncates: bool) -> None:
    def work() -> None:
        project.filler(Stopping(count, lambda: os.kill(os.getpid(), signal.SIGKILL), truncates=truncates)).place(wishes)

    wishes = project.wishes()
    dying(work, 0)
    assert project.checkout.read(NAMES[1]) != project.texts[NAMES[1]]
    assert torn_files(project.location)[NAMES[1].encode()] == project.texts[NAMES[1]]
    in_order(project)
    assert project.checkout.read(NAMES[1]) == project.media[NAMES[1]]


def test_what_was_edited_after_the_kill_stays(project: Project) -> None:
    wishes = project.wishes()
    stop = Stopping(3, lambda: os.kill(os.getpid(), signal.SIGKILL))
    dying(lambda: project.filler(stop).place(wishes), 0)
    torn = project.checkout.read(NAMES[1])
    project.checkout.write(NAMES[1], torn + b"!")
    recover(project.location, 20, project.find)
    assert project.checkout.read(NAMES[1]) == torn + b"!"
    assert not project.left()


def test_killed_before_every_change(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fill, "THREADS", 1)
    point = filled = 0
    while True:
        point += 1
        project.reset()
        wishes = project.wishes()
        count = dying(lambda wishes=wishes: project.filler().place(wishes), point)
        in_order(project)
        filled += project.checkout.read(NAMES[2]) == project.media[NAMES[2]]
        if count < point - 1 or count + 1 > point:
            break  # it was not killed any more
    assert point > 12 and filled > 3


def test_after_a_power_cut_records_are_compared_with_what_the_disk_has(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.filler().place(project.wishes())
    data = project.media[NAMES[2]]
    project.checkout.write(NAMES[1], b"")
    project.checkout.write(NAMES[2], data[:8192])
    assert not torn_files(project.location)
    monkeypatch.setattr(boot, "_cached", [b"another"])
    assert set(torn_files(project.location)) == {name.encode() for name in NAMES}
    in_order(project)
    assert all(project.checkout.read(name) == data for name, data in project.media.items())
    assert not project.records()


def test_each_change_of_content_has_a_date_of_its_own(project: Project) -> None:
    """Also two within a second, and without the index being written anew: others compare dates."""
    placer, path = Placer(project.location, 20), project.path / NAMES[1]
    dates = []
    was: bytes = project.texts[NAMES[1]]
    for data in (b"one", b"two", b"six"):
        assert placer.place([Placement(NAMES[1].encode(), data, was)]).placed
        was = data
        dates.append(path.stat().st_mtime_ns)
    assert dates == sorted(set(dates))
    assert dates[-1] // 10**9 < os.stat(project.location.index).st_mtime_ns // 10**9
