"""gc, undo and purge, really killed before every change they make to a file."""

from __future__ import annotations

import random
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import THOROUGH, Checkout, copy_tree, fresh_seed
from tests.fork_server import CRASH

CHANGE = re.compile(r"^change (\d+): (\S+) (.*)$", re.MULTILINE)


def run(film: Checkout, count: int, *command: str) -> subprocess.CompletedProcess[bytes]:
    return film.run(*CRASH, str(count), "regenstore", *command, check=False)


def killed_at(film: Checkout, tmp_path: Path, *command: str, prepare: Callable[[Checkout], None]) -> None:
    """Kill a command before each change it makes to a file; whatever is missing then can be had."""
    prepare(film)
    saved = tmp_path / "saved"
    copy_tree(str(film.path), str(saved))
    listing = run(film, 0, *command).stderr.decode()
    total = len(CHANGE.findall(listing))
    assert total > 5, listing
    counts = range(1, total + 1)
    for count in counts if THOROUGH else sorted(random.Random(fresh_seed()).sample(counts, min(total, 5))):
        shutil.rmtree(film.path)
        copy_tree(str(saved), str(film.path))
        done = run(film, count, *command)
        assert done.returncode == -9, (count, done.stderr)
        film.git("checkout", "-q", "-f", "HEAD~1")
        assert not film.is_recipe("plates/sea.png")
        film.git("checkout", "-q", "-f", "main")
        film.regenstore("drop")
        film.regenstore("get")
        assert not film.is_recipe("plates/sea.png") and film.status() == ""
        film.regenstore("fsck", "--no-repair")
        film.run("regenstore", *command, check=False)
        film.regenstore("gc", "--yes", "--purge")
        assert not list((film.store / "trash").glob("*"))


def old_plate(film: Checkout) -> None:
    film.regenstore("verify", "--all")
    film.regenstore("set", "plates/sea.png", "seed=7")
    film.commit("another sea")
    film.regenstore("verify", "--all")


def in_trash(film: Checkout) -> None:
    old_plate(film)
    film.regenstore("gc", "--yes")


COMMANDS = {
    "gc": (("gc", "--yes"), old_plate),
    "gc-free": (("gc", "--yes", "--free", "1g"), old_plate),
    "purge": (("gc", "--yes", "--purge"), in_trash),
    "undo": (("undo",), in_trash),
}


@pytest.mark.heavy
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", COMMANDS)
def test_a_kill_before_every_change(film, tmp_path, name):
    command, prepare = COMMANDS[name]
    killed_at(film, tmp_path, *command, prepare=prepare)
