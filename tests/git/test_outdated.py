"""Takes of other parameters: recipes that somebody changed as text, and the take stayed."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing

import pytest

from regenstore.objects import toml
from tests.git.film import ALPHA, MAIN, A, B, Film, words

Change = Callable[[bytes, bytes], bytes]


def parameters(text: bytes, other: bytes) -> bytes:
    return text.replace(b'word = "alpha2"', b'word = "newer"')


def version(text: bytes, other: bytes) -> bytes:
    return text.replace(b'word = "alpha2"', b'bytes = 1200\nword = "alpha2"')


def take_of_another(text: bytes, other: bytes) -> bytes:
    return text[: text.index(b"digest = ")] + other[other.index(b"digest = ") :]


def model(text: bytes, other: bytes) -> bytes:
    return text.replace(b"\n[params]", b'\n[model]\nrevision = "2"\n\n[params]')


CHANGES = [parameters, version, take_of_another, model]


def without_key(text: bytes) -> bytes:
    """As an earlier program wrote it."""
    lines = text.split(b"\n")
    return b"\n".join(line for line in lines if not line.startswith(b"key = "))


def put_in_git(film: Film, name: str, text: bytes) -> None:
    """Commit a text as somebody without regenstore does."""
    oid = film.git("hash-object", "-w", "--stdin", "--no-filters", stdin=text)
    film.git("update-index", "--cacheinfo", f"100644,{oid},{name}")
    film.git("commit", "-q", "-m", "by hand")


def state(film: Film, name: str) -> str:
    rows = json.loads(film.regenstore("status", "--json", "--all"))["paths"]
    return next(row["state"] for row in rows if row["path"] == name)


def doctor(film: Film) -> str:
    return film.run("regenstore", "doctor", "--json", check=False).stdout.decode()


@pytest.mark.parametrize("told", ["by the recipe", "by the database"])
@pytest.mark.parametrize("change", CHANGES, ids=lambda change: str(change.__name__))
def test_everything_says_so_and_the_new_parameters_are_made(film: Film, change: Change, told: str) -> None:
    text = change(film.blob(A), film.blob(B))
    if told == "by the database":
        text = without_key(text)
    put_in_git(film, A, text)
    for command in (["check"], ["check", "HEAD~1..HEAD"], ["verify", A]):
        done = film.run("regenstore", *command, check=False)
        assert done.returncode == 1 and b"made with other parameters" in done.stdout + done.stderr
    assert "the recorded take was made with other parameters" in doctor(film)
    assert b"made with other parameters" in film.run("regenstore", "show", f"HEAD:{A}").stderr
    # The medium of the old parameters lies there still: the recipe is not set back, and nothing takes it for its own.
    if change is not take_of_another:
        assert film.status() == ""
        assert state(film, A) == "outdated"
        assert "made with other parameters" in film.regenstore("why", A)
        film.run("touch", film.path / A)
        film.git("add", "-A")
        assert film.blob(A) == text
        assert film.run("regenstore", "record", A, check=False).returncode == 2
        film.regenstore("tag", A, "note=x")
        film.git("add", "-A")
        assert film.blob(A) == text + b'\n[about]\nnote = "x"\n'
        film.git("reset", "-q")
        film.run("rm", "-r", ".git/regenstore-pending")
    film.git("checkout", "-q", "-f", "first")
    film.git("checkout", "-q", "main")
    made = {parameters: words("newer"), version: words("alpha2", 1200)}.get(change, ALPHA[2])
    assert film.read(A) == made
    assert film.status() == ""
    if told == "by the recipe" or change is not model:
        assert state(film, A) == "unrecorded"
        film.regenstore("record", A)
        film.commit("recorded")
    recipe = toml.decode(film.blob(A))
    assert recipe.key is not None and recipe.output.key in (recipe.key.mark, None) and recipe.output.outdated is None
    assert state(film, A) == "placed"
    assert film.run("regenstore", "check").returncode == 0


def test_get_replaces_the_medium_of_the_old_parameters_and_gc_keeps_its_bytes(film: Film) -> None:
    put_in_git(film, A, parameters(film.blob(A), b""))
    film.regenstore("get", A)
    assert film.read(A) == words("newer")
    assert (film.status(), state(film, A)) == ("", "unrecorded")
    film.regenstore("gc", "--all", "--unreachable", "--yes", check=False)
    film.git("cat-file", "-p", f"HEAD:{A}")
    named = toml.decode(film.blob(A)).output.outdated
    assert named is not None
    assert list(film.store.glob(f"*/{named.digest.hex[:2]}/{named.digest.hex[2:]}"))


def test_the_edited_text_in_the_worktree_and_a_fresh_clone(film: Film) -> None:
    film.regenstore("drop", A)
    film.write(A, parameters(film.read(A), b""))
    film.git("commit", "-q", "-a", "-m", "edited")
    assert state(film, A) == "outdated"
    clone = film.at(film.path.parent / "clone")
    film.git("clone", "-q", str(film.path), str(clone.path))
    assert clone.run("regenstore", "check", check=False).returncode == 1
    film.regenstore("get", A)
    assert film.read(A) == words("newer")


def test_a_rebuilt_database_does_not_believe_them(film: Film) -> None:
    put_in_git(film, A, parameters(film.blob(A), b""))
    put_in_git(film, B, without_key(film.blob(B)))
    for file in film.store.glob("results.sqlite*"):
        file.unlink()
    film.regenstore("doctor", "--rebuild")
    with closing(sqlite3.connect(next(film.store.glob("results.sqlite")))) as database:
        digest = toml.decode(film.blob(A)).output.outdated
        assert digest is not None
        keys = {row[0] for row in database.execute(
            "SELECT key FROM result JOIN output ON result.id = output.result WHERE digest = ?", (digest.digest.raw,)
        )}  # fmt: skip
    newer = toml.decode(film.blob(A)).key
    assert keys and newer is not None and newer.raw not in keys
    assert state(film, A) == "outdated"
    assert state(film, B) == "placed"


def test_a_conflict_in_the_parameters_is_resolved_with_its_take_or_told(film: Film) -> None:
    film.git("merge", "-q", "clash", check=False)
    film.git("checkout", "--ours", "--", A)
    film.git("checkout", "-m", "--", A)
    lines = film.read(A).decode().splitlines()
    # Parameters of the one side, take of the other: each hunk is a unit.
    sides: list[str] = []
    chosen = iter(["ours", "theirs"])
    side = ""
    for line in lines:
        if line.startswith("<<<<<<<"):
            side, want = "ours", next(chosen)
        elif line.startswith("======="):
            side = "theirs"
        elif line.startswith(">>>>>>>"):
            side = ""
        elif not side or side == want:
            sides.append(line)
    film.write(A, "\n".join(sides) + "\n")
    film.git("add", A)
    recipe = toml.decode(film.blob(A))
    assert recipe.output.outdated is not None and recipe.output.take is None
    hook = film.run("regenstore", "hook", "pre-commit", check=False)
    assert hook.returncode == 1 and b"made with other parameters" in hook.stderr
    film.git("merge", "--abort")
    film.settled(MAIN)
