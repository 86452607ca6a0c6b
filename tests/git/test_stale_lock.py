"""A lock on the index that a killed process of ours left goes by itself; any other is named."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from regenstore.worktree.index_lock import STAGE_PREFIX
from tests.git.film import A, Film


def lock_of(film: Film, text: str = f"{STAGE_PREFIX}1-12345678") -> Path:
    lock = film.path / ".git/index.lock"
    lock.write_text(text)
    return lock


@pytest.mark.parametrize("stage", [True, False], ids=["with its stage", "without"])
@pytest.mark.parametrize(
    "command",
    [("regenstore", "status"), ("regenstore", "fsck"), ("regenstore", "show", A), ("git", "status")],
    ids=" ".join,
)
def test_ours_goes_with_the_next_command(film: Film, command: tuple[str, ...], stage: bool) -> None:
    film.write(A, film.read(A))  # git has to ask the filter
    lock = lock_of(film)
    if stage:
        folder = film.path / ".git" / lock.read_text()
        folder.mkdir()
        (folder / "owner").touch()
        os.utime(folder / "owner", (1, 1))
        os.utime(folder, (1, 1))
    film.run(*command)
    assert not lock.exists()
    film.no_stage()
    film.git("add", "-A")


def test_doctor_names_every_other_with_what_is_known(film: Film) -> None:
    lock = lock_of(film, "")
    os.utime(lock, (lock.stat().st_atime, lock.stat().st_mtime - 5000))
    said = film.regenstore("doctor", check=False)
    assert f"{lock} has existed for 50" in said and "rm " in said
    assert "no Git command is running here" in said or "it is unknown whether its process is running" in said
    with subprocess.Popen(["git", "cat-file", "--batch"], cwd=film.path, stdin=subprocess.PIPE) as living:
        said = film.regenstore("doctor", check=False)
        assert living.stdin is not None
        living.stdin.close()
    if os.path.isdir("/proc/self"):
        assert f"git (process {living.pid})" in said and "Wait" in said
    assert lock.exists()
