"""A kill just before every single change that a program makes to a file, one after the other."""

from __future__ import annotations

import re
import shlex

import pytest

from regenstore.objects import toml
from tests.fork_server import CRASH
from tests.git.film import ALPHA, FIRST, MAIN, PLATE, A, B, C, Film

CHANGE = re.compile(r"^change (\d+): (\S+) (.*)$", re.MULTILINE)


def watched(count: int) -> str:
    """The filter's command line, for Git's configuration."""
    return shlex.join([*CRASH, str(count), "regenstore-filter", "process"])


def points(listing: str, every: bool) -> list[int]:
    """The changes to stop before: all, or those in which something appears under its name."""
    found = [(int(number), event) for number, event, _ in CHANGE.findall(listing)]
    assert len(found) > 4  # a file system in memory needs fewer than a disk
    return [number for number, event in found if every or event in ("os.rename", "os.link")]


def in_order(film: Film) -> None:
    """After a kill: clean as soon as our next command has run, and no path with anything but right bytes."""
    film.regenstore("status")
    assert film.status() == ""
    film.no_stage()
    for name in film.tracked():
        data = film.read(name)
        take = toml.decode(film.blob(name)).output.take
        assert take is not None
        if data != film.blob(name):
            film.expect_blob(name, data)
    assert film.git("rev-parse", "--abbrev-ref", "HEAD") == "main"


def checkout(film: Film, every: bool) -> None:
    film.git("checkout", "-q", "first")
    film.git("config", "filter.regenstore.process", watched(0))
    listing = film.run("git", "checkout", "-q", "main").stderr.decode()
    chosen = points(listing, every)
    assert any("index" in line for line in listing.splitlines())
    for count in chosen:
        film.git("config", "--unset", "filter.regenstore.process")
        film.git("checkout", "-q", "-f", "first")
        film.regenstore("get")
        film.git("config", "filter.regenstore.process", watched(count))
        done = film.run("git", "checkout", "-q", "main", check=False)
        film.git("config", "--unset", "filter.regenstore.process")
        print(f"change {count}, git gave {done.returncode}")
        if done.returncode:  # Git was still at work, and stopped: it is to do it again
            (film.path / ".git/index.lock").unlink(missing_ok=True)
            film.git("checkout", "-q", "-f", "main")
        in_order(film)
        film.regenstore("get")
        film.settled(MAIN)
        film.git("config", "filter.regenstore.process", "true")


def test_placing_after_a_checkout(film: Film) -> None:
    checkout(film, every=False)


@pytest.mark.heavy
def test_placing_after_a_checkout_at_every_change(film: Film) -> None:
    checkout(film, every=True)


def add(film: Film, every: bool) -> None:
    versions = iter(range(1, 1000))

    def edit() -> bytes:
        data = b"painted %d " % next(versions) * 30_000
        film.write(C, data)
        return data

    edit()
    film.git("config", "filter.regenstore.process", watched(0))
    listing = film.run("git", "add", C).stderr.decode()
    for count in points(listing, every):
        data = edit()
        before = film.blob(C)
        film.git("config", "filter.regenstore.process", watched(count))
        done = film.run("git", "add", C, check=False)
        film.git("config", "--unset", "filter.regenstore.process")
        (film.path / ".git/index.lock").unlink(missing_ok=True)
        assert film.read(C) == data
        film.stored()
        if film.blob(C) == before:
            assert done.returncode
            film.git("add", C)
        film.expect_blob(C, data)
        (film.path / C).unlink()
        film.git("checkout", "--", C)
        assert film.read(C) == data


def test_taking_media_in(film: Film) -> None:
    add(film, every=False)


@pytest.mark.heavy
def test_taking_media_in_at_every_change(film: Film) -> None:
    add(film, every=True)


def verb(film: Film, *command: str) -> None:
    """Whatever is killed when: the next command finds a worktree in order, and doing it again works."""
    film.regenstore("set", "--no-generate", B, "bytes=1001")
    film.git("commit", "-q", "-a", "-m", "wanted")
    film.regenstore("get")
    begin = "drop" if command[0] == "get" else "get"
    film.regenstore(begin, A, C)
    listing = film.run(*CRASH, "0", "regenstore", *command).stderr.decode()
    for count in points(listing, every=False):
        film.git("checkout", "-q", "-f", "HEAD")
        film.git("checkout", "-q", "--", A, B, C)
        film.regenstore(begin, A, C)
        film.run(*CRASH, str(count), "regenstore", *command, check=False)
        film.regenstore("status")
        film.no_stage()
        film.stored()
        assert film.status() in ("", f" M {A}", f" M {B}"), count
        assert film.read(C) in (PLATE[2], film.blob(C))
        film.regenstore(*command)
    assert film.status() in ("", f" M {A}", f" M {B}")
    assert film.read(A) in (ALPHA[2], ALPHA[3], film.blob(A))
    assert set(FIRST) <= film.tracked()


@pytest.mark.heavy
@pytest.mark.timeout(900)
@pytest.mark.parametrize("command", [["get"], ["drop"], ["set", A, "word=alpha3"], ["record", B]], ids=" ".join)
def test_verbs(film: Film, command: list[str]) -> None:
    verb(film, *command)
