"""Repositories to compare: the same media under regenstore, under git-lfs, and without a filter.

Each has the branches ``media`` (all of them) and ``empty`` (only the attributes). Everything runs with a
home of its own: no setting of the user or the system is seen or changed.
"""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import subprocess
from dataclasses import dataclass

from benchmarks import machine
from benchmarks.ground import Ground
from benchmarks.measure import Sample, timed

REGENSTORE, LFS, PLAIN = "regenstore", "git-lfs", "plain"
PER_FOLDER = 100
_CHECKED = 12


@dataclass(frozen=True)
class Shape:
    """How many media of which size."""

    count: int
    size: int

    def __str__(self) -> str:
        return f"{self.count:,} x {_readable(self.size)}"

    def names(self) -> list[str]:
        """Paths of the media, in folders of at most a hundred."""
        return [f"shot{number // PER_FOLDER:03}/take{number % PER_FOLDER:03}.bin" for number in range(self.count)]


def _readable(size: int) -> str:
    for unit, factor in (("GiB", 1 << 30), ("MiB", 1 << 20), ("MB", 1_000_000), ("KB", 1000)):
        if size >= factor and size % factor == 0:
            return f"{size // factor} {unit}"
    return f"{size} B"


def write_media(folder: str, shape: Shape) -> None:
    """Random bytes: imported media, which nothing can compress or guess."""
    for name in shape.names():
        target = f"{folder}/{name}"
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "wb") as file:
            left = shape.size
            while left:
                left -= file.write(os.urandom(min(left, 1 << 20)))


def hermetic(home: str) -> dict[str, str]:
    """An environment that shows nothing of this machine's settings."""
    os.makedirs(home, exist_ok=True)
    return {
        "PATH": machine.search_path(),
        "HOME": home,
        "XDG_CONFIG_HOME": f"{home}/.config",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "Ada",
        "GIT_AUTHOR_EMAIL": "ada@example.org",
        "GIT_COMMITTER_NAME": "Ada",
        "GIT_COMMITTER_EMAIL": "ada@example.org",
        "GIT_TERMINAL_PROMPT": "0",
        "LC_ALL": "C.UTF-8",
    }


class Tree:
    """One worktree with its repository."""

    def __init__(self, kind: str, path: str, ground: Ground, shape: Shape, media: str) -> None:
        self.kind, self.path, self.ground, self.shape = kind, path, ground, shape
        self._media = media
        self.environment = hermetic(f"{ground.folder}/home")

    def run(self, *command: str, **extra: str) -> str:
        """Run a command here; raises with its output when it fails, or when it complains."""
        done = subprocess.run(
            command, cwd=self.path, env={**self.environment, **extra}, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)} gave {done.returncode} in {self.path}\n{done.stdout}{done.stderr}")
        return done.stdout

    def git(self, *args: str, **extra: str) -> str:
        return self.run("git", *args, **extra)

    def timed_git(self, *args: str) -> Sample:
        """Time a git command, after everything written before it has reached the disk."""
        self.ground.settle()
        return timed(lambda: self.git(*args))

    def checkout_media(self) -> Sample:
        """Time the checkout of all media into a worktree that has none, and check what it gave."""
        self.git("checkout", "-q", "empty")
        sample = self.timed_git("checkout", "-q", "media")
        self.verify()
        return sample

    def verify(self) -> None:
        """The media are there: all sizes, some contents; and regenstore's status is clean."""
        names = self.shape.names()
        for name in names:
            size = os.path.getsize(f"{self.path}/{name}")
            if size != self.shape.size:
                raise RuntimeError(f"{self.path}/{name} has {size} bytes, not {self.shape.size}")
        for name in random.sample(names, min(_CHECKED, len(names))):
            if _digest(f"{self.path}/{name}") != _digest(f"{self._media}/{name}"):
                raise RuntimeError(f"{self.path}/{name} has wrong bytes")
        if self.kind == REGENSTORE and (status := self.git("status", "--porcelain")):
            raise RuntimeError(f"the status of {self.path} is not clean:\n{status[:2000]}")


def begin(kind: str, path: str, ground: Ground, shape: Shape, media: str) -> Tree:
    """A repository with its filter set up, its attributes committed, and no media."""
    os.makedirs(path)
    tree = Tree(kind, path, ground, shape, media)
    tree.git("init", "-q", "-b", "empty")
    tree.git("config", "gc.auto", "0")
    if kind == REGENSTORE:
        tree.run("regenstore", "init")
        tree.run("regenstore", "track", "*.bin")
    elif kind == LFS:
        tree.git("lfs", "install", "--local", "--skip-repo")
        tree.git("lfs", "track", "*.bin")
    else:
        with open(f"{path}/.gitattributes", "w", encoding="utf-8") as file:
            file.write("*.bin -text -delta\n")
    tree.git("add", ".gitattributes")
    tree.git("commit", "-q", "-m", "attributes")
    return tree


def committed(kind: str, path: str, ground: Ground, shape: Shape, media: str) -> Tree:
    """The same with the media committed on the branch ``media``, which is checked out."""
    tree = begin(kind, path, ground, shape, media)
    tree.git("checkout", "-q", "-b", "media")
    shutil.copytree(media, path, dirs_exist_ok=True)
    tree.git("-c", "core.compression=0", "add", ".")
    tree.git("commit", "-q", "-m", "media")
    return tree


def _digest(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
