"""Contents that have their names in a store, and are perhaps not on the disk yet.

``git add`` leaves the worktree's files where they are until it ends, so waiting for the disk once, at its end, is
enough. Before the first content that is not waited for, a mark is made durable: who, since when, from which worktree.
It goes when all of it is on the disk. A mark whose process has ended tells the next command to see to that, and,
where the system was started anew since, what to look at: see ``gitfilter/retake.py``.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import NamedTuple

from regenstore.fs import boot, durable, file_lock, presence

FOLDER = "unsettled"
_OPEN = os.O_RDONLY | os.O_NONBLOCK | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
_FIELDS = 6


class Backing(NamedTuple):
    """The worktree whose files hold the same bytes for the time being."""

    top: bytes
    git_dir: str
    index_file: str
    oid_size: int


class Mark(NamedTuple):
    """A mark of a process that has ended. ``backing`` is None where it ended before it had written it: then it had
    put nothing."""

    path: str
    boot: bytes
    since: int
    backing: Backing | None


def make(root: str, backing: Backing) -> tuple[str, int]:
    """Make a mark, durably, held by this process; gives its path and its descriptor. Raises OSError."""
    folder = f"{root}/{FOLDER}"
    durable.make_folder(folder)
    fields = (boot.boot_id(), b"%d" % time.time_ns(), backing.top, os.fsencode(backing.git_dir))
    data = b"\0".join((*fields, os.fsencode(backing.index_file), b"%d" % backing.oid_size))
    while True:
        path = f"{folder}/{os.getpid()}-{os.urandom(4).hex()}"
        fd = durable.write_locked(path, data)
        if presence.lstat(path) is not None:
            return path, fd
        os.close(fd)  # another process took it for one that was left behind


def any_in(root: str) -> bool:
    """Whether some process may not have waited for the disk yet. Raises StorageError (``unreadable``)."""
    return bool(presence.names(f"{root}/{FOLDER}"))


def left(root: str) -> Iterator[Mark]:
    """The marks of processes that have ended, each held while the caller works on it. Raises StorageError
    (``unreadable``)."""
    for name in presence.names(f"{root}/{FOLDER}"):
        path = f"{root}/{FOLDER}/{name}"
        try:
            fd = os.open(path, _OPEN)
        except presence.ABSENT:
            continue
        except OSError as error:
            made = presence.lstat(path)
            if made is not None and hasattr(os, "geteuid") and made.st_uid != os.geteuid():
                continue  # that user's next command sees to it
            raise presence.unreadable(error, path) from error
        try:
            if file_lock.take(fd) and presence.lstat(path) is not None:
                yield _read(path, os.read(fd, 1 << 16))
        finally:
            os.close(fd)


def _read(path: str, data: bytes) -> Mark:
    fields = data.split(b"\0")
    if len(fields) != _FIELDS or not fields[5].isdigit():
        return Mark(path, b"", 0, None)
    told, since, top, git_dir, index, oid_size = fields
    return Mark(path, told, int(since), Backing(top, os.fsdecode(git_dir), os.fsdecode(index), int(oid_size)))
