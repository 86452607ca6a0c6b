"""The demo, from start to end, in a home without any Git identity."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from PIL import Image

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


@pytest.mark.heavy
def test_the_tour_of_the_readme_can_be_played_as_it_stands(tmp_path: Path) -> None:
    """Every command of the README's tour, from an empty folder, as one shell runs them."""
    home = tmp_path / "home"
    home.mkdir()
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    parts = [readme.partition(f"## {name}\n")[2].partition("\n## ")[0] for name in ("A tour", "Sharing media")]
    lines = [
        line[4:]
        for line in "".join(parts).splitlines()
        if re.match("    (git |regenstore [a-z]|mkdir |rm |[(]cd )", line)
    ]
    assert len(lines) > 30
    environment = {k: v for k, v in hermetic_environment(home).items() if k != "CI"}
    here = Checkout(tmp_path / "work", environment)
    here.path.mkdir()
    Image.linear_gradient("L").save(home / "photo.png")
    models = home / "ComfyUI/models/checkpoints"
    models.mkdir(parents=True)
    (models / "sdxl.safetensors").write_bytes((8).to_bytes(8, "little") + b"{}      ")
    said = here.run("bash", "-e", stdin="\n".join(["set -x", *lines]).encode()).stdout.decode()
    assert "1 placed, 1 made\n" in said
    shown = readme.partition("    $ git show HEAD:plates/sea.png\n")[2].partition("\n\nSo ")[0]
    film = Checkout(here.path / "film", environment)
    text = film.blob("plates/sea.png", "HEAD").decode()
    told = "\n".join(line.removeprefix("    ") for line in shown.split("\n"))
    assert re.sub(r"(blake3:)[0-9a-f]+|(seconds = )[0-9.]+", r"\1\2…", text).rstrip() == re.sub(
        r"(seconds = )[0-9.]+", r"\1…", told
    )
    assert (here.path / "film2/shots/sh010.mp4").stat().st_size > 3000
