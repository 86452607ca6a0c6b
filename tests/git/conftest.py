"""The film project: built once, copied for every test."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from regenstore.refs.leases import lease
from tests.git import film as project
from tests.git.film import Film


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shared by the processes of one run."""
    base = tmp_path_factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder = base / "film-template"
    with lease(str(base), "film-template.lease", lambda: None):
        if not (folder / "built").exists():
            shutil.rmtree(folder, ignore_errors=True)
            project.build(folder)
            (folder / "built").touch()
    return folder


@pytest.fixture
def film(template: Path, tmp_path: Path) -> Film:
    """The film project on branch main, all media in the worktree and in the store."""
    return project.copy(template, tmp_path)


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MiB."""
    if os.name != "posix" or os.geteuid() != 0:
        pytest.skip("mounting a small tmpfs needs root")
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "regenstore-test", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no tmpfs can be mounted here: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)
