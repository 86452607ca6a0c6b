"""The result database as a file: who may replace a damaged one while other processes use it.

SQLite cannot stand a database that is moved away under an open one, unless nobody works with it at that moment
and everybody opens it anew afterwards. So each piece of work holds a shared lock, on the store's folder, and
first looks whether the file is still the one that was opened; who moves the database holds the lock alone.

Locks of the system are not fair: who wants one alone may wait for ever beside many that share it. So everybody
takes it through a gate, a lock on the store's format marker, that who waits for the others keeps closed.
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
    """SQLite's version, and whether it is new enough."""
    return sqlite3.sqlite_version, sqlite3.sqlite_version_info >= SQLITE_NEEDED


def uri(path: str, how: str) -> str:
    """The URI by which SQLite opens the file at an absolute path, whatever bytes the path has; ``how``: its query."""
    return f"file://{urllib.parse.quote(os.fsencode(path))}?{how}"


def refusal(error: sqlite3.Error, path: str) -> RegenstoreError | None:
    """What keeps SQLite from working with a database that may well be sound: the disk, permissions, another
    process. None where that is not the matter."""
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
    return StorageError("io-error", f"{path}: the system could not read or write it, and does not tell why")


def failure(error: sqlite3.Error, path: str) -> RegenstoreError | None:
    """The same, and ``io-error`` for whatever else the system may have done to SQLite. None for a bug of ours."""
    refused = refusal(error, path)
    if refused is None and isinstance(error, sqlite3.OperationalError):
        return StorageError("io-error", f"{path} could not be worked with (SQLite says: {error})")
    return refused


def _why_not(path: str) -> str | None:
    """The kind of error with which the system refuses to write beside the database, which SQLite does not tell:
    on a full disk it cannot open its log, or fails with input and output."""
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
    """Whether what SQLite read is no sound database. Text that is none has no code of SQLite's."""
    garbled = isinstance(error, sqlite3.OperationalError) and not hasattr(error, "sqlite_errorcode")
    return garbled or _code(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _code(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


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
        if presence.lstat(path + suffix) is not None:
            durable.rename(path + suffix, aside + suffix)
    durable.fsync_folder(root)
    return None if presence.lstat(aside) is None else aside


def identity(path: str) -> tuple[int, int] | None:
    """Which file has this name now; None when there is none. Raises StorageError (``unreadable``)."""
    found = presence.found(path)
    return None if found is None else (found.st_dev, found.st_ino)


@contextmanager
def _locked(root: str, *, alone: bool) -> Iterator[None]:
    with _flock(f"{root}/{store_format.FILE}", alone=True) as gate, _flock(root, alone=alone):
        gate()
        yield


@contextmanager
def _flock(path: str, *, alone: bool) -> Iterator[Callable[[], None]]:
    """A lock on what is there anyway, where the system has flock: it needs no permission to write. Gives what
    releases it before the end. Raises StorageError (``unreadable``)."""
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
    """Changing the journal mode does not wait for other processes, as all else does: try again,
    for so many seconds. Raises sqlite3.OperationalError."""
    deadline = time.monotonic() + patience
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
