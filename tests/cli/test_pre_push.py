"""The pre-push hook with real pushes: what it names, when it refuses, when it is silent."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.conftest import Checkout, noise

SEA, PHOTO = "plates/sea.png", "refs/photo.png"
SHIM = Path(__file__).parent.parent.parent / "hooks" / "pre-push"


@pytest.fixture
def origin(film: Checkout, tmp_path: Path) -> Path:
    bare = tmp_path / "origin.git"
    film.git("init", "-q", "--bare", str(bare))
    film.git("remote", "add", "origin", str(bare))
    shutil.copy2(SHIM, film.path / ".git" / "hooks" / "pre-push")
    return bare


def push(film: Checkout, *args: str) -> tuple[int, str]:
    done = film.run("git", "push", "-q", *(args or ("origin", "main")), check=False)
    assert b"Traceback" not in done.stderr
    return done.returncode, done.stderr.decode()


def test_without_a_remote_imported_media_are_told_once(film, origin):
    code, said = push(film)
    assert code == 0 and PHOTO in said and SEA not in said and "remote add" in said
    film.write("refs/other.png", b"\x89PNG\r\n\x1a\n" + noise("other", 3000))
    film.commit("more")
    assert push(film) == (0, "")


def test_without_a_remote_recipes_are_enough(film, origin):
    film.git("rm", "-q", "--cached", PHOTO)
    film.git("commit", "-q", "--amend", "-m", "recipes only")
    assert push(film) == (0, "")


def test_what_is_named(film, origin):
    film.regenstore("remote", "add", "studio", "../shared", "--create")
    code, said = push(film)
    assert code == 0 and f"{PHOTO} (imported)" in said and f"{SEA} (unproven)" in said
    assert "regenstore push studio" in said
    # The commits are there now; only new ones count.
    film.write("notes.txt", "nothing of ours")
    film.commit("notes")
    assert push(film) == (0, "")
    film.regenstore("set", SEA, "seed=8")
    film.commit("another sea")
    film.regenstore("verify", "--all")
    assert push(film) == (0, "")  # proven: it comes back


def test_what_is_on_a_remote_is_not_named(film, origin):
    film.regenstore("remote", "add", "studio", "../shared", "--create")
    film.regenstore("push")
    assert push(film) == (0, "")


@pytest.mark.heavy
def test_refuse_and_off(film, origin, tmp_path):
    film.regenstore("remote", "add", "studio", "../shared", "--create")
    film.git("config", "regenstore.prePush", "refuse")
    code, said = push(film)
    assert code and PHOTO in said and "stopped" in said
    assert film.git("ls-remote", "origin") == ""
    shutil.move(tmp_path / "shared", tmp_path / "away")
    code, said = push(film)
    assert code and "mounted" in said
    film.git("config", "regenstore.prePush", "warn")
    code, said = push(film, "origin", "main:warned")
    assert code == 0 and "mounted" in said
    film.git("config", "regenstore.prePush", "off")
    assert push(film, "origin", "main:quiet") == (0, "")
    shutil.move(tmp_path / "away", tmp_path / "shared")
    film.regenstore("push")
    film.git("config", "regenstore.prePush", "refuse")
    assert push(film) == (0, "")


def test_deleting_tags_and_an_address(film, origin, tmp_path):
    film.regenstore("remote", "add", "studio", "../shared", "--create")
    film.git("tag", "-a", "v1", "-m", "v1")
    assert PHOTO in push(film, str(origin), "v1")[1]
    assert push(film, "origin", "--delete", "v1") == (0, "")
    # What somebody else pushed meanwhile is not here; git refuses by itself, and says so alone.
    other = Checkout(tmp_path / "other", film.environment)
    push(film)
    film.git("clone", "-q", str(origin), str(other.path))
    other.write("notes.txt", "from elsewhere")
    other.commit("elsewhere")
    other.git("push", "-q", "origin", "main")
    film.write("refs/other.png", b"\x89PNG\r\n\x1a\n" + noise("other", 3000))
    film.commit("more")
    code, said = push(film, "--force", str(origin), "main")
    assert code == 0 and "refs/other.png" in said


def test_an_untrusted_remote_is_named(film, origin, tmp_path):
    film.write("regenstore.toml", '[remotes.studio]\nurl = "../shared"\n')
    code, said = push(film)
    assert code == 0 and "studio" in said and "regenstore trust" in said
