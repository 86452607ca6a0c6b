"""The gallery: built once, copied for every test."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import built_once, copied, new_home
from tests.doctor.gallery import Gallery


@pytest.fixture(scope="session")
def gallery_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    def build(folder: Path) -> None:
        environment = new_home(folder)
        (folder / "gallery").mkdir()
        Gallery(folder / "gallery", environment).build()

    return built_once(tmp_path_factory, "gallery-template", build)


@pytest.fixture
def gallery(gallery_template: Path, tmp_path: Path, environment: dict[str, str]) -> Gallery:
    return copied(gallery_template, tmp_path, Gallery, "gallery")
