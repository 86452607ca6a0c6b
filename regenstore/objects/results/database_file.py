"""The result database as a file: replacing a damaged one safely while other processes use it.

SQLite does not support moving a database that is open, unless no process is using it at that moment and every process
reopens it afterwards. So each operation holds a shared lock on the store's folder, and first checks whether the file is
still the one that was opened; moving the database requires the exclusive lock.

System locks are not fair: a process that wants the exclusive lock can starve while others share it. So every lock is
taken through a gate, a lock on the store's format marker, which a process waiting for the exclusive lock keeps closed.
"""

from __future__ import annotations

import os
import sqlite3
import time
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from regenstore.errors import Conflict, RegenstoreError, StorageError
from regenstore.fs import durable, file_lock, presence
from regenstore.objects import store_format

FILE = "results.sqlite"
SQLITE_NEEDED = (3, 35)
_BESIDE = ("-wal", "-shm")
_DENIED = (sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY)
_UNSAID = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR)


def sqlite_version() -> tuple[str, bool]:
    """Return SQLite's version, and whether it is new enough."""
    return sqlite3.sqlite_version, sqlite3.sqlite_version_info >= SQLITE_NEEDED


def uri(path: str, how: str) -> str:
    """Return the URI by which SQLite opens an absolute path, whatever its bytes; ``how`` is the URI's query."""
    return f"file://{urllib.parse.quote(os.fsencode(path))}?{how}"


def refusal(error: sqlite3.Error, path: str) -> RegenstoreError | None:
    """Return the error for problems that say nothing against the database itself: the disk, permissions, another
    process. None for any other problem."""
    code = _code(error)
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return Conflict("store-busy", f"{path} is in use by another process")
    if code not in (sqlite3.SQLITE_FULL, *_DENIED, *_UNSAID):
        return None
    why = _why_not(path) if code in _UNSAID else None
    full = code == sqlite3.SQLITE_FULL or why == "disk-full"
    denied = code in _DENIED or why == "store-unwritable" or (why is None and not _usable(path))
    if full:
        return StorageError("disk-full", f"no space left while writing {path}")
    if denied:
        return StorageError("store-unwritable", f"cannot write {path}: no permission, or a read-only file system")
    return StorageError("io-error", f"{path}: the system could not read or write it, and gives no reason")


def failure(error: sqlite3.Error, path: str) -> RegenstoreError | None:
    """Like the above, with ``io-error`` for any other system error reported by SQLite. None for our own bugs."""
    refused = refusal(error, path)
    if refused is None and isinstance(error, sqlite3.OperationalError):
        return StorageError("io-error", f"{path} could not be worked with (SQLite says: {error})")
    return refused


def _why_not(path: str) -> str | None:
    """Return the kind of error for writing beside the database, which SQLite does not report: on a full disk it cannot
    open its log, or fails with an I/O error."""
    probe = f"{path}.{os.getpid()}.tmp"
    try:
        with durable.storage_errors(probe):
            durable.write_file(probe, bytes(1 << 15))  # what it wants for the index of its log
            durable.unlink(probe)
    except StorageError as found:
        return found.kind
    return None


def _usable(path: str) -> bool:
    there = [path + suffix for suffix in ("", *_BESIDE) if os.path.lexists(path + suffix)]
    return all(os.path.isfile(name) and os.access(name, os.R_OK | os.W_OK) for name in there)


def is_damage(error: sqlite3.Error) -> bool:
    """Return whether SQLite found the database damaged. The error for invalid UTF-8 text has no SQLite code."""
    garbled = isinstance(error, sqlite3.OperationalError) and not hasattr(error, "sqlite_errorcode")
    return garbled or _code(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _code(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


@contextmanager
def working(root: str) -> Iterator[None]:
    """While this is held, no process moves the database. A thread that may replace it must not hold it twice."""
    with _locked(root, alone=False):
        yield


@contextmanager
def replacing(root: str) -> Iterator[None]:
    """Wait until no process works with the database, and keep others waiting. Check again whether it is damaged:
    another process may have replaced it meanwhile."""
    with _locked(root, alone=True):
        yield


def move_aside(root: str) -> str | None:
    """Rename the database, within :func:`replacing`; returns the new name. Nothing is deleted."""
    path = f"{root}/{FILE}"
    aside = f"{path}.damaged-{time.time_ns()}"
    # The database goes last: while it exists, no process creates a new one, which would adopt the old one's log. SQLite
    # finds a log by its name, so data that is not in the main file yet stays with it.
    for suffix in (*_BESIDE, ""):
        if presence.lstat(path + suffix) is not None:
            durable.rename(path + suffix, aside + suffix)
    durable.fsync_folder(root)
    return None if presence.lstat(aside) is None else aside


def identity(path: str) -> tuple[int, int] | None:
    """Return the identity of the file with this name; None if there is none. Raises StorageError (``unreadable``)."""
    found = presence.found(path)
    return None if found is None else (found.st_dev, found.st_ino)


@contextmanager
def _locked(root: str, *, alone: bool) -> Iterator[None]:
    with _flock(f"{root}/{store_format.FILE}", alone=True) as gate, _flock(root, alone=alone):
        gate()
        yield


@contextmanager
def _flock(path: str, *, alone: bool) -> Iterator[Callable[[], None]]:
    """Lock an existing file or folder, where the system has flock: this needs no write permission. Returns a function
    that releases it early. Raises StorageError (``unreadable``)."""
    try:
        fd = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
    except presence.ABSENT:
        fd = -1
    except OSError as error:
        raise presence.unreadable(error, path) from error

    def release() -> None:
        nonlocal fd
        held, fd = fd, -1
        if held >= 0:
            os.close(held)

    try:
        if fd >= 0:
            file_lock.wait(fd, shared=not alone)
        yield release
    finally:
        release()


def use_wal(db: sqlite3.Connection, patience: float) -> None:
    """Set the journal mode, retrying for so many seconds: unlike everything else, this does not wait for other
    processes by itself. Raises sqlite3.OperationalError."""
    deadline = time.monotonic() + patience
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
