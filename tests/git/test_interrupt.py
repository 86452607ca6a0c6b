"""Ctrl-C: everybody stops, the tree is clean, and nothing is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from tests.git.film import BETA, MAIN, PLATE, A, B, C, D, Film
from tests.git.stress import session

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="finds processes through /proc")


def interrupted(film: Film, number: int, *command: str) -> tuple[int, str]:
    """Run a command whose generator takes long, and signal its whole group while that runs."""
    ran = film.path.parent / "ran"
    film.write("tools/words.sh", f"#!/bin/sh\ntouch '{ran}'\nsleep 30\n")
    film.regenstore("trust", "--yes")
    film.git("update-index", "--assume-unchanged", "tools/words.sh")
    process = subprocess.Popen(
        command, cwd=film.path, env=film.environment, stderr=subprocess.PIPE, start_new_session=True
    )
    deadline = time.monotonic() + 30
    while not ran.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.killpg(process.pid, number)
    said = process.communicate(timeout=20)[1].decode()
    deadline = time.monotonic() + 10
    while others := session(process.pid):
        assert time.monotonic() < deadline, f"still running: {others}"
        time.sleep(0.01)
    return process.returncode, said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_interrupted_checkout(film: Film, number: signal.Signals) -> None:
    film.git("checkout", "-q", "side")
    film.forget(A, D, revision="main")
    _, said = interrupted(film, number, "git", "checkout", "-q", "main")
    assert "Traceback" not in said
    assert film.git("rev-parse", "--abbrev-ref", "HEAD") == "main"
    # What the store had was placed before anything was made.
    film.settled({B: BETA[1], C: PLATE[2]}, recipes={A: MAIN[A], D: MAIN[D]}, later=True)


def test_interrupted_get(film: Film) -> None:
    film.regenstore("drop", A)
    film.forget(A)
    code, said = interrupted(film, signal.SIGINT, "regenstore", "get")
    assert code == 130
    assert "Traceback" not in said
    film.settled({name: data for name, data in MAIN.items() if name != A}, recipes={A: MAIN[A]}, later=True)
