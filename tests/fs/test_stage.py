"""A stage with its journal: whatever stops its process, the next one finishes what the journal says or finds all as it
was; nothing is half written, and nobody's stage is taken away while its process lives."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from regenstore.errors import StorageError
from regenstore.fs import durable, file_lock, stage
from regenstore.fs.stage import OWNER, Stage

JOURNAL = "todo"
OLD = {"a": b"old a", "b": b"old b", "mine": b"mine"}
NEW = {"a": b"new a", "b": b"new b", "c": b"new c"}
CHANGES = ("rename", "replace", "unlink", "mkdir", "write", "fsync")


def change(folder: Path) -> None:
    """A user of stages: all files of a folder get other contents."""
    with Stage(f"{folder}/.stage-") as made:
        for name, data in NEW.items():
            with open(f"{made.folder}/{name}", "wb", buffering=0) as file:
                file.write(data)
                os.fsync(file.fileno())
        made.write_journal(JOURNAL, json.dumps(list(NEW)).encode())
        made.kept = True
        finish(made.folder)
        made.kept = False


def finish(folder: str) -> bool:
    journal = Path(folder, JOURNAL)
    for name in json.loads(journal.read_bytes()) if journal.exists() else ():
        if os.path.exists(f"{folder}/{name}"):
            durable.rename(f"{folder}/{name}", f"{os.path.dirname(folder)}/{name}")
    return True


def recover(folder: Path) -> int:
    return sum(stage.recover(each, finish) for each in stage.stages(f"{folder}/.stage-"))


def visible(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return reset(tmp_path / "folder")


def reset(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name, data in OLD.items():
        (folder / name).write_bytes(data)
    return folder


class Killed(BaseException):
    pass


class Fault:
    """Lets the n-th change of a file go wrong: killed before it, with no way to tidy up afterwards, or failing, once or
    from there on, as on a full disk."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, error: int = 0, *, stays: bool = False) -> None:
        self.error, self.stays = error, stays
        self.seen = self.at = 0
        for name in CHANGES:
            monkeypatch.setattr(os, name, self._before(name, getattr(os, name)))
        monkeypatch.setattr(shutil, "rmtree", self._before("rmtree", shutil.rmtree))

    def _before(self, name: str, real: Callable[..., object]) -> Callable[..., object]:
        def call(*given: object, **named: object) -> object:
            if self.at:
                self.seen += 1
                grows = name in ("mkdir", "write", "fsync")
                if not self.error and self.seen >= self.at:
                    raise Killed
                fails = self.seen == self.at or (self.stays and self.seen > self.at and grows)
                if self.error and fails and name != "rmtree":
                    raise OSError(self.error, os.strerror(self.error))
            return real(*given, **named)

        return call

    def hit(self, at: int, work: Callable[[], object]) -> bool:
        """Run it with a fault; False where it came to its end without one."""
        self.seen, self.at = 0, at
        try:
            work()
        except (Killed, OSError, StorageError):
            return True
        finally:
            self.at = 0
        return self.seen >= at


def test_killed_before_every_change(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fault, at, seen = Fault(monkeypatch), 1, set()
    while fault.hit(at, lambda: change(folder)):
        begun = any((Path(each) / JOURNAL).exists() for each in stage.stages(f"{folder}/.stage-"))
        # So is whoever recovers it, before everything that it does.
        again = 1
        while fault.hit(again, lambda: recover(folder)):
            again += 1
        assert stage.stages(f"{folder}/.stage-") == []
        now = visible(folder)
        assert now in (OLD, {**OLD, **NEW}) and (now != OLD or not begun), at
        seen.add(now == OLD)
        reset(folder)
        at += 1
    assert visible(folder) == {**OLD, **NEW} and not stage.stages(f"{folder}/.stage-")
    assert at > 12 and seen == {True, False}


@pytest.mark.parametrize(("error", "stays"), [(errno.EIO, False), (errno.ENOSPC, True)], ids=["bad", "full"])
def test_failing_at_every_change(folder: Path, monkeypatch: pytest.MonkeyPatch, error: int, stays: bool) -> None:
    """Before the journal is whole all is as it was, and no stage is left; later the next one finishes it."""
    fault, at = Fault(monkeypatch, error, stays=stays), 1
    while fault.hit(at, lambda: change(folder)):
        left = stage.stages(f"{folder}/.stage-")
        assert left or visible(folder) in (OLD, {**OLD, **NEW}), at
        assert recover(folder) == len(left)
        assert visible(folder) == {**OLD, **NEW} if left else visible(folder) in (OLD, {**OLD, **NEW}), at
        reset(folder)
        at += 1
    assert at > 12


def test_the_journal_is_on_the_disk_before_anything_is_done(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    did: list[str] = []
    real, rename = os.fsync, os.replace

    def name(fd: int) -> str:
        return os.path.basename(os.readlink(f"/proc/self/fd/{fd}"))

    monkeypatch.setattr(os, "fsync", lambda fd: (did.append(f"fsync {name(fd)}"), real(fd))[1])
    monkeypatch.setattr(os, "replace", lambda a, b: (did.append(f"name {os.path.basename(b)}"), rename(a, b))[1])
    change(folder)
    at = did.index(f"name {JOURNAL}")
    assert did[at - 1].startswith(f"fsync {JOURNAL}.")
    assert did[at + 1].startswith("fsync .stage-") and did[at + 2] == "fsync folder"
    assert did[at + 3 :] == ["name a", "name b", "name c"]


def test_the_stage_of_a_living_process_stays(folder: Path) -> None:
    program = "import sys; from regenstore.fs.stage import Stage; made = Stage(sys.argv[1]); "
    program += "print(made.folder, flush=True); input()"
    child = subprocess.Popen(
        [sys.executable, "-c", program, f"{folder}/.stage-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    path = child.stdout.readline().strip()
    assert not recover(folder) and os.path.isdir(path)
    child.kill()
    child.communicate()
    assert recover(folder) == 1 and not os.path.exists(path)


def test_a_stage_that_was_taken_away_before_it_was_held_is_made_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, taken = file_lock.claim, []

    def claim(path: str, opened: Callable[[str], int]) -> int | None:
        if not taken:
            taken.append(os.path.dirname(path))
            assert stage.recover(taken[0], finish)
        return real(path, opened)

    monkeypatch.setattr(file_lock, "claim", claim)
    with Stage(f"{folder}/.stage-") as made:
        assert os.path.exists(f"{made.folder}/{OWNER}")
    assert taken and not os.path.exists(taken[0])


def test_a_stage_of_one_name_is_one_processs(folder: Path) -> None:
    with Stage(f"{folder}/.stage-only", unique=False) as made:
        assert made.folder == f"{folder}/.stage-only"
        with pytest.raises(FileExistsError):
            Stage(made.folder, unique=False)
    assert visible(folder) == OLD and not os.path.exists(made.folder)


def test_what_has_to_wait_stays_with_its_journal(folder: Path) -> None:
    with Stage(f"{folder}/.stage-") as made:
        made.write_journal(JOURNAL, b"[]", wait=False)
        made.kept = True
    assert not stage.recover(made.folder, lambda _: False)
    assert Path(made.folder, JOURNAL).read_bytes() == b"[]"
    assert stage.recover(made.folder, finish)
    assert not stage.recover(made.folder, finish), "it is gone"


def test_links_and_files_are_no_stages(folder: Path, tmp_path: Path) -> None:
    """A repository of others can have any of these in its worktree."""
    (tmp_path / "elsewhere").mkdir()
    (folder / ".stage-link").symlink_to(tmp_path / "elsewhere")
    (folder / ".stage-file").write_text("mine")
    (folder / ".stage-fifo").mkdir()
    os.mkfifo(folder / f".stage-fifo/{OWNER}")
    for name in ("link", "file"):
        assert not stage.recover(f"{folder}/.stage-{name}", finish)
    with pytest.raises(StorageError) as caught:
        stage.recover(f"{folder}/.stage-fifo", finish)
    assert caught.value.kind == "unreadable"
    assert os.listdir(tmp_path / "elsewhere") == [] and (folder / ".stage-file").read_text() == "mine"


def test_another_users_stage_is_that_users(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left = folder / ".stage-1"
    left.mkdir()

    def refused(*given: object, **named: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(stage, "claim", refused)
    with pytest.raises(StorageError, match=str(left)):
        recover(folder)
    monkeypatch.setattr(os, "geteuid", lambda: left.stat().st_uid + 1)
    assert recover(folder) == 0 and left.is_dir()
