"""Worktree, Git folder and store on several file systems, and a folder of the worktree on one of its own."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.git.film import BETA, FIRST, MAIN, PLATE, SIDE, B, C, Film


def test_git_folder_elsewhere(film: Film, small: Path) -> None:
    """The stage folder has to lie in the worktree then; Git must not see it."""
    shutil.copytree(film.path / ".git", small / "film.git")
    shutil.rmtree(film.path / ".git")
    film.write(".git", f"gitdir: {small}/film.git\n")
    film.git("checkout", "-q", "side")
    film.settled(SIDE)
    film.regenstore("drop")
    film.regenstore("get")
    film.settled(SIDE)
    film.put(C, b"painted")
    film.git("commit", "-q", "-a", "-m", "painted")
    film.git("checkout", "-q", "main")
    film.settled(MAIN)


def test_store_elsewhere(film: Film, small: Path) -> None:
    shutil.copytree(film.store, small / "store")
    film.git("config", "regenstore.store", str(small / "store"))
    film.put(C, PLATE[3][:100])
    film.git("commit", "-q", "-a", "-m", "painted")
    film.git("checkout", "-q", "side")
    film.git("checkout", "-q", "main")
    film.settled({**MAIN, C: PLATE[3][:100]})


def test_a_folder_of_the_worktree_on_another_file_system(film: Film, small: Path) -> None:
    shutil.copytree(film.path / "shots", small / "shots")
    shutil.rmtree(film.path / "shots")
    (film.path / "shots").mkdir()
    subprocess.run(["mount", "--bind", str(small / "shots"), str(film.path / "shots")], check=True)
    try:
        film.git("status")
        film.settled(MAIN)
        film.git("checkout", "-q", "side")
        film.settled(SIDE)
        assert (small / "shots/b.bin").read_bytes() == BETA[2]
        film.regenstore("drop", B)
        film.quiet()
        film.regenstore("get")
        film.settled(SIDE)
        assert sorted(p.name for p in (small / "shots").iterdir()) == ["a.bin", "b.bin"]
        film.git("checkout", "-q", "first")
        film.settled(FIRST)
    finally:
        subprocess.run(["umount", "-l", str(film.path / "shots")], check=True)


def test_a_read_only_store_still_gives_its_media(film: Film, small: Path) -> None:
    shutil.copytree(film.store, small / "store")
    subprocess.run(["mount", "-o", "remount,ro", str(small)], check=True)
    film.git("config", "regenstore.store", str(small / "store"))
    film.git("checkout", "-q", "side")
    film.expect(SIDE)
    film.quiet()
    film.put(C, b"painted")
    refused = film.run("git", "add", C, check=False)
    assert refused.returncode
    assert "cannot write" in refused.stderr.decode()
    assert film.read(C) == b"painted"
