"""doctor --rebuild: the result database comes back from Git's recipes and the store's contents."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from regenstore.doctor import database
from regenstore.objects import toml
from regenstore.objects.content_store import ContentStore
from regenstore.objects.results.cache import ResultCache
from tests.doctor.gallery import Gallery, snapshot

pytestmark = pytest.mark.heavy


def rebuild(gallery: Gallery, *arguments: str) -> dict:
    return json.loads(gallery.regenstore("doctor", "--rebuild", "--json", *arguments))


def results(gallery: Gallery) -> set[tuple[str, str, float]]:
    cache = ResultCache(str(gallery.store))
    found = set()
    for name, revision in [(n, "") for n in [*gallery.made, "proxy.png"]] + [("made/01.png", "HEAD~1")]:
        recipe = toml.decode(gallery.blob(name, revision))
        assert recipe.key is not None
        for result in cache.results(recipe.key):
            found.update((name, str(c.digest), round(result.seconds, 1)) for c in result.outputs.values())
    cache.close()
    return found


def remove(gallery: Gallery) -> None:
    for path in gallery.store.glob("results.sqlite*"):
        path.unlink()


def test_a_deleted_database_comes_back(gallery: Gallery) -> None:
    before = results(gallery)
    assert len(before) == 14
    remove(gallery)
    assert results(gallery) == set()
    told = rebuild(gallery)
    assert (told["recipe_blobs"], told["results"], told["takes_without_bytes"]) == (16, 14, 0)
    assert told["database"]["state"] == "none" and told["old"] is None and told["done"] is True
    assert results(gallery) == before
    assert gallery.status() == ""
    # Git looks at every file again: clean has to find the same recipes.
    for name in [*gallery.made, "proxy.png", "photo.png"]:
        os.utime(gallery.path / name)
    assert gallery.status() == ""
    assert {p["state"] for p in json.loads(gallery.regenstore("status", "--json"))["paths"]} == {"placed", "imported"}
    old = gallery.stored("made/01.png", "HEAD~1").read_bytes()
    gallery.write("copy.png", old)  # known by its digest alone
    gallery.git("add", "copy.png")
    assert b"procedural.image" in gallery.blob("copy.png")


def test_everything_that_git_reaches_counts(gallery: Gallery) -> None:
    """Reflogs, the index, other branches and stashes, not only HEAD."""
    gallery.git("reset", "-q", "--hard", "HEAD~1")  # the second commit is in the reflog alone
    gallery.regenstore("set", "made/02.png", "seed=77")
    gallery.git("stash", "-q")
    gallery.regenstore("set", "made/03.png", "seed=78")
    gallery.git("add", "made/03.png")
    gallery.git("checkout", "-q", "--orphan", "other")
    remove(gallery)
    assert rebuild(gallery)["results"] == 16


def test_a_sound_database_is_copied_and_keeps_what_git_does_not_know(gallery: Gallery) -> None:
    gallery.regenstore("verify", "made/00.png")
    before = results(gallery)
    told = rebuild(gallery)
    assert results(gallery) == before
    copy = sqlite3.connect(told["old"])
    assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert copy.execute("SELECT count(*) FROM proof").fetchone() == (1,)
    copy.close()
    recipe = toml.decode(gallery.blob("made/00.png"))
    cache = ResultCache(str(gallery.store))
    assert recipe.key is not None
    assert len(cache.proofs(recipe.key, gallery.take("made/00.png").digest)) == 1
    cache.close()


def test_a_damaged_database_is_moved_aside(gallery: Gallery) -> None:
    path = gallery.store / "results.sqlite"
    path.write_bytes(b"SQLite format 3\0" + os.urandom(20000))
    damaged = path.read_bytes()
    before = results_of_git(gallery)
    told = rebuild(gallery)
    assert told["database"]["state"] == "damaged"
    assert Path(told["old"]).read_bytes() == damaged
    assert results(gallery) == before


def results_of_git(gallery: Gallery) -> set[tuple[str, str, float]]:
    found = set()
    for name, revision in [(n, "") for n in [*gallery.made, "proxy.png"]] + [("made/01.png", "HEAD~1")]:
        output = toml.decode(gallery.blob(name, revision)).output
        assert output.take is not None
        found.add((name, str(output.take.digest), round(float(output.seconds or 0), 1)))
    return found


def test_takes_without_bytes_are_not_recorded(gallery: Gallery) -> None:
    remove(gallery)
    gallery.stored("made/09.png").unlink()
    told = rebuild(gallery)
    assert (told["results"], told["takes_without_bytes"]) == (13, 1)
    assert {name for name, _, _ in results(gallery)} == {*gallery.made, "proxy.png"} - {"made/09.png"}


def test_a_dry_run_changes_nothing(gallery: Gallery) -> None:
    remove(gallery)
    before = snapshot(gallery.store)
    told = rebuild(gallery, "--dry-run")
    assert told["results"] == 14 and told["done"] is False
    said = gallery.regenstore("doctor", "--rebuild", "--dry-run")
    assert "recipe blobs in Git: 16; results to record: 14" in said
    assert snapshot(gallery.store) == before
    assert gallery.run("regenstore", "doctor", "--dry-run", check=False).returncode == 2


def test_a_newer_database_is_refused_and_left(gallery: Gallery) -> None:
    db = sqlite3.connect(gallery.store / "results.sqlite")
    db.execute("PRAGMA user_version = 99")
    db.close()
    before = (gallery.store / "results.sqlite").read_bytes()
    for command in (["doctor", "--rebuild"], ["fsck"]):
        done = gallery.run("regenstore", *command, check=False)
        assert done.returncode == 7 and b"99" in done.stderr
    assert (gallery.store / "results.sqlite").read_bytes() == before


@pytest.mark.parametrize(
    "change", ["result SET fingerprint = x'7b7d'", "recipe SET text = 'text'", "output SET size = 'x'"]
)
def test_values_of_another_type_are_damage(gallery: Gallery, change: str) -> None:
    """SQLite's own check lets them pass."""
    store = ContentStore(str(gallery.store))
    assert database.examine(store).state == database.SOUND
    before = results(gallery)
    with closing(sqlite3.connect(gallery.store / "results.sqlite", isolation_level=None)) as db:
        db.execute(f"UPDATE {change}")
    found = database.examine(store)
    assert found.state == database.DAMAGED and "values of" in found.problems[0]
    gallery.regenstore("fsck")
    assert database.examine(store).state == database.SOUND
    assert results(gallery) == before


def test_outputs_without_bytes_are_counted(gallery: Gallery) -> None:
    gallery.stored("made/01.png", "HEAD~1").unlink()
    assert database.examine(ContentStore(str(gallery.store))).incomplete == 1
    code, told = gallery.fsck()
    assert code == 1 and told["database"]["outputs_without_bytes"] == 1
    assert [(m["path"], m["repair"]) for m in told["missing"]] == [("made/01.png", "untried")]


# ------------------------------------------------------------------------------------------- what damaged ones tell


def ruin(gallery: Gallery, table: str) -> None:
    """Overwrite a table's first page, as a failing disk would."""
    path = gallery.store / "results.sqlite"
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (page,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()
        (size,) = db.execute("PRAGMA page_size").fetchone()
    with path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(os.urandom(size))


def proofs(gallery: Gallery, name: str) -> list[str]:
    recipe = toml.decode(gallery.blob(name))
    cache = ResultCache(str(gallery.store))
    assert recipe.key is not None
    found = [proof.tier for proof in cache.proofs(recipe.key, gallery.take(name).digest)]
    cache.close()
    return found


def variants(gallery: Gallery) -> int:
    """Results that no recipe in Git records."""
    recipe = toml.decode(gallery.blob("made/00.png").replace(b"seed = 1", b"seed = 2"))
    assert recipe.key is not None
    cache = ResultCache(str(gallery.store))
    found = len(cache.results(recipe.key))
    cache.close()
    return found


@pytest.fixture
def proven(gallery: Gallery) -> Gallery:
    gallery.regenstore("verify", "made/00.png", "made/01.png")
    gallery.regenstore("set", "made/00.png", "seed=2")
    gallery.git("checkout", "-q", "--", "made/00.png")
    assert proofs(gallery, "made/00.png") == ["bytes"] and variants(gallery) == 1
    return gallery


@pytest.mark.parametrize("command", ["fsck", "doctor"])
def test_whole_tables_of_a_damaged_database_are_taken_over(proven: Gallery, command: str) -> None:
    ruin(proven, "run_by_state")
    if command == "fsck":
        code, told = proven.fsck()
        assert code == 0 and told["database"]["state"] == "damaged"
    else:
        said = proven.regenstore("doctor", "--rebuild")
        assert "results and 2 proofs of damaged databases are taken over" in said
    assert proofs(proven, "made/00.png") == proofs(proven, "made/01.png") == ["bytes"] and variants(proven) == 1
    assert proven.fsck()[1]["database"]["state"] == "sound"


@pytest.mark.parametrize("table", ["proof", "output", "result"])
def test_proofs_are_not_believed_of_a_database_that_may_lack_what_speaks_against_them(
    proven: Gallery, table: str
) -> None:
    ruin(proven, table)
    told = rebuild(proven)
    assert (told["salvaged_proofs"], told["not_whole"]) == (0, ["results.sqlite"])
    assert proofs(proven, "made/00.png") == [] and len(results(proven)) == 14


def test_a_proof_that_contradicts_itself_is_not_believed(proven: Gallery) -> None:
    with closing(sqlite3.connect(proven.store / "results.sqlite")) as db, db:
        db.execute("UPDATE proof SET tier = 'content'")
    ruin(proven, "run_by_state")
    assert rebuild(proven)["not_whole"] == ["results.sqlite"]
    assert proofs(proven, "made/00.png") == []


def test_what_another_command_set_aside_is_taken_over_later(proven: Gallery) -> None:
    ruin(proven, "run")
    proven.regenstore("set", "made/05.png", "seed=9")  # it writes: the damaged one is moved aside without a word
    assert proofs(proven, "made/00.png") == []
    (kept,) = [
        path for path in proven.store.glob("results.sqlite.damaged-*") if not path.name.endswith(("-wal", "-shm"))
    ]
    before = kept.read_bytes()
    assert "doctor --rebuild" in proven.regenstore("doctor")
    dry = rebuild(proven, "--dry-run")
    assert dry["salvaged_proofs"] == 2 and proofs(proven, "made/00.png") == []
    rebuild(proven)
    assert proofs(proven, "made/00.png") == ["bytes"] and variants(proven) == 1
    assert kept.read_bytes() == before
