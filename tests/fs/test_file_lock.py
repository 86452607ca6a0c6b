"""Locks end with their processes, and one on a file that no name leads to any more is none."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from regenstore.fs import file_lock

HOLDER = "from regenstore.fs.file_lock import *; import sys; fd = os.open(sys.argv[1], 0); take(fd); print(); input()"


def opened(path: str) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)


def test_another_process(tmp_path: Path) -> None:
    path = str(tmp_path / "held")
    fd = file_lock.claim(path, opened)
    assert fd is not None and file_lock.in_use(path)
    os.close(fd)
    assert file_lock.in_use(path) is False and file_lock.in_use(f"{path}-absent") is False
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None and holder.stdout.readline()
        assert file_lock.claim(path, opened) is None and file_lock.in_use(path)
        with open(path) as file:
            assert not file_lock.take(file.fileno()) and file_lock.locked(file.fileno())
        holder.kill()
    assert file_lock.in_use(path) is False
    fd = file_lock.claim(path, opened)
    assert fd is not None
    os.close(fd)


@pytest.mark.parametrize("when", ["removed", "replaced", "stale"])
def test_what_the_holder_before_us_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str) -> None:
    path = str(tmp_path / "held")

    def then(path: str) -> int:
        fd = opened(path)
        if when == "stale":
            monkeypatch.setattr(os, "stat", stale)
        else:
            os.unlink(path)
            if when == "replaced":
                os.close(opened(path))
        return fd

    def stale(path: str) -> os.stat_result:
        raise OSError(errno.ESTALE, "Stale file handle", path)

    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    assert file_lock.claim(path, then) is None
    monkeypatch.undo()
    assert not before or len(os.listdir("/proc/self/fd")) == before
    fd = file_lock.claim(path, opened)
    assert fd is not None
    os.close(fd)


def test_shared(tmp_path: Path) -> None:
    path = str(tmp_path / "held")
    fds = [opened(path) for _ in range(3)]
    assert file_lock.take(fds[0], shared=True) and file_lock.take(fds[1], shared=True)
    assert not file_lock.take(fds[2])
    for fd in fds[:2]:
        os.close(fd)
    file_lock.wait(fds[2])
    assert file_lock.in_use(path)
    os.close(fds[2])
