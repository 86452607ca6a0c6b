"""The filter in other people's environments; what is left of a tree when the filter cannot start, or dies."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from regenstore.gitfilter.install import git_values
from regenstore.gitfilter.launch import Starter, starter
from tests.conftest import Checkout
from tests.git.film import FIRST, MAIN, A, Film

PROCESS = "filter.regenstore.process"
pytestmark = pytest.mark.usefixtures("real_filters")


def without_python(film: Film) -> str:
    """As where the environment that regenstore was installed in is gone; gives the command of before."""
    before = film.git("config", PROCESS)
    film.git("config", PROCESS, before.replace(sys.executable, "/nowhere/python"))
    return before


def hostile(folder: Path) -> Path:
    folder.mkdir()
    for name in ("json", "struct", "click", "blake3", "regenstore", "sitecustomize", "select"):
        (folder / f"{name}.py").write_text("raise SystemExit('hostile')\n")
    return folder


def test_variables_of_other_pythons_and_modules_of_the_worktree_change_nothing(film: Film, tmp_path: Path) -> None:
    bad = hostile(tmp_path / "bad")
    for name in ("json.py", "blake3.py", "struct.py"):
        shutil.copy(bad / name, film.path)
    (bad / "libm.so.6").write_text("no library")
    strange = {
        "PYTHONHOME": "/nowhere",
        "PYTHONPATH": str(bad),
        "PYTHONSTARTUP": "/nowhere",
        "PYTHONWARNINGS": "error",
        "PYTHONIOENCODING": "ascii",
        "PYTHONNOUSERSITE": "",
        "LC_ALL": "C",
        "GIT_CONFIG": "/dev/null",
    }
    said = film.run("git", "checkout", "first", **strange, LD_LIBRARY_PATH=str(bad), PATH="/usr/bin:/bin").stderr
    assert b"regenstore" not in said, said
    assert film.read(A) == FIRST[A]
    del strange["PYTHONHOME"]  # this, and what it finds by PYTHONPATH, can come before the first line of pip's script
    for name in ("sitecustomize", "regenstore", "struct", "json"):
        (bad / f"{name}.py").unlink()
    assert film.regenstore("status", **strange) == film.regenstore("status")
    assert "PYTHONPATH" in film.regenstore("doctor", **strange)


def test_the_filter_starts_with_next_to_nothing(film: Film) -> None:
    film.regenstore("init")
    bare = {"PATH": "/usr/bin:/bin", "GIT_CONFIG_NOSYSTEM": "1"}
    done = subprocess.run(["git", "checkout", "-q", "first"], cwd=film.path, env=bare, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert film.read(A) == FIRST[A]


@pytest.mark.parametrize("command", ["checkout -q first", "switch -q --detach first", "reset -q --hard first"])
def test_a_filter_that_cannot_start_leaves_a_whole_tree(film: Film, command: str) -> None:
    before = without_python(film)
    done = film.run("git", *command.split())
    assert b"recipes stay text" in done.stderr
    assert film.status() == ""
    assert film.blob(A) == film.blob(A, "first") == film.read(A)
    film.git("config", PROCESS, before)
    film.regenstore("get")
    film.settled(FIRST)


def test_media_are_refused_by_a_filter_that_cannot_start_and_stay(film: Film) -> None:
    before = without_python(film)
    film.write(A, b"painted over")
    for command in (("add", A), ("stash",), ("commit", "-qam", "x"), ("checkout", "first")):
        assert film.run("git", *command, check=False).returncode
        assert film.read(A) == b"painted over"
    found = film.run("regenstore", "doctor", check=False)
    assert found.returncode == 1 and b"the filter does not start" in found.stdout
    film.git("config", PROCESS, before)
    assert film.status() == f" M {A}"
    film.git("stash")
    assert film.status() == ""
    film.git("stash", "pop")
    assert film.read(A) == b"painted over"


def test_a_clone_without_the_program_is_whole(film: Film, tmp_path: Path) -> None:
    options = [f"-c{name}={value}" for name, value in git_values(Starter("/nowhere/python")).items()]
    film.git("clone", "-q", *options, str(film.path), str(tmp_path / "clone"))
    clone = Checkout(tmp_path / "clone", film.environment)
    assert clone.status() == ""
    assert all(clone.is_recipe(name) for name in MAIN if isinstance(name, str))
    # What is no recipe passes through to the byte as well, in more than one packet.
    raw = bytes(range(256)) * 600
    oid = film.git("hash-object", "-w", "--stdin", stdin=raw)
    film.git("update-index", "--add", "--cacheinfo", f"100644,{oid},raw.bin")
    without_python(film)
    film.git("checkout", "raw.bin")
    assert film.read("raw.bin") == raw


def test_modules_that_cannot_be_loaded_stop_no_checkout(film: Film, tmp_path: Path) -> None:
    """As after an upgrade of Python: the interpreter is there, and a module is for another one."""
    bad = hostile(tmp_path / "bad")
    (bad / "regenstore.py").unlink()
    (bad / "blake3.py").write_text("raise ImportError('undefined symbol')\n")
    for name in ("sitecustomize", "json", "struct", "select"):
        (bad / f"{name}.py").unlink()
    before = film.git("config", PROCESS)
    film.git("config", PROCESS, before.replace("sys.path[:0] = [", f"sys.path[:0] = [{str(bad)!r}, ".replace("'", '"')))
    done = film.run("git", "checkout", "-q", "first")
    assert b"undefined symbol" in done.stderr
    assert film.read(A) == film.blob(A, "first")
    film.git("config", PROCESS, before)
    assert film.status() == ""


def packet(*lines: str) -> bytes:
    return b"".join(b"%04x%s\n" % (len(line) + 5, line.encode()) for line in lines) + b"0000"


def answer(process: subprocess.Popen[bytes], flushes: int) -> bytes:
    assert process.stdout is not None
    said = b""
    while flushes:
        size = int(process.stdout.read(4), 16)
        flushes -= size == 0
        said += process.stdout.read(size - 4) if size else b"|"
    return said


@pytest.mark.skipif(sys.platform != "linux", reason="finds processes through /proc")
def test_a_filter_that_is_killed_in_a_checkout_is_stood_in_for(film: Film) -> None:
    process = subprocess.Popen(
        ["sh", "-c", film.git("config", PROCESS)],
        cwd=film.path,
        env=film.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdin is not None and process.stderr is not None
    text = film.blob(A)

    def ask(command: str, content: bytes, flushes: int) -> bytes:
        request = packet(f"command={command}", f"pathname={A}") + b"%04x" % (len(content) + 4) + content + b"0000"
        assert process.stdin is not None
        process.stdin.write(request)
        process.stdin.flush()
        return answer(process, flushes)

    process.stdin.write(packet("git-filter-client", "version=2"))
    process.stdin.flush()
    assert b"git-filter-server" in answer(process, 1)
    process.stdin.write(packet("capability=clean", "capability=smudge", "capability=delay"))
    process.stdin.flush()
    assert b"capability=delay" in answer(process, 1)
    assert ask("smudge", text, 3) == b"status=success\n|" + film.read(A) + b"||"
    time.sleep(0.3)
    listing = subprocess.run(["ps", "-s", str(process.pid), "-o", "pid=,args="], capture_output=True, text=True)
    [victim] = [int(line.split()[0]) for line in listing.stdout.splitlines() if line.split()[1] == sys.executable]
    os.kill(victim, signal.SIGKILL)
    assert ask("smudge", text, 3) == b"status=success\n|" + text + b"||"
    assert ask("clean", text, 3) == b"status=success\n|" + text + b"||"
    process.stdin.close()
    assert b"ended with 137" in process.stderr.read()
    process.wait(timeout=20)
    process.stdout.close() if process.stdout else None
    process.stderr.close()


def test_earlier_configuration_works_and_is_brought_up_to_date(film: Film) -> None:
    at_its_place = film.git("config", PROCESS)
    old = f"{Path(sys.executable).parent}/regenstore-filter"
    film.git("config", "filter.regenstore.start", "exit 1")
    for name in ("process", "clean", "smudge"):
        film.git("config", f"filter.regenstore.{name}", f"{old} {name}" + ("" if name == "process" else " -- %f"))
    film.git("checkout", "-q", "first")
    assert film.read(A) == FIRST[A]
    assert "as earlier versions did" in film.regenstore("doctor")
    film.regenstore("init")
    assert film.git("config", PROCESS) == at_its_place
    assert "as earlier versions did" not in film.regenstore("doctor")


def test_a_program_that_has_moved_is_found_as_usual(film: Film) -> None:
    """The command names the folders of the packages; without those that are left, the interpreter looks for them."""
    now = starter()
    assert now.folders
    for options in (now.options, ("-I",)):
        film.git("config", PROCESS, replace(now, options=options, folders=("/nowhere", "/neither")).process())
        film.git("checkout", "-q", "first" if options == now.options else "main")
        film.settled(FIRST if options == now.options else MAIN)


@pytest.mark.parametrize("inside", [False, True])
def test_relative_variables_of_git_are_read_as_git_reads_them(film: Film, inside: bool) -> None:
    (film.path / "deep").mkdir()
    shutil.copy(film.path / ".git" / "index", film.path / ".git" / "other")
    film.git("rm", "-q", "--cached", A, GIT_INDEX_FILE=".git/other")
    place = Checkout(film.path / "deep", film.environment) if inside else film
    up = "../" if inside else ""
    there = {"GIT_DIR": f"{up}.git", "GIT_WORK_TREE": up or "."}
    assert place.regenstore("status", **there) == film.regenstore("status")
    assert place.regenstore("status", "--json", GIT_INDEX_FILE=".git/other") != film.regenstore("status", "--json")
