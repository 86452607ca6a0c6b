"""Paths that Git allows and people seldom expect; and paths that must never be written through."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest

from regenstore.objects import toml
from regenstore.objects.hashing import hash_bytes
from tests.conftest import noise
from tests.git.film import ALPHA, BETA, FIRST, MAIN, PLATE, A, B, C, Film

ODD = [
    b"with space.bin",
    b" leading and trailing .bin",
    b"quo\"te's.bin",
    b"$(id)`id`;id&.bin",
    b"-n.bin",
    b"--help.bin",
    b"new\nline.bin",
    b"tab\tand\x01control.bin",
    b"a=b=c.bin",
    b"=.bin",
    b"back\\slash.bin",
    b"*.bin",
    b"[a-z]?.bin",
    b"%f.bin",
    b":(top)x.bin",
    b"#hash.bin",
    b"!bang.bin",
    unicodedata.normalize("NFC", "Brücke.bin").encode(),
    unicodedata.normalize("NFD", "Brücke.bin").encode(),
    "拍摄/場景.bin".encode(),
    "\U0001f3ac.bin".encode(),
    b"latin-1 \xe9\xff.bin",
    b"l\xe4t/in/f\xf6lder.bin",
    b"d" * 200 + b".bin",
    b"/".join([b"deep"] * 40) + b"/x.bin",
    b".hidden.bin",
    b"...bin",
    b"git.bin/.gitty/a.bin",
]


def put(film: Film, path: bytes, data: bytes) -> None:
    target = os.path.join(os.fsencode(film.path), path)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    with open(target, "wb") as file:
        file.write(data)
    os.utime(target, (1e9, 1e9))


def get(film: Film, path: bytes) -> bytes:
    with open(os.path.join(os.fsencode(film.path), path), "rb") as file:
        return file.read()


def take(film: Film, path: bytes) -> bytes:
    recorded = toml.decode(film.run("git", "cat-file", "blob", b":./" + path).stdout).output.take
    assert recorded is not None
    return recorded.digest.raw


def test_odd_paths_go_round(film: Film) -> None:
    media = {path: noise(f"odd {n}", 3000 + n) for n, path in enumerate(ODD)}
    for path, data in media.items():
        put(film, path, data)
    film.commit("odd")
    film.quiet()
    for path, data in media.items():
        assert take(film, path) == hash_bytes(data).raw, path
    film.git("checkout", "-q", "first")
    film.settled(FIRST)
    film.git("checkout", "-q", "main")
    film.quiet()
    for path, data in media.items():
        assert get(film, path) == data, path
    film.regenstore("drop")
    film.quiet()
    for path in media:
        assert get(film, path).startswith(b"regenstore = 1\n"), path
    film.regenstore("get")
    film.quiet()
    for path, data in media.items():
        assert get(film, path) == data, path
    listed = film.regenstore("status", "--json")
    assert "$(id)" in listed
    assert "\x01" not in film.regenstore("status", "--all")


@pytest.mark.parametrize("path", [p for p in ODD if b"/" not in p], ids=repr)
def test_verbs_take_odd_paths(film: Film, path: bytes) -> None:
    """set on a recipe at such a path, given as an argument."""
    (film.path / B).rename(os.fsdecode(os.path.join(os.fsencode(film.path), path)))
    film.git("add", "-A")
    film.regenstore("set", "--no-generate", "--", b"./" + path, "word=x")
    assert b'word = "x"' in get(film, path)
    film.git("checkout", "--", b":(literal)" + path)
    assert get(film, path) == BETA[1]


def test_symlinks_are_not_filtered(film: Film) -> None:
    film.put("target.txt", b"what the link shows")
    (film.path / "shots/link.bin").symlink_to("../target.txt")
    film.git("add", "-A")
    film.git("commit", "-q", "-m", "link")
    assert film.blob("shots/link.bin") == b"../target.txt"
    film.git("checkout", "-q", "first")
    film.git("checkout", "-q", "main")
    assert os.readlink(film.path / "shots/link.bin") == "../target.txt"
    film.quiet()
    film.regenstore("status")
    film.regenstore("drop")
    film.regenstore("get")
    assert os.readlink(film.path / "shots/link.bin") == "../target.txt"
    film.quiet()


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder that a link leads to, with files of the same names: none of them may change."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "a.bin").write_bytes(b"somebody else's")
    return folder


def link_folder(film: Film, outside: Path) -> None:
    for file in (film.path / "shots").iterdir():
        file.unlink()
    (film.path / "shots").rmdir()
    (film.path / "shots").symlink_to(outside)


def untouched(outside: Path) -> None:
    assert os.listdir(outside) == ["a.bin"]
    assert (outside / "a.bin").read_bytes() == b"somebody else's"


def test_a_link_in_the_place_of_a_folder_is_not_written_through(film: Film, outside: Path) -> None:
    link_folder(film, outside)
    for command in (["get"], ["drop"], ["get", C], ["status"]):
        film.run("regenstore", *command, check=False)
        untouched(outside)
    done = film.run("regenstore", "set", A, "word=alpha3", check=False)
    assert done.returncode
    untouched(outside)
    film.run("regenstore", "new", "shots/new.bin", "-g", "words", "-p", "word=x", check=False)
    untouched(outside)
    film.git("checkout", "-q", "-f", "side")
    untouched(outside)
    assert not (film.path / "shots").is_symlink()
    assert film.read(B) == BETA[2]


def test_a_link_to_recipe_texts_is_not_filled(film: Film, outside: Path) -> None:
    """Even where the link leads to exactly the recipe texts that are wanted."""
    texts = {name: film.blob(f"shots/{name}") for name in ("a.bin", "b.bin")}
    link_folder(film, outside)
    for name, text in texts.items():
        (outside / name).write_bytes(text)
    film.run("regenstore", "get", check=False)
    assert {name: (outside / name).read_bytes() for name in texts} == texts


def test_a_folder_that_becomes_a_link_during_the_checkout(film: Film, outside: Path) -> None:
    """Between Git's writing and our placing: the hook runs in exactly that gap."""
    hook = film.write(".git/hooks/post-checkout", f'#!/bin/sh\nrm -rf shots && ln -s "{outside}" shots\n')
    hook.chmod(0o755)
    film.git("checkout", "-q", "side")
    untouched(outside)
    assert (film.path / "shots").is_symlink()


def test_a_file_that_becomes_a_link_during_the_checkout(film: Film, outside: Path) -> None:
    """The link leads to a file that holds exactly the recipe text."""
    hook = film.write(".git/hooks/post-checkout", f'#!/bin/sh\nmv {B} "{outside}/b.bin"; ln -s "{outside}/b.bin" {B}\n')
    hook.chmod(0o755)
    film.git("checkout", "-q", "side")
    assert (outside / "b.bin").read_bytes() == film.blob(B, "side")
    assert (film.path / B).is_symlink()


def test_a_tracked_path_that_became_a_link(film: Film, outside: Path) -> None:
    (film.path / A).unlink()
    (film.path / A).symlink_to(outside / "a.bin")
    film.run("regenstore", "drop", A, check=False)
    film.run("regenstore", "get", A, check=False)
    untouched(outside)
    assert (film.path / A).is_symlink()
    film.git("add", A)
    assert film.git("ls-files", "-s", A).startswith("120000")
    film.git("commit", "-q", "-m", "now a link")
    film.git("checkout", "-q", "first")
    untouched(outside)
    film.settled(FIRST)
    film.git("checkout", "-q", "main")
    untouched(outside)
    assert (film.path / A).is_symlink()


@pytest.mark.parametrize("hint", ["../../outside/a.bin", "/etc/passwd", ".git/config", "a/../../x", "shots", ""])
def test_input_hints_that_leave_the_worktree(film: Film, outside: Path, hint: str) -> None:
    """A hint is only where to look first: nothing outside is read or written, and the input is found by
    its digest alone."""
    film.write("tools/shout.sh", '#!/bin/sh\ntr a-z A-Z < "$1" > "$2"\n').chmod(0o755)
    film.write(
        "regenstore.toml",
        (film.path / "regenstore.toml").read_text()
        + """
[generators.shout]
version = "1"
command = ["tools/shout.sh", "{input.source}", "{output}"]
media_type = "application/octet-stream"
seconds = 0.1
[generators.shout.inputs.source]
""",
    )
    film.regenstore("trust", "--yes")
    film.regenstore("new", "plates/loud.bin", "-g", "shout", "-i", f"source={A}")
    film.git("add", "-A")
    text = film.blob("plates/loud.bin").replace(f'path = "{A}"'.encode(), f'path = "{hint}"'.encode())
    film.write("plates/loud.bin", text)
    film.git("add", "-A")
    film.git("commit", "-q", "-m", "hint")
    film.regenstore("drop", "plates/loud.bin")
    film.forget("plates/loud.bin")
    film.forget(A)
    film.regenstore("get")
    assert film.read("plates/loud.bin") == ALPHA[2].upper()
    film.settled({**MAIN, "plates/loud.bin": ALPHA[2].upper()})
    untouched(outside)
    # And when no recipe is known for the input, the hint gives nothing away.
    film.forget("plates/loud.bin")
    missing = hash_bytes(b"somebody else's")
    film.write("plates/loud.bin", text.replace(str(hash_bytes(ALPHA[2])).encode(), str(missing).encode(), 1))
    done = film.run("regenstore", "get", "plates/loud.bin", check=False)
    assert done.returncode
    assert film.is_recipe("plates/loud.bin")
    assert PLATE[2] == film.read(C)
