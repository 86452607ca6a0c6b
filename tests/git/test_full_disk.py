"""A full disk, while storing and while placing: a clear message, nothing half-written, nothing lost."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import noise
from tests.git.film import MAIN, PLATE, SIDE, A, B, C, Film, words

LIMIT = 1 << 20


def limited(film: Film, *command: str) -> subprocess.CompletedProcess[bytes]:
    """Run a command that may write no file longer than 1 MiB."""
    return subprocess.run(
        command,
        cwd=film.path,
        env=film.environment,
        capture_output=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, LIMIT)),
    )


def test_add_fails_rather_than_commit_raw_bytes(film: Film) -> None:
    data = noise("too large", 3 * LIMIT)
    film.put(C, data)
    film.put(A, b"small enough")
    done = limited(film, "git", "add", C)
    assert done.returncode
    assert "file size limit" in done.stderr.decode()
    film.expect_blob(C, PLATE[2])
    assert film.read(C) == data
    film.no_leftovers()
    film.stored()
    film.git("add", C)
    film.expect_blob(C, data)


def test_status_and_diff_do_not_lie_when_nothing_can_be_stored(film: Film) -> None:
    film.put(C, noise("too large", 3 * LIMIT))
    limited(film, "git", "diff", "--stat")
    limited(film, "git", "status")
    film.no_leftovers()
    assert film.status() == f" M {C}"


def test_placing_leaves_the_recipe(film: Film) -> None:
    data = noise("large", 3 * LIMIT)
    film.put(C, data)
    film.commit("large")
    film.git("checkout", "-q", "side")
    done = limited(film, "git", "checkout", "-q", "main")
    said = done.stderr.decode()
    assert done.returncode == 0
    assert "file size limit" in said
    assert "'regenstore get' brings them" in said
    assert film.read(C) == film.blob(C)
    film.quiet(later=True)
    film.no_leftovers()
    refused = limited(film, "regenstore", "get")
    assert refused.returncode
    assert film.read(C) == film.blob(C)
    film.no_leftovers()
    film.regenstore("get")
    film.settled({**MAIN, C: data})


def test_making_leaves_the_recipe(film: Film) -> None:
    film.regenstore("set", "--no-generate", A, f"bytes={3 * LIMIT}")
    film.git("commit", "-q", "-a", "-m", "large")
    done = limited(film, "regenstore", "get")
    assert done.returncode
    assert film.read(A) == film.blob(A)
    film.no_leftovers()
    film.regenstore("get")
    assert film.read(A) == words("alpha2", 3 * LIMIT)


# -------------------------------------------------------------------------------------------- a real small disk


def fill(folder: Path, leave: int) -> Path:
    """Use up a file system but for ``leave`` bytes."""
    ballast = folder / "ballast"
    free = os.statvfs(folder)
    ballast.write_bytes(bytes(max(0, free.f_bavail * free.f_frsize - leave)))
    return ballast


def test_a_full_store(film: Film, small: Path) -> None:
    shutil.copytree(film.store, small / "store")
    film.git("config", "regenstore.store", str(small / "store"))
    data = noise("two megabytes", 2 << 20)
    film.put(C, data)
    ballast = fill(small, 300_000)
    done = film.run("git", "add", C, check=False)
    assert done.returncode
    assert "no space left" in done.stderr.decode()
    film.expect_blob(C, PLATE[2])
    assert film.read(C) == data
    assert os.listdir(small / "store/tmp") == []
    film.stored()
    # Media that are stored already are placed all the same.
    film.git("checkout", "-q", "-f", "side")
    film.expect(SIDE)
    assert film.status() == ""
    ballast.unlink()
    film.put(C, data)
    film.git("add", C)
    film.expect_blob(C, data)


@pytest.mark.heavy
def test_a_worktree_that_fills_up(film: Film, small: Path) -> None:
    """Placing with ever less room, page by page: media or recipe, never less than that, and always clean."""
    film.git("checkout", "-q", "-b", "grown")
    for n in range(6):
        film.put(f"plates/g{n}.bin", noise(f"grown {n}", 9_000 + n))
    film.commit("grown")
    film.git("clone", "-q", "-b", "grown", "-c", f"regenstore.store={film.store}", str(film.path), str(small / "copy"))
    copy = film.at(small / "copy")
    copy.quiet()
    seen = set()
    for pages in range(14, 44, 6):
        copy.git("checkout", "-q", "first")
        copy.regenstore("get")
        ballast = fill(small, pages * 4096)
        done = copy.run("git", "checkout", "-q", "grown", check=False)
        ballast.unlink()
        if done.returncode:  # Git itself had no room
            seen.add("git")
            copy.git("reset", "-q", "--hard", "grown")
            continue
        assert copy.status() == "", done.stderr.decode()
        states = {name: copy.is_recipe(name) for name in copy.tracked()}
        seen |= {"recipe" if state else "medium" for state in states.values()}
        for name, recipe in states.items():
            if recipe:
                assert copy.read(name) == copy.blob(name)
                assert name in done.stderr.decode() or "more" in done.stderr.decode()
            else:
                copy.expect_blob(name, copy.read(name))
        copy.no_leftovers()
        copy.regenstore("get")
        copy.quiet()
    assert {"recipe", "medium"} <= seen


def test_gc_tells_what_it_needs(film: Film, small: Path) -> None:
    """Without any room not even SQLite's log is possible, which it tells as a failing disk."""
    film.regenstore("verify", A)
    shutil.copytree(film.store, small / "store")
    film.git("config", "regenstore.store", str(small / "store"))
    for room in (0, 12 * 4096):
        ballast = fill(small, room)
        done = film.run("regenstore", "gc", "--free", "1g", "--yes", check=False)
        ballast.unlink()
        assert done.returncode == 6, room
        assert "move one file elsewhere first" in done.stderr.decode(), room
    film.stored()
    assert "evict" in film.run("regenstore", "gc", "--free", "1g", "--yes", check=False).stdout.decode()
    film.settled(MAIN)


def test_a_full_disk_for_everything(film: Film, small: Path) -> None:
    """Repository, store and worktree on one file system that has no room left."""
    everything = film.at(small / "film")
    shutil.copytree(film.path, everything.path, symlinks=True)
    everything.git("status")
    everything.put(A, b"painted")
    ballast = fill(small, 0)
    assert everything.run("git", "add", A, check=False).returncode
    everything.run("git", "status", check=False)
    everything.run("regenstore", "drop", check=False)
    everything.run("regenstore", "get", check=False)
    everything.run("regenstore", "set", B, "word=beta2", check=False)
    assert everything.read(A) == b"painted"
    for name in (B, C):
        data = everything.read(name)
        assert data == MAIN[name] or data == everything.blob(name)
    ballast.unlink()
    everything.stored()
    everything.regenstore("status")
    everything.git("checkout", "--", B, C)
    assert everything.status() == f" M {A}"
    everything.git("add", A)
    everything.expect_blob(A, b"painted")


def kept_files(top: Path) -> set[str]:
    """What lies in a repository but contents, the database, Git's objects, and what gc counts uses by."""
    found = set()
    for path in top.rglob("*"):
        name = str(path.relative_to(top))
        known = ("/vault/", "/cache/", "/results.sqlite", "/uses/", "/leases/use-", "/objects/", "/facts/", "/logs/")
        if path.is_file() and not any(part in f"/{name}" for part in known):
            found.add(name)
    return found


@pytest.mark.parametrize("pages", [0, 1, 2, 5, 12])
def test_what_a_full_disk_makes_fail_leaves_no_temp_file(film: Film, small: Path, pages: int) -> None:
    everything = film.at(small / "film")
    shutil.copytree(film.path, everything.path, symlinks=True)
    share = film.path.parent / "share"
    everything.regenstore("remote", "add", "studio", str(share), "--create")
    everything.regenstore("push")
    everything.git("status")
    everything.put(A, noise("painted", 60_000))
    before = kept_files(everything.path)
    commands = (
        ("git", "add", A), ("regenstore", "record", A), ("regenstore", "set", B, "word=beta2"),
        ("regenstore", "drop", C), ("regenstore", "verify", B), ("regenstore", "fsck"), ("regenstore", "pin", B),
        ("regenstore", "new", "n.bin", "-g", "words", "-p", "word=n"), ("regenstore", "fetch"),
        ("regenstore", "export", "dataset", "out"), ("git", "checkout", "-q", "-f", "side"),
    )  # fmt: skip
    for command in commands:
        ballast = fill(small, pages * 4096)
        done = everything.run(*command, check=False)
        ballast.unlink()
        said = done.stderr.decode(errors="replace")
        assert "Traceback" not in said and "internal error" not in said, said
        for raw in ("disk I/O error", "database or disk is full", "readonly database", "unable to open"):
            assert raw not in said, (command, said)
        new = [
            name for name in kept_files(everything.path) - before if "tmp" in name or "stage" in name or "new-" in name
        ]
        assert not new, (command, said, new)
    shutil.rmtree(everything.path / "out", ignore_errors=True)
    everything.stored()
