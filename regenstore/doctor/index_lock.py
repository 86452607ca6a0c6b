"""A lock on Git's index: whose it is, how old, and whether some process still works with it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

from regenstore.fs import presence
from regenstore.worktree.index_lock import mark_of
from regenstore.worktree.location import Location
from regenstore.worktree.recovery import abandoned_lock

_PROGRAMS = ("git", "git-", "regenstore")


@dataclass(frozen=True)
class HeldIndex:
    """``index.lock``, as it was found. ``users`` are living processes of this machine that may work with it, None
    where the system does not tell."""

    path: str
    age: float
    ours: bool
    abandoned: bool
    """Ours, and its process has ended: the next command removes it."""
    users: tuple[str, ...] | None


def find(location: Location, now: float) -> HeldIndex | None:
    """The lock, if there is one. Raises StorageError (``unreadable``)."""
    path = f"{location.index}.lock"
    found = presence.lstat(path)
    if found is None:
        return None
    ours = mark_of(path) is not None
    return HeldIndex(path, now - found.st_mtime, ours, ours and abandoned_lock(location) is not None, _users(location))


def _users(location: Location) -> tuple[str, ...] | None:
    """Git's and our processes that work in the worktree or in Git's folder, by what Linux tells of them."""
    try:
        numbers = [name for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid()]
    except OSError:
        return None
    homes = [os.path.realpath(home) for home in (os.fsdecode(location.top), location.git_dir)]
    return tuple(_working(numbers, homes)) if numbers else None


def _working(numbers: list[str], homes: list[str]) -> Iterator[str]:
    for number in numbers:
        try:
            with open(f"/proc/{number}/comm", encoding="utf-8", errors="replace") as file:
                name = file.read().strip()
            if name.startswith(_PROGRAMS):
                cwd = os.readlink(f"/proc/{number}/cwd")
                if any(cwd == home or cwd.startswith(f"{home}/") for home in homes):
                    yield f"{name} (process {number})"
        except OSError:
            continue  # it has ended, or is another user's
