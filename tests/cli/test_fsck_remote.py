"""fsck asks remotes for what is lost here, before it calls it lost."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.cli.test_fsck import stored
from tests.conftest import Checkout, noise
from tests.doctor.gallery import flip, snapshot

pytestmark = pytest.mark.heavy

PHOTO = "refs/photo.png"


def lose(film: Checkout, name: str) -> None:
    """Nothing on this machine has it any more."""
    stored(film, name).unlink()
    (film.path / name).unlink()


def test_imported_media_come_back(film: Checkout, tmp_path: Path) -> None:
    film.regenstore("remote", "add", "studio", str(tmp_path / "shared"), "--create")
    film.write("refs/second.png", b"\x89PNG\r\n\x1a\n" + noise("second", 5000))
    film.commit("second")
    film.regenstore("push")
    before = film.read(PHOTO)
    lose(film, PHOTO)
    (film.path / "refs/second.png").unlink()
    flip(stored(film, "refs/second.png"), 70)
    held = snapshot(film.store)
    shown = film.run("regenstore", "fsck", "--dry-run")
    assert f"missing: {PHOTO}" in shown.stdout.decode() and "fetch it from a remote" in shown.stdout.decode()
    assert snapshot(film.store) == held
    said = film.regenstore("fsck")
    assert f"fetched: {PHOTO}" in said and "fetched: refs/second.png" in said and "2 brought back, 0 lost" in said
    assert stored(film, PHOTO).read_bytes() == before
    assert "all is well" in film.regenstore("fsck")
    film.git("checkout", "--", "refs")
    assert film.read(PHOTO) == before


def test_what_no_remote_has_stays_lost(film: Checkout, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    film.regenstore("remote", "add", "studio", str(shared), "--create")
    film.regenstore("push", "studio", "plates")
    lose(film, PHOTO)
    done = film.run("regenstore", "fsck", check=False)
    assert done.returncode == 1 and f"lost: {PHOTO}" in done.stderr.decode()
    shutil.rmtree(shared)
    data = json.loads(film.run("regenstore", "fsck", "--json", check=False).stdout)
    assert [m["repair"] for m in data["missing"]] == ["lost"]
    assert any("studio" in note and "mounted" in note for note in data["notes"])


def test_wrong_bytes_do_not_come_in(film: Checkout, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    film.regenstore("remote", "add", "studio", str(shared), "--create")
    film.regenstore("push")
    name = stored(film, PHOTO)
    lose(film, PHOTO)
    flip(next((shared / "v1/cas").rglob(name.parent.name + name.name)), 70)
    done = film.run("regenstore", "fsck", check=False)
    assert done.returncode == 1 and "wrong bytes" in done.stderr.decode() and not name.exists()


def test_what_can_be_made_is_made(film: Checkout, tmp_path: Path) -> None:
    film.regenstore("remote", "add", "studio", str(tmp_path / "shared"), "--create")
    film.regenstore("push")
    lose(film, PHOTO)
    lose(film, "plates/sea.png")
    said = film.regenstore("fsck")
    assert f"fetched: {PHOTO}" in said and "made again: plates/sea.png" in said
