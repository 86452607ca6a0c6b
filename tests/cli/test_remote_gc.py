"""``remote gc`` as its job runs it: two clones, a shared folder, and time that has passed there."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Checkout, noise
from tests.remotes.real_servers import PASSWORD, USER

pytestmark = pytest.mark.heavy

DAY = 86400.0


def contents(shared: Path) -> set[str]:
    return {path.name for path in (shared / "v1/cas").rglob("*") if path.is_file()}


def age(shared: Path, days: float) -> None:
    """Let all there have been written, and marked, that much earlier."""
    for path in [path for path in shared.rglob("*") if path.is_file()]:
        found = path.stat()
        if "tombstones" in path.parts:
            told = json.loads(path.read_text())
            told["marked"] -= days * DAY
            told["modified"] -= days * DAY
            told["tag"] = ""
            path.write_text(json.dumps(told))
        os.utime(path, (time.time(), found.st_mtime - days * DAY))


def tree(shared: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in shared.rglob("*") if path.is_file()}


def gc(film: Checkout, *args: str) -> dict[str, dict]:
    return json.loads(film.regenstore("remote", "gc", "studio", "--json", *args))


def photo(film: Checkout, name: str, bytes_of: str) -> None:
    film.write(name, b"\x89PNG\r\n\x1a\n" + noise(bytes_of, 4000))
    film.commit(bytes_of)
    film.regenstore("push")


@pytest.fixture(params=["folder", "nginx-dav"])
def place(request, film, tmp_path, servers) -> Iterator[tuple[str, Path]]:
    """An address, and the folder that it stands for; on a web server, too."""
    if request.param == "folder":
        yield str(tmp_path / "shared"), tmp_path / "shared"
        return
    netrc = Path(film.environment["HOME"]) / ".netrc"
    netrc.write_text(f"machine 127.0.0.1 login {USER} password {PASSWORD}\n")
    netrc.chmod(0o600)
    with servers.room(request.param) as url:
        yield f"{url}/film", servers.folders[request.param] / "root" / url.rpartition("/")[2] / "film"


def test_two_clones(film, tmp_path, environment, place):
    url, shared = place
    film.regenstore("remote", "add", "studio", url, "--create")
    film.regenstore("push")
    film.git("clone", "-q", "--bare", str(film.path), str(tmp_path / "origin.git"))
    film.git("remote", "add", "origin", str(tmp_path / "origin.git"))
    other = Checkout(tmp_path / "other", environment)
    film.git("clone", "-q", str(tmp_path / "origin.git"), str(other.path))
    other.regenstore("init")
    other.regenstore("remote", "add", "studio", url)
    needed = contents(shared)

    # One clone makes a photo that is never shared through Git, and one that is.
    film.git("switch", "-q", "-c", "try")
    photo(film, "refs/try.png", "discarded")
    discarded = contents(shared) - needed
    film.git("switch", "-q", "main")
    photo(film, "refs/second.png", "second")
    film.git("push", "-q", "origin", "main")
    second = contents(shared) - needed - discarded

    # The other clone, which is up to date, is the one that clears up.
    other.git("pull", "-q")
    age(shared, 31)
    before = tree(shared)
    plan = gc(other, "--dry-run")["plan"]
    assert tree(shared) == before
    assert [row["digest"] for row in plan["mark"]] == [f"blake3:{name}" for name in discarded]
    assert plan["needed"]["contents"] == 3 and plan["delete"] == []

    refused = other.run("regenstore", "remote", "gc", "studio", check=False)
    assert refused.returncode == 5 and b"cannot ask for confirmation" in refused.stderr and tree(shared) == before
    assert gc(other, "--yes")["done"]["marked"] == 1
    age(shared, 8)
    said = other.regenstore("remote", "gc", "studio", "--yes")
    assert "deleted 1 content " in said and contents(shared) == needed | second
    assert "nothing to do" in other.regenstore("remote", "gc", "studio")

    # Whoever still has it can send it again.
    film.git("switch", "-q", "try")
    film.regenstore("push")
    assert contents(shared) == needed | second | discarded


def test_a_server_that_cannot_list(film, servers):
    with servers.room("nginx") as url:
        film.regenstore("remote", "add", "studio", url)
        film.regenstore("push")
        for args in (["--dry-run"], ["--yes"]):
            refused = film.run("regenstore", "remote", "gc", "studio", *args, check=False)
            assert refused.returncode == 6 and b"provides no listings" in refused.stderr, refused.stderr
            assert b"Traceback" not in refused.stderr and b"hint" in refused.stderr
        # Nothing was begun there either.
        folder = servers.folders["nginx"] / "root" / url.rpartition("/")[2]
        assert not (folder / "v1/gc.json").exists() and not (folder / "v1/tombstones").exists()


def test_marked_and_sent_again(film, tmp_path):
    shared = tmp_path / "shared"
    film.regenstore("remote", "add", "studio", str(shared), "--create")
    film.git("switch", "-q", "-c", "try")
    photo(film, "refs/try.png", "try")
    everything = contents(shared)
    film.git("switch", "-q", "main")
    film.git("update-ref", "refs/keep/try", "try")
    film.git("branch", "-q", "-D", "try")
    commit = film.git("rev-parse", "refs/keep/try")
    film.git("update-ref", "-d", "refs/keep/try")
    film.git("reflog", "expire", "--expire=now", "--expire-unreachable=now", "--all")
    age(shared, 31)
    assert gc(film, "--yes")["done"]["marked"] == 1
    age(shared, 8)
    film.git("switch", "-q", "-c", "again", commit)
    assert "Sent 1 content " in film.regenstore("push")
    film.git("switch", "-q", "main")
    film.git("branch", "-q", "-D", "again")
    film.git("reflog", "expire", "--expire=now", "--expire-unreachable=now", "--all")
    done = gc(film, "--yes")
    assert len(done["plan"]["unmark"]) == 1 and done["done"]["deleted"] == 0 and contents(shared) == everything


def test_refusals(film, tmp_path, environment):
    shared, store = tmp_path / "shared", tmp_path / "store"
    film.regenstore("remote", "add", "studio", str(shared), "--create")
    film.regenstore("push")
    age(shared, 100)

    def refused(*args: str) -> tuple[int, str]:
        done = film.run("regenstore", "remote", "gc", *args, check=False)
        assert b"Traceback" not in done.stderr
        return done.returncode, done.stderr.decode()

    assert refused("nobody")[0] == 3
    for args in (("--wait", "1m"), ("--retention", "0"), ("--wait", "soon")):
        assert refused("studio", *args)[0] == 2
    shutil.copytree(film.store, store)
    film.git("config", "regenstore.store", str(store))
    film.regenstore("status")
    clone = Checkout(tmp_path / "clone", environment)
    film.git("clone", "-q", str(film.path), str(clone.path))
    clone.git("config", "regenstore.store", str(store))
    clone.regenstore("init")
    clone.regenstore("status")
    assert len(gc(film, "--dry-run")["plan"]["repositories"]) == 2
    shutil.move(clone.path, tmp_path / "away")
    before = tree(shared)
    code, said = refused("studio", "--yes")
    assert code == 4 and "needs are not known" in said and "hint" in said and tree(shared) == before
    film.regenstore("gc", "--forget-repository", str(clone.path))
    assert gc(film, "--dry-run")["plan"]["mark"] == []
