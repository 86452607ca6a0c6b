"""The studio project: built once for all processes of a run, copied for every test."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.conftest import built_once, fresh_seed
from tests.faults import studio as project
from tests.faults.studio import Studio
from tests.git.conftest import small  # noqa: F401  a fixture

THOROUGH = os.environ.get("REGENSTORE_FAULTS") == "all"
"""Whether every step is tried, not a sample of them."""


@pytest.fixture(scope="session")
def studio_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built_once(tmp_path_factory, "studio-template", project.build)


@pytest.fixture
def studio(studio_template: Path, tmp_path: Path) -> Studio:
    """The studio project on branch main, all media in the worktree and in the store."""
    return project.copy(studio_template, tmp_path / "studio")


@pytest.fixture
def seed() -> int:
    """Where a test's chance begins. REGENSTORE_SEED replays one."""
    chosen = fresh_seed()
    print(f"REGENSTORE_SEED={chosen}")
    return chosen
