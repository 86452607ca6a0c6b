"""Whether something exists: yes, no, or unknown.

Only ENOENT and ENOTDIR mean that nothing is there. Any other error (no permission, an I/O error, a stale NFS handle, a
symbolic link loop, a name that is too long) leaves the question open and is raised as StorageError (``unreadable``)
with the path in it; nothing that depends on the answer may then be done. These functions open regular files only, so
none of them blocks on a FIFO or touches a device.

Standard library only: the Git filter imports this.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator

from regenstore.errors import StorageError

ABSENT = (FileNotFoundError, NotADirectoryError)
"""The errors that mean that nothing is there. Catch these instead of OSError wherever absence is an answer."""

_READ = (
    os.O_RDONLY
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NONBLOCK", 0)  # opening a FIFO must not block; regular files ignore this
    | getattr(os, "O_NOCTTY", 0)
)
NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)


class NotRegular(Exception):
    """A path leads to something other than a regular file: a folder, link, FIFO, socket or device."""

    def __init__(self, path: str | bytes, mode: int) -> None:
        self.what = kind_of(mode)
        super().__init__(f"{os.fsdecode(path)} is {self.what}, not a regular file")


def unreadable(error: OSError, path: str | bytes) -> StorageError:
    """Return the error for a path whose state the system does not reveal."""
    reason = os.strerror(error.errno or errno.EIO)
    return StorageError("unreadable", f"{os.fsdecode(path)} cannot be read: {reason}")


def lstat(path: str | bytes, *, dir_fd: int | None = None, shown: str | bytes | None = None) -> os.stat_result | None:
    """Return the status of a path without following links; None if nothing is there. Raises StorageError
    (``unreadable``), naming ``shown`` instead of the path if given."""
    try:
        return os.lstat(path, dir_fd=dir_fd)
    except ABSENT:
        return None
    except OSError as error:
        raise unreadable(error, path if shown is None else shown) from error


def found(path: str | bytes) -> os.stat_result | None:
    """Return the status of a path, following links; None if nothing is there or the link is broken. Raises
    StorageError (``unreadable``)."""
    try:
        return os.stat(path)
    except ABSENT:
        return None
    except OSError as error:
        raise unreadable(error, path) from error


def is_folder(path: str | bytes) -> bool:
    """Return whether a path leads to a folder. Raises StorageError (``unreadable``) if that is unknown."""
    there = found(path)
    return there is not None and stat.S_ISDIR(there.st_mode)


def is_file(path: str | bytes) -> bool:
    """Return whether a path leads to a regular file. Raises StorageError (``unreadable``) if that is unknown."""
    there = found(path)
    return there is not None and stat.S_ISREG(there.st_mode)


def open_file(path: str | bytes, *, dir_fd: int | None = None, follow: bool = True) -> int:
    """Open a regular file for reading, never blocking. Raises OSError as ``os.open`` does (with ``follow=False`` also
    ELOOP for a link), and NotRegular for anything but a regular file."""
    fd = os.open(path, _READ | (0 if follow else NO_FOLLOW), dir_fd=dir_fd)
    try:
        mode = os.fstat(fd).st_mode
        if not stat.S_ISREG(mode):
            raise NotRegular(path, mode)
    except BaseException:
        os.close(fd)
        raise
    return fd


def read(path: str | bytes, limit: int | None = None) -> bytes | None:
    """Return the bytes of a regular file, at most ``limit`` of them; None if nothing is there. Raises StorageError
    (``unreadable``), also for anything but a regular file."""
    try:
        fd = open_file(path)
    except ABSENT:
        return None
    except OSError as error:
        raise unreadable(error, path) from error
    except NotRegular as error:
        raise StorageError("unreadable", str(error)) from error
    try:
        with open(fd, "rb") as file:
            return file.read() if limit is None else file.read(limit)
    except OSError as error:
        raise unreadable(error, path) from error


def names(folder: str) -> list[str]:
    """Return the names in a folder, in the system's order; empty if there is no folder. Raises StorageError
    (``unreadable``)."""
    try:
        return os.listdir(folder)
    except ABSENT:
        return []
    except OSError as error:
        raise unreadable(error, folder) from error


def walk(folder: str, *, follow: bool = False) -> Iterator[tuple[str, list[str], list[str]]]:
    """Walk a folder like ``os.walk``, sorted by name; yields nothing if there is no folder. With ``follow``, symbolic
    links to folders are followed, each folder visited once. Raises StorageError (``unreadable``) for a folder that
    cannot be read, which ``os.walk`` would skip."""

    def refuse(error: OSError) -> None:
        if not isinstance(error, ABSENT):
            raise unreadable(error, error.filename or folder) from error

    seen = set[tuple[int, int]]()
    for base, folders, files in os.walk(folder, onerror=refuse, followlinks=follow):
        if follow:
            there = found(base)
            place = (0, 0) if there is None else (there.st_dev, there.st_ino)
            if place in seen:
                folders.clear()
                continue
            seen.add(place)
        folders.sort()
        yield base, folders, sorted(files)


def kind_of(mode: int) -> str:
    """Return what kind of file a mode denotes, for messages."""
    for test, name in (
        (stat.S_ISREG, "a regular file"),
        (stat.S_ISDIR, "a folder"),
        (stat.S_ISLNK, "a symbolic link"),
        (stat.S_ISFIFO, "a FIFO"),
        (stat.S_ISSOCK, "a socket"),
    ):
        if test(mode):
            return name
    return "a device"
