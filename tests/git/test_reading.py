"""Commands that read: diff, log, blame, archive, cat-file, add -p and their kin."""

from __future__ import annotations

import io
import tarfile

import pytest

from regenstore.objects import toml
from tests.git.film import ALPHA, BETA, MAIN, PLATE, SIDE, A, B, C, D, Film


@pytest.mark.parametrize(
    "command",
    [
        ["log", "-p", "--stat"],
        ["show", "HEAD"],
        ["diff", "first", "main"],
        ["diff", "--stat", "first", "side"],
        ["diff", "--cached"],
        ["diff", "HEAD"],
        ["blame", "HEAD", "--", A],
        ["grep", "--cached", "alpha2"],
        ["log", "-Salpha2", "--oneline"],
        ["describe", "--always", "--dirty"],
        ["diff-index", "--quiet", "HEAD"],
        ["fsck", "--strict"],
    ],
    ids=lambda command: " ".join(command[:2]),
)
def test_history_is_read_as_recipes_without_the_filter(film: Film, command: list[str]) -> None:
    said = film.no_filter(*command)
    assert "dirty" not in said
    if command[0] in ("log", "show") and "-p" in command:
        assert '+word = "alpha2"' in said
        assert "[params]" in said


def test_diff_of_an_edited_take_shows_its_recipe(film: Film) -> None:
    film.regenstore("set", A, "word=alpha3")
    said = film.git("diff")
    assert '-word = "alpha2"' in said
    assert '+word = "alpha3"' in said
    assert "Binary" not in said
    assert "shots/a.bin |" in film.git("diff", "--stat")
    film.put(C, b"painted")
    assert "+size = 7" in film.git("diff", C)


def test_blame_of_the_worktree(film: Film) -> None:
    said = film.git("blame", A)
    assert 'word = "alpha2"' in said
    assert "Not Committed Yet" not in said


def test_add_patch_takes_one_hunk_of_a_recipe(film: Film) -> None:
    film.regenstore("drop", A)
    text = film.read(A).decode()
    # Far enough apart for two hunks.
    text = text.replace('word = "alpha2"', 'word = "alpha9"') + '\n[about]\nnote = "draft"\n'
    film.write(A, text)
    film.git("add", "-p", A, stdin=b"s\ny\nn\n")
    staged = toml.decode(film.blob(A))
    assert staged.params["word"] == "alpha9"
    assert not staged.about
    assert film.read(A) == text.encode()
    film.git("add", A)
    assert toml.decode(film.blob(A)).about == {"note": "draft"}


def test_archive_holds_media(film: Film) -> None:
    packed = film.run("git", "archive", "--format=tar", "side").stdout
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        for name, data in SIDE.items():
            member = tar.extractfile(name)
            assert member is not None
            assert member.read() == data
    film.settled(MAIN)


def test_archive_of_what_the_store_has_not(film: Film) -> None:
    film.forget(A)
    packed = film.run("git", "archive", "--format=tar", "HEAD", A, B).stdout
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        found = {name: tar.extractfile(name) for name in (A, B)}
        texts = {name: member.read() for name, member in found.items() if member is not None}
    assert texts == {A: film.blob(A), B: BETA[1]}


def test_cat_file(film: Film) -> None:
    assert film.run("git", "cat-file", "--filters", f"first:{A}").stdout == ALPHA[1]
    assert film.run("git", "cat-file", "--filters", f"first:{C}").stdout == PLATE[1]
    film.forget(A)
    assert film.run("git", "cat-file", "--filters", f":{A}").stdout == film.blob(A)
    film.no_filter("cat-file", "blob", f"first:{A}")


def test_hash_object_gives_the_recipe_blob(film: Film) -> None:
    assert film.git("hash-object", "--path", A, A) == film.git("rev-parse", f":{A}")
    assert film.git("hash-object", "--path", C, C) == film.git("rev-parse", f":{C}")


def test_checkout_index(film: Film) -> None:
    film.git("checkout-index", "-q", "-a", "-f", "--prefix=../export/")
    for name, data in MAIN.items():
        assert film.read(f"../export/{name}") == data
    (film.path / A).unlink()
    film.git("checkout-index", "-q", "-u", A)
    film.settled(MAIN, later=True)


def test_difftool_and_external_diff_get_media(film: Film) -> None:
    film.write("../compare.sh", 'cp "$2" ../old; cp "$5" ../new\n')
    film.git("diff", "first", "main", "--", A, GIT_EXTERNAL_DIFF=f"sh {film.path.parent}/compare.sh")
    assert (film.read("../old"), film.read("../new")) == (ALPHA[1], ALPHA[2])


def test_single_shot_filters_for_other_programs(film: Film) -> None:
    """Programs without the process protocol run filter.regenstore.clean and .smudge."""
    film.git("config", "--global", "--unset", "filter.regenstore.process")
    film.git("checkout", "-q", "side")
    film.put(A, b"painted")
    film.git("add", A)
    film.expect_blob(A, b"painted")
    film.git("reset", "-q", "--hard", "main")
    film.expect(MAIN)
    assert film.status() == ""


def test_filter_commands_by_hand(film: Film) -> None:
    blob = film.blob(A)
    assert film.run("regenstore-filter", "smudge", "--", A, stdin=blob).stdout == ALPHA[2]
    assert film.run("regenstore-filter", "clean", "--", A, stdin=ALPHA[2]).stdout == blob
    assert film.run("regenstore-filter", "clean", "--", D, stdin=b"").stdout == b""
    assert film.run("regenstore-filter", check=False).returncode == 2
    assert film.run("regenstore-filter", "process", stdin=b"0009hello0000", check=False).returncode == 7
