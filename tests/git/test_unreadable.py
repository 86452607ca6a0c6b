"""What cannot be read is not missing, and what is no regular file is not opened: both are named, and left alone."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from tests.fork_server import WITHOUT
from tests.git.film import MAIN, A, B, C, Film

UNREADABLE, NOT_A_FILE = 6, 4


def run(film: Film, *command: str, **extra: str) -> subprocess.CompletedProcess[bytes]:
    """Run a command for which permissions count, also for root. One that waits for something fails."""
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("root ignores permissions here")
        command = (*WITHOUT, *command)
    return film.run(*command, check=False, **extra)


def state(film: Film, name: str) -> str:
    found = json.loads(run(film, "regenstore", "status", "--json").stdout)
    (state,) = [row["state"] for row in found["paths"] if row["path"] == name]
    return str(state)


REPLACING = (
    ("get", A), ("drop", A), ("set", A, "word=x"), ("record", A), ("tag", A, "rating=3"),
    ("new", A, "-g", "words", "-p", "word=x"), ("new", A, "-g", "words", "-p", "word=x", "--force"),
    ("export", "sidecar", "--to", "../out"), ("pin", A), ("show", A), ("accept", A), ("why", A),
)  # fmt: skip
ALL = (*REPLACING, ("verify", A), ("edit", A), ("takes", A), ("export", "dataset", "../data"))


def named(film: Film, commands: tuple[tuple[str, ...], ...], code: int, name: str) -> None:
    for command in commands:
        done = run(film, "regenstore", *command)
        said = done.stderr.decode()
        assert done.returncode == (1 if command[0] == "verify" else code), (command, said)
        assert name in said, command
        assert "Traceback" not in said and "internal" not in said


@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_medium_that_cannot_be_read(film: Film, what: str) -> None:
    """Edited by hand and never added: the only copy."""
    film.write(A, "the only copy")
    locked = film.path / A if what == "file" else (film.path / A).parent
    mode = locked.stat().st_mode
    locked.chmod(0)
    try:
        named(film, ALL if what == "file" else REPLACING, UNREADABLE, A)
        assert state(film, A) == "unreadable"
        assert b"Permission denied" in run(film, "regenstore", "status").stdout
        film.regenstore("drop", C)
        done = run(film, "regenstore", "get")
        assert done.returncode == UNREADABLE and film.read(C) == MAIN[C], "the rest of the batch goes on"
        done = run(film, "regenstore", "drop", A, C)
        assert done.returncode == UNREADABLE and film.is_recipe(C)
    finally:
        locked.chmod(mode)
    assert film.read(A) == b"the only copy"


def test_an_index_that_cannot_be_read_has_no_answer(film: Film) -> None:
    film.write(A, "edited")
    index = film.path / ".git/index"
    data = index.read_bytes()
    index.chmod(0)
    named(film, (("status",), ("get",), ("drop",), ("set", A, "word=x"), ("record", A)), UNREADABLE, "index")
    index.chmod(0o644)
    index.write_bytes(data[:-30])
    named(film, (("status",),), 7, "index")
    assert film.read(A) == b"edited"


def feed(film: Film, data: bytes) -> subprocess.CompletedProcess[bytes]:
    command = [*WITHOUT, "regenstore-filter", "clean", "--", A]
    return subprocess.run(command, cwd=film.path, env=film.environment, input=data, capture_output=True, check=False)


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("setpriv") is None, reason="drops a capability of root")
def test_clean_answers_with_an_error_where_it_cannot_know_the_recipe(film: Film) -> None:
    """Without the index, its blob, or the pending recipe, the recipe would become imported media."""
    data = film.read(A) + b"edited"
    oid = film.git("rev-parse", f":{A}")
    loose = film.path / ".git/objects" / oid[:2] / oid[2:]
    folder = film.path / ".git/regenstore-pending"
    shutil.rmtree(folder)
    film.regenstore("set", A, "word=new")
    (pending,) = (file for file in folder.iterdir() if file.suffix != ".base")
    index = film.path / ".git/index"
    for file in (index, loose, pending, folder):
        mode = file.stat().st_mode
        file.chmod(0)
        done = feed(film, data)
        file.chmod(mode)
        assert done.returncode and not done.stdout, file
        assert (oid if file == loose else os.path.basename(file)).encode() in done.stderr
    assert feed(film, data).stdout.startswith(b"regenstore = 1\n")
    whole = index.read_bytes()
    index.write_bytes(whole[:-30])
    done = feed(film, data)
    index.write_bytes(whole)
    assert done.returncode and not done.stdout
    pending.write_bytes(pending.read_bytes()[:-1])
    assert run(film, "git", "add", A).returncode, "a damaged one is not passed over"


def test_a_repository_that_cannot_be_read_is_not_none(film: Film) -> None:
    folder = film.path / ".git"
    folder.chmod(0)
    try:
        done = run(film, "regenstore", "status")
    finally:
        folder.chmod(0o755)
    assert done.returncode == UNREADABLE and b".git" in done.stderr


# ------------------------------------------------------------------------------------------- no regular files


def fifo(path: Path) -> None:
    os.mkfifo(path)


def link(path: Path) -> None:
    os.mkfifo(path.parent / "pipe")
    path.symlink_to("pipe")


def folder(path: Path) -> None:
    path.mkdir()
    (path / "inside").write_text("x")


def listening(path: Path) -> None:
    here = os.open(".", os.O_RDONLY)
    os.chdir(path.parent)  # the whole path may be too long for a socket
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.fchdir(here)
        os.close(here)


@pytest.mark.parametrize("make", [fifo, link, folder, listening], ids=lambda make: make.__name__)
def test_what_is_no_file_is_named_and_left_alone(film: Film, make) -> None:
    (film.path / A).unlink()
    make(film.path / A)
    kind = (film.path / A).lstat().st_mode
    named(film, ALL if make is fifo else REPLACING[:4], NOT_A_FILE, A)
    assert state(film, A) == "not-a-file"
    film.regenstore("drop", C)
    assert run(film, "regenstore", "get").returncode == NOT_A_FILE
    assert film.read(C) == MAIN[C], "the rest of the batch goes on"
    assert (film.path / A).lstat().st_mode == kind


def test_a_link_that_git_has_is_git_s(film: Film) -> None:
    """'latest.bin -> b.bin' is committed as a link, and no recipe."""
    (film.path / "latest.bin").symlink_to(B)
    film.regenstore("get")
    film.commit("a link")
    film.regenstore("get")
    film.regenstore("drop", B)
    assert "latest.bin" not in film.regenstore("status", "-a")
    film.regenstore("get")
    film.quiet()


@pytest.mark.parametrize(
    ("place", "commands"),
    [
        (".gitattributes", [("status",), ("track", "*.png"), ("untrack", "*.bin"), ("init",)]),
        ("shots/.gitattributes", [("status",), ("get",)]),
        ("shots/.gitignore", [("get",)]),
        ("regenstore.toml", [("generators",), ("remote", "list"), ("set", A, "word=x")]),
        (".regenstore/templates/mine.toml", [("template", "check", "mine"), ("template", "new", "mine")]),
        ("input", [("new", "x.bin", "-g", "words", "-p", "word=x", "-i", "source=input")]),
        ("../out/a.xmp", [("export", "sidecar", "--to", "../out", "--overwrite-foreign")]),
        ("../data/manifest.json", [("export", "dataset", "../data"), ("export", "show", "../data")]),
        ("../data", [("export", "dataset", "../data", "--force"), ("export", "show", "../data")]),
        ("splits", [("export", "dataset", "../data", "--assign", "splits")]),
        (".git/index", [("status",), ("get",)]),
        (".git/index.lock", [("drop",)]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_nobody_waits_for_a_fifo(film: Film, place: str, commands: list[tuple[str, ...]]) -> None:
    path = film.path / place
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(path)
    for command in commands:
        done = run(film, "regenstore", *command)
        assert done.returncode not in (0, 70), command
        assert path.name.encode() in done.stderr or command[0] == "new", done.stderr
    assert path.is_fifo()
