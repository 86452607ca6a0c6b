"""A server with SSH, from adding it to a clone that has the media: with real git and OpenSSH's own server."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from tests.conftest import Checkout, hermetic_environment
from tests.remotes.real_servers import Started, alone

pytestmark = pytest.mark.heavy
PLATE, PHOTO = "plates/sea.png", "refs/photo.png"


@pytest.fixture
def server(tmp_path: Path):
    pytest.importorskip("asyncssh")

    def folder(name: str) -> Path:
        (tmp_path / name).mkdir()
        return tmp_path / name

    started = Started(folder)
    with alone():
        try:
            with started.room("sshd") as url:
                yield url, Path(os.environ["HOME"]) / ".ssh"
        finally:
            started.close()


def test_from_adding_to_a_clone(film: Checkout, tmp_path: Path, server: tuple[str, Path]) -> None:
    url, ssh = server
    film_url = f"{url}/team/film"
    add = ["regenstore", "remote", "add", "studio", film_url]
    refused = film.run(*add, check=False)
    assert refused.returncode == 6 and b"known_hosts" in refused.stderr and b"Log in once" in refused.stderr

    shutil.copytree(ssh, Path(film.environment["HOME"]) / ".ssh")
    missing = film.run(*add, check=False)
    assert missing.returncode == 6 and b"--create" in missing.stderr
    assert film.run("git", "config", "regenstore.remote.studio.url", check=False).returncode == 1
    said = film.run(*add, "--create").stdout.decode()
    assert said.count("yes ") == 7 and "no   " not in said

    assert json.loads(film.regenstore("push", "--json"))["records"] > 0
    assert "already" in film.regenstore("push")
    assert film.run("regenstore", "remote", "check", check=False).returncode == 0
    photo = film.read(PHOTO)

    (tmp_path / "other").mkdir()
    shutil.copy(Path(film.environment["HOME"]) / ".gitconfig", tmp_path / "other")
    shutil.copytree(ssh, tmp_path / "other" / ".ssh")
    other = Checkout(tmp_path / "clone", hermetic_environment(tmp_path / "other"))
    film.git("clone", "-q", str(film.path), str(other.path))
    other.regenstore("init")
    other.regenstore("remote", "add", "studio", film_url)
    other.regenstore("fetch")
    other.regenstore("get", "--no-generate")
    assert other.read(PHOTO) == photo and other.read(PLATE) == film.read(PLATE) and other.status() == ""

    # Lost here, it comes back from there.
    film.regenstore("drop")
    shutil.rmtree(film.store)
    film.regenstore("get", "--no-generate")
    assert film.read(PHOTO) == photo and film.read(PLATE) == other.read(PLATE) and film.status() == ""
