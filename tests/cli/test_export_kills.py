"""export sidecar, really killed before every change that it makes to a file of the export."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from regenstore.export.sidecar.deliver import STAGE, recover
from tests.conftest import Checkout
from tests.export.golden import Golden, make
from tests.export.test_killed_batch import fill, nothing, tree

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.heavy
def test_the_command_really_killed(film: Checkout, tmp_path: Path):
    film.git("rm", "-q", "-f", "refs/photo.png")
    film.write("shots/sh010.mp4", make(Golden("clip.mp4", audio=True), tmp_path).read_bytes())
    film.commit("A clip")
    command = ("regenstore", "export", "sidecar", "--to", "out", "--force")
    (film.path / "out").mkdir()
    film.run(*command)
    whole = tree(film.path / "out")
    start = {"sea.xmp": b"old", "mine.txt": b"mine"}

    def run(count: int) -> subprocess.CompletedProcess[bytes]:
        shutil.rmtree(film.path / "out")
        fill(film.path / "out", start)
        crash = [sys.executable, "-m", "tests.git.crash", "--deep", str(count), *command]
        return film.run(*crash, check=False, PYTHONPATH=str(ROOT), PYTHONDONTWRITEBYTECODE="1")

    steps = [int(found[1]) for found in re.finditer(r"^change (\d+): .*\n", run(0).stderr.decode(), re.M) if
             STAGE in found[0] or f"{film.path}/out" in found[0] or "fsync" in found[0]]  # fmt: skip
    assert len(steps) > 8
    seen = set()
    for count in steps:
        assert run(count).returncode == -9
        recover(str(film.path / "out"), nothing)
        now = tree(film.path / "out")
        assert now in (start, {**start, **whole}), count
        seen.add(now == start)
        film.run(*command)
        assert tree(film.path / "out") == {**start, **whole}
    assert seen == {True, False}
