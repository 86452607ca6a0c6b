"""Several processes that want the same missing medium: it is made once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from tests.git.film import Film, words
from tests.git.stress import session

SHOT = "shots/counted.bin"


@pytest.fixture
def counted(film: Film) -> Film:
    """A generator that says in a file outside when it runs, and takes a moment."""
    log = film.path.parent / "runs"
    film.write(
        "tools/words.sh",
        f'#!/bin/sh\necho "$2" >> \'{log}\'\nsleep 0.5\nyes "$2" | head -c "$3" > "$1"\n',
    )
    film.regenstore("trust", "--yes")
    film.regenstore("new", "--no-generate", SHOT, "-g", "words", "-p", "word=counted")
    film.commit("counted")
    film.git("worktree", "add", "-q", "../second", "HEAD", REGENSTORE_SMUDGE="place")
    return film


def runs(film: Film) -> list[str]:
    log = film.path.parent / "runs"
    return log.read_text().split() if log.exists() else []


def start(film: Film, *command: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command,
        cwd=film.path,
        env=film.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def finish(process: subprocess.Popen[bytes]) -> str:
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, (out + err).decode(errors="replace")
    return (out + err).decode()


def test_two_gets_make_it_once(counted: Film) -> None:
    second = counted.at(counted.path.parent / "second")
    for process in [start(worktree, "regenstore", "get") for worktree in (counted, second)]:
        finish(process)
    assert runs(counted) == ["counted"]
    for worktree in (counted, second):
        assert worktree.read(SHOT) == words("counted")
        worktree.quiet()


def test_three_gets_in_one_worktree(counted: Film) -> None:
    for process in [start(counted, "regenstore", "get", SHOT) for _ in range(3)]:
        process.communicate(timeout=60)
    assert runs(counted) == ["counted"]
    assert counted.read(SHOT) == words("counted")
    counted.quiet()
    counted.no_leftovers()


def test_a_checkout_and_a_get(counted: Film) -> None:
    second = counted.at(counted.path.parent / "second")
    (second.path / SHOT).unlink()
    processes = [start(counted, "regenstore", "get"), start(second, "git", "checkout", "--", SHOT)]
    for process in processes:
        finish(process)
    assert runs(counted) == ["counted"]
    assert counted.read(SHOT) == second.read(SHOT) == words("counted")
    counted.quiet()
    second.quiet()


@pytest.mark.skipif(sys.platform != "linux", reason="finds processes through /proc")
def test_the_next_one_takes_over_when_the_maker_is_killed(counted: Film) -> None:
    second = counted.at(counted.path.parent / "second")
    first = start(counted, "regenstore", "get")
    deadline = time.monotonic() + 30
    while not runs(counted):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    waiting = start(second, "regenstore", "get")
    time.sleep(0.2)
    for pid in session(first.pid):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    first.communicate()
    finish(waiting)
    assert runs(counted) == ["counted", "counted"]
    assert second.read(SHOT) == words("counted")
    second.quiet()
    assert counted.read(SHOT) == counted.blob(SHOT)
    counted.regenstore("get")
    assert counted.read(SHOT) == words("counted")
    counted.quiet()
    assert runs(counted) == ["counted", "counted"]


def test_a_busy_index_leaves_recipes_and_a_clean_tree(counted: Film) -> None:
    """Somebody holds index.lock when the media could be placed: they stay recipes, and get brings them."""
    lock = counted.path / ".git/index.lock"
    counted.write(".git/hooks/post-checkout", f"#!/bin/sh\n: > '{lock}'\n").chmod(0o755)
    said = counted.run("git", "checkout", "-q", "first").stderr.decode()
    assert "another Git process holds the index" in said
    assert lock.exists()  # it is not ours: nobody but its owner removes it
    lock.unlink()
    assert counted.status() == ""
    counted.regenstore("get")
    counted.quiet()
    counted.no_leftovers()
