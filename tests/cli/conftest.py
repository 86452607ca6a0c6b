"""A film project with one small plate, made once and copied for each test that changes it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.conftest import Checkout, hermetic_environment, noise
from tests.git.conftest import small  # noqa: F401  a fixture
from tests.remotes.conftest import servers  # noqa: F401  a fixture

SMALL = ("-p", "width=64", "-p", "height=48")


@pytest.fixture(scope="session")
def film_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("template")
    home = folder / "home"
    home.mkdir()
    (home / ".gitconfig").write_text("[init]\n\tdefaultBranch = main\n")
    film = Checkout(folder / "film", hermetic_environment(home))
    film.path.mkdir()
    film.git("init", "-q")
    film.regenstore("init")
    film.regenstore("track", "*.png", "*.wav", "*.mp4")
    film.regenstore(
        "new", "plates/sea.png", "-g", "procedural.image", "-p", "prompt=storm at dusk", "-p", "seed=42", *SMALL
    )
    film.write("refs/photo.png", b"\x89PNG\r\n\x1a\n" + noise("photo", 5000))
    film.commit("First plate")
    return film.path


@pytest.fixture
def film(film_template: Path, tmp_path: Path, environment: dict[str, str]) -> Checkout:
    """``plates/sea.png`` (generated, 64 x 48) and ``refs/photo.png`` (imported), committed and clean."""
    shutil.copytree(film_template, tmp_path / "film", symlinks=True)
    copied = Checkout(tmp_path / "film", environment)
    # The copies have other inodes and times: git looks at them once, and finds them unchanged.
    assert copied.status() == ""
    return copied
