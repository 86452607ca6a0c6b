"""The film project: built once per test process, copied for every test."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.git import film as project
from tests.git.film import Film


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("template")
    project.build(folder)
    return folder


@pytest.fixture
def film(template: Path, tmp_path: Path) -> Film:
    """The film project on branch main, all media in the worktree and in the store."""
    return project.copy(template, tmp_path)
