"""Two artists and a shared folder: what one commits the other has, to the byte, and what is lost comes back."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from tests.cli.conftest import SMALL
from tests.conftest import Checkout, hermetic_environment, noise

pytestmark = pytest.mark.heavy

SEA, PHOTO, PROXY = "plates/sea.png", "refs/photo.png", "shots/sea_small.png"
EVERYTHING = (SEA, PHOTO, PROXY)


class Team:
    """Artist A with a film, an empty bare repository and a remote, and B on a machine that has nothing yet."""

    def __init__(self, film: Checkout, folder: Path) -> None:
        self.folder = folder
        self.a = film
        film.regenstore("new", PROXY, "-g", "derive.image", "-i", f"source={SEA}", "-p", "height=24")
        film.commit("A proxy")
        self.media = {name: film.read(name) for name in EVERYTHING}
        self.hub = folder / "hub.git"
        film.git("init", "-q", "--bare", str(self.hub))
        film.git("remote", "add", "origin", str(self.hub))
        film.regenstore("remote", "add", "studio", str(folder / "shared"), "--create")

    def push(self) -> None:
        self.a.regenstore("push")
        self.a.git("push", "-q", "-u", "origin", "main")

    def clone(self, name: str, *options: str, **environment: str) -> Checkout:
        """Another machine: a home of its own, and a clone that knows the remote."""
        home = self.folder / f"home-{name}"
        home.mkdir()
        shutil.copy(Path(self.a.environment["HOME"]) / ".gitconfig", home)
        there = Checkout(self.folder / name, hermetic_environment(home))
        self.a.run("regenstore", "install", **there.environment)
        known = [f"-cregenstore.remote.studio.url={self.folder / 'shared'}"]
        self.a.run("git", "clone", "-q", *known, *options, str(self.hub), str(there.path), check=True, **{
            **there.environment, **environment
        })  # fmt: skip
        return there

    def journal(self, checkout: Checkout) -> int:
        """How many runs a store has seen."""
        import sqlite3

        path = checkout.store / "results.sqlite"
        if not path.exists():
            return 0
        with sqlite3.connect(path) as db:
            (count,) = db.execute("SELECT count(*) FROM run").fetchone()
        db.close()
        return int(count)


@pytest.fixture
def team(film: Checkout, tmp_path: Path) -> Team:
    return Team(film, tmp_path)


def test_the_whole_way(team: Team) -> None:
    """A commits imported and generated media and pushes; B clones and has all, made by nobody; A loses the store."""
    team.push()
    b = team.clone("b", REGENSTORE_SMUDGE="fetch")
    assert {name: b.read(name) for name in EVERYTHING} == team.media
    assert b.status() == "" and team.journal(b) == 0
    # A's store is gone, and the worktree is text.
    team.a.regenstore("drop")
    shutil.rmtree(team.a.store)
    team.a.regenstore("get", "--no-generate")
    assert {name: team.a.read(name) for name in EVERYTHING} == team.media
    assert team.a.status() == "" and team.journal(team.a) == 0
    assert team.a.regenstore("fsck").startswith("") and b.regenstore("fsck", "--no-repair")


def test_a_checkout_fetches_what_is_missing(team: Team) -> None:
    team.push()
    b = team.clone("b", "--no-checkout")
    b.git("checkout", "-q", "main", REGENSTORE_SMUDGE="place")
    assert all(b.is_recipe(name) for name in EVERYTHING)
    said = b.regenstore("get", "--dry-run", "--json", "--prefer", "fetch")
    assert {row["path"] for row in json.loads(said)["fetch"]} == set(EVERYTHING)
    said = b.regenstore("get", "--prefer", "fetch")
    assert "3 placed, 3 fetched, 0 made" in said
    assert {name: b.read(name) for name in EVERYTHING} == team.media and b.status() == ""


def test_fetch_fills_the_store_and_leaves_the_worktree(team: Team) -> None:
    team.push()
    b = team.clone("b", REGENSTORE_SMUDGE="place")
    assert "3 to fetch" in b.regenstore("fetch", "--dry-run") and not list(b.store.glob("vault/*/*"))
    assert "1 fetched, 0 in the store" in b.regenstore("fetch", "refs")
    assert "2 fetched, 1 in the store" in b.regenstore("fetch")
    assert all(b.is_recipe(name) for name in EVERYTHING)
    shutil.rmtree(team.folder / "shared")
    b.regenstore("get", "--local", "--no-generate")
    assert {name: b.read(name) for name in EVERYTHING} == team.media


def test_what_b_makes_from_a_recipe_without_a_take_is_what_a_made(team: Team) -> None:
    """A merge drops a take; somebody who made the medium since has pushed it."""
    team.a.regenstore("new", "--no-generate", "plates/fog.png", "-g", "procedural.image", "-p", "prompt=fog", *SMALL)
    team.a.commit("Wanted")
    team.push()
    b = team.clone("b", REGENSTORE_SMUDGE="place")
    team.a.regenstore("get", "plates/fog.png")
    team.a.regenstore("record", "plates/fog.png", check=False)
    team.a.git("add", "-A")
    team.a.regenstore("push")
    b.regenstore("get", "plates/fog.png", "--prefer", "fetch")
    assert b.read("plates/fog.png") == team.a.read("plates/fog.png")
    assert team.journal(b) == 0


def test_a_remote_that_is_away_is_named_and_the_rest_is_made(team: Team) -> None:
    team.push()
    os.rename(team.folder / "shared", team.folder / "away")
    b = team.clone("b", REGENSTORE_SMUDGE="place")
    done = b.run("regenstore", "get", check=False)
    said = (done.stdout + done.stderr).decode()
    assert done.returncode == 3 and "remote studio" in said and "Traceback" not in said
    assert b.read(SEA) == team.media[SEA] and b.is_recipe(PHOTO)
    os.rename(team.folder / "away", team.folder / "shared")
    b.regenstore("get")
    assert b.read(PHOTO) == team.media[PHOTO]


def test_gc_evicts_what_a_remote_confirms_at_that_moment(team: Team) -> None:
    def evictable(checkout: Checkout) -> int:
        return len(json.loads(checkout.regenstore("gc", "--free", "1g", "--dry-run", "--json", check=False))["evict"])

    assert evictable(team.a) == 0
    team.push()
    assert evictable(team.a) == 3
    (copy,) = [p for p in (team.folder / "shared").rglob("*") if p.is_file() and p.read_bytes() == team.media[PHOTO]]
    copy.chmod(0o644)
    copy.write_bytes(noise("rotten", len(team.media[PHOTO])))
    assert evictable(team.a) == 2  # asked again, and its bytes are other ones by now
    team.a.regenstore("drop")
    team.a.regenstore("gc", "--free", "1g", "--yes", check=False)
    left = [path.read_bytes() for path in (*team.a.store.glob("vault/*/*"), *team.a.store.glob("cache/*/*"))]
    assert left == [team.media[PHOTO]]
    team.a.regenstore("get", "--no-generate")
    assert {name: team.a.read(name) for name in EVERYTHING} == team.media


def test_others_proofs_count_by_policy(team: Team) -> None:
    team.a.regenstore("verify", SEA)
    team.push()
    b = team.clone("b", REGENSTORE_SMUDGE="fetch")
    assert json.loads(b.regenstore("why", "--json", SEA))["rule"] == "unproven"
    b.regenstore("fetch")
    assert json.loads(b.regenstore("why", "--json", SEA))["rule"] == "unproven"
    assert "others" in b.regenstore("why", SEA)
    told = json.loads(b.regenstore("why", "--json", SEA, REGENSTORE_PROOFS="shared"))
    assert (told["rule"], told["state"]) == ("proven", "evictable")


def test_a_clone_asks_nobody_before_trust(team: Team) -> None:
    team.push()
    team.a.write("regenstore.toml", f'[remotes.studio]\nurl = "{team.folder / "shared"}"\n')
    team.a.commit("Name the remote")
    team.a.git("push", "-q")
    b = team.clone("b", REGENSTORE_SMUDGE="place")
    b.git("config", "--unset", "regenstore.remote.studio.url")
    done = b.run("regenstore", "get", "--no-generate", check=False)
    assert done.returncode and b"regenstore trust" in done.stderr and b.is_recipe(PHOTO)
    b.regenstore("trust", "--yes")
    b.regenstore("get", "--no-generate")
    assert {name: b.read(name) for name in EVERYTHING} == team.media
