"""What people do with media between two commits: edits, copies, touch, drop and get, set and record."""

from __future__ import annotations

import os

import pytest

from regenstore.objects import toml
from tests.git.film import ALPHA, BETA, MAIN, PLATE, SIDE, A, B, C, D, Film, words


def recipe(film: Film, name: str, revision: str = "") -> toml.Recipe:
    return toml.decode(film.blob(name, revision))


def test_an_edited_take_becomes_imported_media_that_name_their_origin(film: Film) -> None:
    before = recipe(film, A)
    film.put(A, b"painted over")
    assert film.status() == f" M {A}"
    film.git("add", A)
    film.expect_blob(A, b"painted over")
    after = recipe(film, A)
    assert after.imported
    assert after.about["edited_from"] == str(before.key)
    film.git("commit", "-q", "-m", "painted")
    film.git("checkout", "-q", "first")
    film.git("checkout", "-q", "main")
    film.settled({**MAIN, A: b"painted over"})
    # Painted again: the origin stays.
    film.put(A, b"painted over twice")
    film.git("add", A)
    assert recipe(film, A).about["edited_from"] == str(before.key)
    # And back to the take: the recipe is known again.
    film.put(A, ALPHA[2])
    film.git("add", A)
    assert dict(recipe(film, A).params) == {"word": "alpha2"}


def test_an_edit_that_is_undone_is_no_change(film: Film) -> None:
    film.write(A, b"painted over")
    assert film.status() == f" M {A}"
    film.write(A, ALPHA[2])
    assert film.status() == ""
    film.expect(MAIN)


def test_the_take_of_another_recipe_brings_its_recipe(film: Film) -> None:
    film.put(B, ALPHA[2])
    film.git("add", B)
    assert dict(recipe(film, B).params) == {"word": "alpha2"}
    film.put("plates/copy.bin", BETA[2])
    film.git("add", "plates/copy.bin")
    assert dict(recipe(film, "plates/copy.bin").params) == {"word": "beta2"}
    film.put("plates/plate.bin", PLATE[3])
    film.git("add", "plates/plate.bin")
    assert film.blob("plates/plate.bin") == film.blob(C, "clash")


def test_touch_keeps_status_clean(film: Film) -> None:
    for name in MAIN:
        os.utime(film.path / name)
    film.quiet(later=True)
    film.settled(MAIN)


def test_a_copied_worktree_is_clean(film: Film) -> None:
    """Other inodes and times, the same bytes."""
    for name in MAIN:
        data = film.read(name)
        (film.path / name).unlink()
        film.write(name, data)
    assert film.status() == ""
    film.settled(MAIN, later=True)


@pytest.mark.parametrize("round_", range(3))
def test_edits_of_the_same_second_and_size_are_seen(film: Film, round_: int) -> None:
    film.git("checkout", "-q", "first")
    film.git("checkout", "-q", "main")
    with open(film.path / A, "r+b") as file:  # in place: the same inode and size
        file.write(b"ALPHA")
    with open(film.path / C, "r+b") as file:
        file.seek(-1, os.SEEK_END)
        last = file.read(1)
        file.seek(-1, os.SEEK_END)
        file.write(bytes([last[0] ^ 1]))
    assert film.status() == f" M {C}\n M {A}"
    film.git("commit", "-q", "-a", "-m", "edited")
    with open(film.path / A, "r+b") as file:
        file.write(b"Alpha")
    assert film.status() == f" M {A}"
    film.git("add", A)
    film.expect_blob(A, b"Alpha" + ALPHA[2][5:])


def test_edits_of_other_files_in_the_same_second_are_not_hidden(film: Film) -> None:
    """The patched index keeps its own time: Git still looks again at what was written after it."""
    for n in range(3):
        film.write("notes.txt", f"version {n}\n")
        film.git("add", "notes.txt")
        film.write("notes.txt", f"Version {n}\n")
        film.git("checkout", "-q", "first", "--", A)
        film.git("checkout", "-q", "main", "--", A)
        assert film.status() in ("MM notes.txt", "AM notes.txt"), n


def test_drop_and_get(film: Film) -> None:
    film.regenstore("drop", "shots")
    for name in (A, B, D):
        assert film.read(name) == film.blob(name)
    assert film.read(C) == PLATE[2]
    film.settled({C: PLATE[2]}, recipes={A: ALPHA[2], B: BETA[1], D: MAIN[D]})
    film.regenstore("get", A)
    film.settled({A: ALPHA[2], C: PLATE[2]}, recipes={B: BETA[1], D: MAIN[D]})
    film.regenstore("get")
    film.settled(MAIN)
    film.regenstore("drop")
    film.settled({}, recipes=MAIN)
    film.git("checkout", "-q", "side")
    film.settled(SIDE)
    film.regenstore("drop", A, B)
    film.git("checkout", "-q", "first")
    film.settled({B: BETA[1], C: PLATE[1]}, recipes={A: ALPHA[1]})  # the same on both: it stays as it was


def test_drop_keeps_what_is_nowhere_else(film: Film) -> None:
    film.put(A, b"painted, and not added")
    film.forget(C)
    said = film.run("regenstore", "drop", check=False).stderr.decode()
    assert film.read(A) == b"painted, and not added"
    assert film.read(C) == PLATE[2]
    assert f"kept {A}" in said
    assert f"kept {C}" in said
    assert film.is_recipe(B)


def test_get_after_delete(film: Film) -> None:
    (film.path / A).unlink()
    (film.path / C).unlink()
    film.regenstore("get")
    film.settled(MAIN)


def test_set_makes_and_add_records(film: Film) -> None:
    film.regenstore("set", A, "word=gamma", "bytes=123")
    assert film.read(A) == words("gamma", 123)
    assert film.status() == f" M {A}"
    film.expect_blob(A, ALPHA[2])
    film.git("add", A)
    film.expect({**MAIN, A: words("gamma", 123)})
    film.git("commit", "-q", "-m", "gamma")
    film.settled({**MAIN, A: words("gamma", 123)})


def test_set_that_gives_the_same_bytes_still_changes_the_recipe(film: Film) -> None:
    """bytes=1000 is what the default gives: other recipe, same medium."""
    film.regenstore("set", A, "bytes=1000")
    assert film.read(A) == ALPHA[2]
    film.git("add", A)
    assert dict(recipe(film, A).params) == {"word": "alpha2", "bytes": 1000}
    film.expect(MAIN)
    film.git("commit", "-q", "-m", "said aloud")
    film.settled(MAIN)
    film.git("checkout", "-q", "HEAD~1")
    film.settled(MAIN)
    assert dict(recipe(film, A).params) == {"word": "alpha2"}
    film.git("checkout", "-q", "main")
    assert dict(recipe(film, A).params) == {"word": "alpha2", "bytes": 1000}
    os.utime(film.path / A)
    film.quiet(later=True)
    assert dict(recipe(film, A).params) == {"word": "alpha2", "bytes": 1000}


def test_set_then_checkout_of_the_path_forgets_it(film: Film) -> None:
    film.regenstore("set", A, "bytes=1000")
    film.git("checkout", "--", A)
    os.utime(film.path / A)
    film.quiet(later=True)
    film.git("add", A)
    assert dict(recipe(film, A).params) == {"word": "alpha2"}


def test_set_without_making_is_wanted_and_comes_with_get(film: Film) -> None:
    film.regenstore("set", "--no-generate", A, "word=later")
    assert film.is_recipe(A)
    film.git("commit", "-q", "-a", "-m", "wanted")
    film.quiet(later=True)
    assert "wanted" in film.regenstore("status")
    film.regenstore("get")
    film.quiet()
    assert film.read(A) == words("later")
    assert recipe(film, A).output.take is None
    film.regenstore("record", A)
    assert film.status() == f" M {A}"
    film.git("commit", "-q", "-a", "-m", "recorded")
    film.settled({**MAIN, A: words("later")})
    assert "already recorded" in film.regenstore("record", A)


def test_new_then_add(film: Film) -> None:
    film.regenstore("new", "shots/n.bin", "-g", "words", "-p", "word=new")
    film.git("add", "-A")
    film.git("commit", "-q", "-m", "new")
    film.settled({**MAIN, "shots/n.bin": words("new")})


def test_replacing_a_file_by_rename_is_an_edit(film: Film) -> None:
    """Editors write a new file and rename it over the old one."""
    film.write("shots/.a.tmp", b"saved by an editor")
    os.replace(film.path / "shots/.a.tmp", film.path / A)
    assert film.status() == f" M {A}"
    film.git("commit", "-q", "-a", "-m", "saved")
    film.expect_blob(A, b"saved by an editor")


def test_an_edit_in_the_store_s_copy_is_impossible_through_the_worktree(film: Film) -> None:
    """Media are never hard links: writing into one leaves the stored bytes alone."""
    with open(film.path / A, "r+b") as file:
        file.write(b"scribble")
    film.stored()
    film.git("checkout", "--", A)
    film.settled(MAIN)


def test_an_edit_while_git_works_is_not_replaced(film: Film) -> None:
    """A hook edits a file between Git's writing of the recipe and our placing of the medium."""
    film.write(".git/hooks/post-checkout", f"#!/bin/sh\necho mine > {B}\n").chmod(0o755)
    film.git("checkout", "-q", "side")
    assert film.read(B) == b"mine\n"
    assert film.status() == f" M {B}"


@pytest.mark.parametrize("generate", [(), ("--no-generate",)], ids=["medium", "text"])
def test_a_medium_that_could_not_be_replaced_keeps_its_recipe(film: Film, generate: tuple[str, ...]) -> None:
    film.regenstore("set", A, "word=new")
    film.regenstore("tag", A, "scene=12")
    lock = film.path / ".git/index.lock"
    lock.touch()
    assert film.run("regenstore", "set", A, "word=newer", *generate, check=False).returncode
    lock.unlink()
    film.git("add", A)
    kept = recipe(film, A)
    assert (dict(kept.params), kept.about["scene"]) == ({"word": "new"}, "12")
    assert film.read(A) == words("new")
