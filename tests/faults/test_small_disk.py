"""A store on a file system that is really full, or nearly: the operation fails or not, and nothing is lost."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.faults import studio as project
from tests.faults.conftest import THOROUGH
from tests.faults.operations import BY_NAME, again
from tests.git.test_full_disk import fill

pytestmark = pytest.mark.heavy


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", [name for name in BY_NAME if name != "checkout"])
def test_little_room(studio_template: Path, tmp_path: Path, small: Path, name: str, seed: int) -> None:
    operation = BY_NAME[name]
    before = project.copy(studio_template, tmp_path / "before")
    operation.prepare(before)
    failed = 0
    for pages in (0, 3, 12) if THOROUGH else (0, (3, 12)[seed % 2]):
        studio = project.copy(tmp_path / "before", tmp_path / "now")
        own = studio.store
        shutil.copytree(own, small / "store")
        studio.git("config", "regenstore.store", str(small / "store"))
        ballast = fill(small, pages * 4096)
        done = studio.run(*operation.command, check=False)
        said = (done.stdout + done.stderr).decode(errors="replace")
        print(f"{name} with {pages} pages: {done.returncode}", flush=True)
        failed += done.returncode not in (0, 1)
        (studio.path / ".git/index.lock").unlink(missing_ok=True)
        ballast.unlink()
        shutil.rmtree(own)
        shutil.copytree(small / "store", own)
        shutil.rmtree(small / "store")
        studio.git("config", "--unset", "regenstore.store")
        again(operation, before, studio, said)
    assert failed or name == "undo"  # which only renames
