"""A film project with one small plate, made once and copied for each test that changes it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Checkout, built_once, copied, new_home, noise
from tests.git.conftest import small  # noqa: F401  a fixture
from tests.remotes.conftest import servers  # noqa: F401  a fixture

SMALL = ("-p", "width=64", "-p", "height=48")


@pytest.fixture(scope="session")
def film_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    def build(folder: Path) -> None:
        film = Checkout(folder / "film", new_home(folder))
        film.path.mkdir()
        film.git("init", "-q")
        film.regenstore("init")
        film.regenstore("track", "*.png", "*.wav", "*.mp4")
        film.regenstore(
            "new", "plates/sea.png", "-g", "procedural.image", "-p", "prompt=storm at dusk", "-p", "seed=42", *SMALL
        )
        film.write("refs/photo.png", b"\x89PNG\r\n\x1a\n" + noise("photo", 5000))
        film.commit("First plate")
        assert film.status() == ""

    return built_once(tmp_path_factory, "plate-template", build)


@pytest.fixture
def film(film_template: Path, tmp_path: Path, environment: dict[str, str]) -> Checkout:
    """``plates/sea.png`` (generated, 64 x 48) and ``refs/photo.png`` (imported), committed and clean."""
    return copied(film_template, tmp_path, Checkout)
