"""The demo, from start to end, in a home without any Git identity."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.conftest import Checkout, hermetic_environment


@pytest.mark.heavy
def test_the_demo_gets_everything_back_and_touches_nothing_else(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    nobody = {k: v for k, v in hermetic_environment(home).items() if not k.startswith(("GIT_AUTHOR", "GIT_COMMITTER"))}
    here = Checkout(tmp_path, nobody | {"CI": "true"})
    said = here.regenstore("demo", "film-demo", "--quick")
    assert "every digest came back after the loss (33 of 33), git status is clean" in said
    assert "every digest came back in the clone on the shared store (33 of 33), git status is clean" in said
    assert "every digest came back in the clone with an empty store (32 of 32), git status is clean" in said
    assert "every digest came back in that clone, with the photo from the remote (33 of 33)" in said
    assert "NO " not in said
    assert "+seed = 8" in said and "+prompt = " in said
    assert "What to try next" in said
    assert sorted(os.listdir(tmp_path)) == ["film-demo", "home"]
    assert not [path for path in home.rglob("*") if path.is_file()]
    again = here.run("regenstore", "demo", "film-demo", check=False)
    assert again.returncode == 4 and b"--force" in again.stderr
    film = Checkout(tmp_path / "film-demo" / "film", nobody)
    assert film.status() == ""


def test_the_demo_never_removes_a_folder_that_it_did_not_make(tmp_path: Path, environment: dict[str, str]) -> None:
    here = Checkout(tmp_path, environment)
    here.write("mine/precious.txt", "keep")
    assert here.run("regenstore", "demo", "mine", "--force", check=False).returncode == 4
    assert here.read("mine/precious.txt") == b"keep"
