"""The result database as a file: who may replace a damaged one while other processes use it.

SQLite cannot stand a database that is moved away under an open one, unless nobody works with it at that moment
and everybody opens it anew afterwards. So each piece of work holds a shared lock, on the store's folder, and
first looks whether the file is still the one that was opened; who moves the database holds the lock alone.

Locks of the system are not fair: who wants one alone may wait for ever beside many that share it. So everybody
takes it through a gate, a lock on the store's format marker, that who waits for the others keeps closed.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from regenstore.objects import durable, store_format

FILE = "results.sqlite"
_BESIDE = ("-wal", "-shm")


@contextmanager
def working(root: str) -> Iterator[None]:
    """While this is held, nobody moves the database. Not to be held twice by one thread that may replace it."""
    with _locked(root, alone=False):
        yield


@contextmanager
def replacing(root: str) -> Iterator[None]:
    """Wait until no process works with the database, and keep them waiting. Look again whether it is damaged:
    another process may have replaced it meanwhile."""
    with _locked(root, alone=True):
        yield


def move_aside(root: str) -> str | None:
    """Give the database another name, for who is :func:`replacing` it; tells the name. Nothing is deleted."""
    path = f"{root}/{FILE}"
    aside = f"{path}.damaged-{time.time_ns()}"
    # The database goes last: as long as it is there nobody makes a new one, which would take the old one's log
    # for its own. SQLite finds a log by its name, so what is not in the main file yet stays with it.
    for suffix in (*_BESIDE, ""):
        if os.path.exists(path + suffix):
            durable.rename(path + suffix, aside + suffix)
    durable.fsync_folder(root)
    return aside if os.path.exists(aside) else None


def identity(path: str) -> tuple[int, int] | None:
    """Which file has this name now; None when there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


@contextmanager
def _locked(root: str, *, alone: bool) -> Iterator[None]:
    with _flock(f"{root}/{store_format.FILE}", alone=True) as gate, _flock(root, alone=alone):
        gate()
        yield


@contextmanager
def _flock(path: str, *, alone: bool) -> Iterator[Callable[[], None]]:
    """A lock on what is there anyway, where the system has flock: it needs no permission to write. Gives what
    releases it before the end."""
    try:
        fd = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
    except OSError:
        fd = -1

    def release() -> None:
        nonlocal fd
        held, fd = fd, -1
        if held >= 0:
            os.close(held)

    try:
        if fd >= 0:
            try:
                import fcntl

                fcntl.flock(fd, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
            except (ImportError, OSError):
                pass
        yield release
    finally:
        release()
