"""The gallery: built once, copied for every test."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from regenstore.refs.leases import lease
from tests.conftest import hermetic_environment
from tests.doctor.gallery import Gallery


@pytest.fixture(scope="session")
def gallery_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shared by the processes of one run."""
    base = tmp_path_factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder = base / "gallery-template"
    with lease(str(base), "gallery-template.lease", lambda: None):
        if not (folder / "built").exists():
            shutil.rmtree(folder, ignore_errors=True)
            (folder / "home").mkdir(parents=True)
            (folder / "home" / ".gitconfig").write_text("[init]\n\tdefaultBranch = main\n")
            (folder / "gallery").mkdir()
            Gallery(folder / "gallery", hermetic_environment(folder / "home")).build()
            (folder / "built").touch()
    return folder / "gallery"


@pytest.fixture
def gallery(gallery_template: Path, tmp_path: Path, environment: dict[str, str]) -> Gallery:
    shutil.copytree(gallery_template, tmp_path / "gallery", symlinks=True)
    copied = Gallery(tmp_path / "gallery", environment)
    assert copied.status() == ""  # the copies have other inodes: git looks at them once
    return copied
