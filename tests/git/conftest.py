"""The film project: built once, copied for every test."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import built_once
from tests.git import film as project
from tests.git.film import Film


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shared by the processes of one run."""
    return built_once(tmp_path_factory, "film-template", project.build)


@pytest.fixture
def film(template: Path, tmp_path: Path) -> Film:
    """The film project on branch main, all media in the worktree and in the store."""
    return project.copy(template, tmp_path)


@pytest.fixture
def real_filters(film: Film) -> None:
    """Filters as Git starts them: for what kills or interrupts them, or tests their start."""
    project.with_real_filters(film)


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
