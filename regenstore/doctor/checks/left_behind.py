"""Check for leftovers of killed processes, above all a lock on Git's index, which blocks Git."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

from regenstore.doctor import leftovers
from regenstore.doctor.check import NOTE, WARNING, CheckContext, Findings
from regenstore.fs import presence
from regenstore.worktree.index_lock import mark_of
from regenstore.worktree.location import Location
from regenstore.worktree.recovery import abandoned_lock

_PROGRAMS = ("git", "git-", "regenstore")


def left_behind(context: CheckContext) -> Findings:
    """Locks, stages and temp files of killed processes."""
    lock = _held_index(context.location, context.now)
    if lock is not None:
        yield _told(lock)
    found = leftovers.find(context.store, context.location, context.now)
    if found.stages:
        yield WARNING, f"{len(found.stages)} stage folders of killed processes", "Run 'regenstore fsck'."
    if found.temps:
        yield NOTE, f"{len(found.temps)} old temp files in the store", "Run 'regenstore fsck'."
    if found.leases:
        yield NOTE, f"{len(found.leases)} leases that no process holds", "Run 'regenstore fsck'."


def _told(lock: HeldIndex) -> tuple[str, str, str]:
    """The finding for a lock on Git's index, which keeps Git from writing it."""
    since = f"{lock.path} has existed for {lock.age:.0f} s"
    if lock.abandoned:
        what = f"{since}: a killed regenstore process left it, and Git refuses to work"
        return WARNING, what, "Run 'regenstore status': every command removes it."
    if lock.users:
        return NOTE, f"{since}: {', '.join(lock.users)} may be using it", "Wait until that has ended."
    if lock.ours:
        return NOTE, f"{since}: a running regenstore process holds it", "Wait until that has ended."
    who = "it is unknown whether its process is running" if lock.users is None else "no Git command is running here"
    remedy = f"If no Git command, commit editor or other machine is using it, remove it: rm {lock.path}"
    return WARNING, f"{since}, and is not regenstore's; {who}: Git refuses to work", remedy


@dataclass(frozen=True)
class HeldIndex:
    """An existing ``index.lock``. ``users`` are running processes of this machine that may be using it; None if the
    system does not tell."""

    path: str
    age: float
    ours: bool
    abandoned: bool
    """It is regenstore's, and its process has ended: the next command removes it."""
    users: tuple[str, ...] | None


def _held_index(location: Location, now: float) -> HeldIndex | None:
    """The lock, if there is one. Raises StorageError (``unreadable``)."""
    path = f"{location.index}.lock"
    found = presence.lstat(path)
    if found is None:
        return None
    ours = mark_of(path) is not None
    return HeldIndex(path, now - found.st_mtime, ours, ours and abandoned_lock(location) is not None, _users(location))


def _users(location: Location) -> tuple[str, ...] | None:
    """Processes of Git and regenstore that work in the worktree or in Git's folder, according to Linux."""
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
            continue  # it has ended, or belongs to another user
