"""A medium that appears at another path brings its whole recipe, labels and parameters: by whichever way it moved."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable

import pytest

from regenstore.objects import toml
from tests.git.film import ALPHA, A, B, C, D, Film, words

Move = Callable[[Film, str, str], None]


def by_add_all(film: Film, old: str, new: str) -> None:
    os.rename(film.path / old, film.path / new)
    film.git("add", "-A")


def new_name_first(film: Film, old: str, new: str) -> None:
    os.rename(film.path / old, film.path / new)
    film.git("add", new)
    assert toml.decode(film.blob(new)) == toml.decode(film.blob(old))
    film.git("rm", "-q", "--cached", old)


def old_name_first(film: Film, old: str, new: str) -> None:
    os.rename(film.path / old, film.path / new)
    film.git("rm", "-q", old)
    film.git("add", new)


def by_commit_all(film: Film, old: str, new: str) -> None:
    os.rename(film.path / old, film.path / new)
    film.git("add", "-N", new)
    film.git("commit", "-q", "-a", "-m", "moved")


def by_git_mv(film: Film, old: str, new: str) -> None:
    film.git("mv", old, new)


def through_a_stash(film: Film, old: str, new: str) -> None:
    by_add_all(film, old, new)
    film.git("stash", "-q")
    film.git("stash", "pop", "-q", "--index")


def label(film: Film, name: str, text: str, commit: bool = True) -> None:
    film.regenstore("tag", name, f"note={text}", "rating=4")
    if commit:
        film.commit("labelled")


def note(film: Film, name: str) -> object:
    return toml.decode(film.blob(name)).about.get("note")


def ages(film: Film, name: str) -> bytes:
    """The recipe in Git gets other parameters, as by somebody without regenstore; the medium stays."""
    text = film.blob(name).replace(b'word = "alpha2"', b'word = "newer"')
    oid = film.git("hash-object", "-w", "--stdin", "--no-filters", stdin=text)
    film.git("update-index", "--cacheinfo", f"100644,{oid},{name}")
    film.git("commit", "-q", "-m", "newer parameters")
    return text


WAYS = [by_add_all, new_name_first, old_name_first, by_commit_all, by_git_mv, through_a_stash]


@pytest.mark.parametrize("database", ["database", "no database"])
@pytest.mark.parametrize("move", WAYS, ids=lambda way: str(way.__name__))
def test_a_moved_medium_keeps_its_whole_recipe(film: Film, move: Move, database: str) -> None:
    label(film, A, "hero")
    label(film, C, "photo")
    newer = film.blob(A) if move is through_a_stash else ages(film, A)
    plate = film.blob(C)
    if database == "no database":
        for file in film.store.glob("results.sqlite*"):
            file.unlink()
    move(film, A, "shots/Z.bin")
    move(film, C, "shots/photo.bin")
    assert film.blob("shots/Z.bin") == newer
    assert film.blob("shots/photo.bin") == plate
    assert film.run("git", "diff").stderr == b""
    assert {A, C}.isdisjoint(film.tracked())


def test_folders_names_in_another_case_and_names_that_are_swapped(film: Film) -> None:
    for name in (A, B, D, C):
        label(film, name, f"was {name}", commit=name == C)
    (film.path / "shots").rename(film.path / "renders")
    (film.path / "renders/a.bin").rename(film.path / "renders/A.bin")
    # What 'status' and 'tag' say before the add is what the add gives.
    film.regenstore("tag", "renders/b.bin", "tags+=seen")
    assert film.git("diff", "--stat") == film.git("diff", "--stat")
    film.commit("moved")
    assert note(film, "renders/A.bin") == f"was {A}"
    assert note(film, "renders/d.bin") == f"was {D}"
    assert toml.decode(film.blob("renders/b.bin")).about == {"note": f"was {B}", "rating": 4, "tags": ["seen"]}
    for one, other in (("renders/A.bin", "renders/b.bin"), (C, "renders/d.bin")):
        texts = film.blob(one), film.blob(other)
        for old, new in ((one, "tmp"), (other, one), ("tmp", other)):
            os.rename(film.path / old, film.path / new)
        film.git("add", one)
        film.git("add", other)
        assert (film.blob(other), film.blob(one)) == texts
    film.commit("swapped")
    film.quiet()


def test_the_likelier_of_two_names_and_a_line_that_says_so(film: Film) -> None:
    film.put("plates/extra.bin", film.read(C))
    film.commit("twice the same bytes")
    label(film, C, "the one", commit=False)
    label(film, "plates/extra.bin", "the other")
    (film.path / "moved").mkdir()
    (film.path / "plates/extra.bin").rename(film.path / "moved/extra.bin")
    (film.path / C).rename(film.path / "moved/c.bin")
    said = film.run("git", "add", "-A").stderr.decode()
    assert (note(film, "moved/extra.bin"), note(film, "moved/c.bin")) == ("the other", "the one")
    assert "'moved/c.bin' has the bytes of several media; it got the recipe of 'plates/c.bin'" in said
    assert said.count("\n") == 1
    assert film.run("git", "add", "-A").stderr == b""


def test_a_copy_has_the_recipe_of_now_and_imported_media_keep_their_own_labels(film: Film) -> None:
    newer = ages(film, A)
    label(film, C, "photo")
    film.put("shots/copy.bin", film.read(A))
    film.put("plates/copy.bin", film.read(C))
    film.git("add", "-A")
    assert film.blob("shots/copy.bin") == newer
    assert note(film, "plates/copy.bin") == "photo"
    # Bytes of another one, still there, at a path with labels of its own: an edit of that one.
    film.put("plates/copy.bin", b"other")
    label(film, "plates/copy.bin", "mine")
    film.put("plates/copy.bin", film.read(C))
    film.git("add", "-A")
    assert note(film, "plates/copy.bin") == "mine"


def test_a_pending_recipe_moves_with_its_medium(film: Film) -> None:
    film.regenstore("new", "shots/x.bin", "--generator", "words", "-p", "word=fresh")
    film.regenstore("tag", "shots/x.bin", "note=kept")
    (film.path / "shots/x.bin").rename(film.path / "shots/y.bin")
    film.git("add", "shots/y.bin")
    assert toml.decode(film.blob("shots/y.bin")).params == {"word": "fresh"}
    assert note(film, "shots/y.bin") == "kept"


def test_moved_while_in_conflict_and_into_other_attributes(film: Film) -> None:
    label(film, A, "ours")
    film.git("merge", "-q", "clash", check=False)
    assert film.git("ls-files", "-u", A)
    film.put("shots/z.bin", ALPHA[2])
    (film.path / A).unlink()
    film.git("add", "shots/z.bin")
    assert note(film, "shots/z.bin") == "ours"
    film.git("reset", "-q", "--hard")
    film.write("own/.gitattributes", "*.dat filter=regenstore -text\n")
    shutil.copyfile(film.path / A, film.path / "own/a.dat")
    film.commit("own attributes")
    label(film, "own/a.dat", "data")
    (film.path / "own").rename(film.path / "moved")
    film.commit("moved")
    assert note(film, "moved/a.dat") == "data"


def test_a_recipe_set_back_to_what_it_was_before_counts(film: Film) -> None:
    for text in ("one", "two", "one"):
        label(film, A, text)
        assert note(film, A) == text
    film.regenstore("tag", A, "note=two")
    film.put("shots/moved.bin", film.read(A))
    (film.path / A).unlink()
    film.git("add", "-A")
    assert note(film, "shots/moved.bin") == "two"


def test_a_folder_of_many_costs_one_look(film: Film) -> None:
    for number in range(300):
        film.put(f"many/{number}.bin", words(f"many{number}"))
    film.commit("many")
    film.regenstore("tag", *(f"many/{number}.bin" for number in range(300)), "tags+=set")
    film.commit("labelled")
    (film.path / "many").rename(film.path / "more")
    film.run("git", "add", "-A", GIT_TRACE=str(film.path.parent / "trace"))
    assert all(toml.decode(film.blob(f"more/{number}.bin")).about == {"tags": ["set"]} for number in range(0, 300, 30))
    trace = (film.path.parent / "trace").read_text()
    assert trace.count("ls-files") == 1
    assert trace.count("cat-file") <= 4
