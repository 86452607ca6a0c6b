"""Whether something is there: yes, no, or it cannot be told.

Only ENOENT and ENOTDIR mean that nothing is there. Everything else that the system answers (no permission, an
I/O error, a stale handle of a network share, a loop of links, a name that is too long) means that nobody knows,
and is raised as StorageError (``unreadable``) with the path in it: what depends on the answer must not be done.
No function here opens anything but a regular file, so none waits for a FIFO or touches a device.

This module uses the standard library only: the Git filter imports it.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator

from regenstore.errors import StorageError

ABSENT = (FileNotFoundError, NotADirectoryError)
"""What means that nothing is there. To be caught instead of OSError wherever absence is an answer."""

_READ = (
    os.O_RDONLY
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NONBLOCK", 0)  # opening a FIFO does not wait; regular files know no such thing
    | getattr(os, "O_NOCTTY", 0)
)
NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)


class NotRegular(Exception):
    """At a path there is something, and it is no regular file: a folder, link, FIFO, socket or device."""

    def __init__(self, path: str | bytes, mode: int) -> None:
        self.what = kind_of(mode)
        super().__init__(f"{os.fsdecode(path)} is {self.what}, not a regular file")


def unreadable(error: OSError, path: str | bytes) -> StorageError:
    """The error for a path of which the system does not tell what is there."""
    reason = os.strerror(error.errno or errno.EIO)
    return StorageError("unreadable", f"{os.fsdecode(path)} cannot be read: {reason}")


def lstat(path: str | bytes, *, dir_fd: int | None = None, shown: str | bytes | None = None) -> os.stat_result | None:
    """What lies at a path, links not followed; None when nothing does. Raises StorageError (``unreadable``),
    which names ``shown`` instead of the path where that is given."""
    try:
        return os.lstat(path, dir_fd=dir_fd)
    except ABSENT:
        return None
    except OSError as error:
        raise unreadable(error, path if shown is None else shown) from error


def found(path: str | bytes) -> os.stat_result | None:
    """What a path leads to, links followed; None when nothing is there, as at the end of a broken link.
    Raises StorageError (``unreadable``)."""
    try:
        return os.stat(path)
    except ABSENT:
        return None
    except OSError as error:
        raise unreadable(error, path) from error


def is_folder(path: str | bytes) -> bool:
    """Whether a path leads to a folder. Raises StorageError (``unreadable``) where that cannot be told."""
    there = found(path)
    return there is not None and stat.S_ISDIR(there.st_mode)


def is_file(path: str | bytes) -> bool:
    """Whether a path leads to a regular file. Raises StorageError (``unreadable``) where that cannot be told."""
    there = found(path)
    return there is not None and stat.S_ISREG(there.st_mode)


def open_file(path: str | bytes, *, dir_fd: int | None = None, follow: bool = True) -> int:
    """A descriptor for reading a regular file; never waits. Raises OSError as ``os.open`` does (with
    ``follow=False`` also ELOOP for a link), and NotRegular for anything that is no regular file."""
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
    """A regular file's bytes, at most ``limit`` of them; None when nothing is there. Raises StorageError
    (``unreadable``), also for what is no regular file."""
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
    """The names in a folder, in the system's order; empty when nothing is there. Raises StorageError
    (``unreadable``)."""
    try:
        return os.listdir(folder)
    except ABSENT:
        return []
    except OSError as error:
        raise unreadable(error, folder) from error


def walk(folder: str, *, follow: bool = False) -> Iterator[tuple[str, list[str], list[str]]]:
    """All folders below one, as ``os.walk`` gives them, in the order of their names; nothing when nothing is there.
    With ``follow`` also those that links lead to, each once. Raises StorageError (``unreadable``) for a folder
    that cannot be read, which ``os.walk`` would pass over."""

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
    """What a file's mode says it is, for people."""
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
