"""Sparse checkouts: what git keeps out of the worktree, no command of ours brings in."""

from __future__ import annotations

import json

import pytest

from tests.git.film import MAIN, A, B, C, D, Film

CONE = ("set", "--cone", "plates")
SPARSE_INDEX = ("set", "--cone", "--sparse-index", "plates")
NO_CONE = ("set", "--no-cone", "/*", "!shots/*")
EXCLUDED = 2


def files(film: Film) -> set[str]:
    return {path.relative_to(film.path).as_posix() for path in film.path.glob("*/*.bin")}


@pytest.mark.parametrize("form", [CONE, SPARSE_INDEX, NO_CONE], ids=["cone", "sparse index", "no cone"])
def test_what_is_excluded_stays_out(film: Film, form: tuple[str, ...]) -> None:
    film.git("sparse-checkout", *form)
    film.write("regenstore.toml", film.blob("regenstore.toml"))
    assert files(film) == {C}
    found = json.loads(film.regenstore("status", "--json"))
    assert {row["path"]: row["state"] for row in found["paths"]} == {
        A: "excluded", B: "excluded", D: "excluded", C: "imported",
    }  # fmt: skip
    assert found["totals"]["excluded"] == 3 and "missing" not in found["totals"]
    film.regenstore("drop")
    assert film.is_recipe(C)
    assert "3 excluded" in film.regenstore("get")
    assert json.loads(film.regenstore("get", "--json"))["excluded"] == 3
    assert film.read(C) == MAIN[C]
    film.regenstore("get", ".")
    film.regenstore("fsck")
    for command in (
        ("get", A), ("get", "shots"), ("drop", A), ("set", A, "word=x"), ("tag", A, "rating=1"), ("record", A),
        ("new", A, "-g", "words", "-p", "word=x", "--force"),
    ):  # fmt: skip
        done = film.run("regenstore", *command, check=False)
        assert done.returncode == EXCLUDED and b"sparse checkout" in done.stderr, command
    film.git("checkout", "-q", "side")
    film.git("checkout", "-q", "main")
    assert files(film) == {C}
    assert film.status() == ""
    film.git("sparse-checkout", "disable")
    film.settled(MAIN)


def test_what_is_there_all_the_same_is_as_any_other(film: Film) -> None:
    film.git("sparse-checkout", *CONE)
    film.write(A, film.blob(A))
    assert film.regenstore("status", A).startswith("recipe")
    film.regenstore("get", A)
    assert film.read(A) == MAIN[A]
    assert film.status() == ""
    film.regenstore("drop", A)
    assert film.is_recipe(A)
    assert files(film) == {A, C}


def test_conflicts_are_told_with_a_sparse_index(film: Film) -> None:
    film.git("sparse-checkout", "set", "--cone", "--sparse-index", "shots", "plates")
    film.git("merge", "-q", "clash", check=False)
    film.git("merge", "-q", "clash", check=False)
    assert "conflict" in film.regenstore("status")
