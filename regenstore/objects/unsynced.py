"""Marks for contents that have their names in a store but may not be on disk yet.

``git add`` leaves the worktree's files in place until it ends, so one sync at its end is enough. Before the first
content is put without waiting, a mark is made durable: which process, since when, from which worktree. It is removed
once everything is on disk. If its process ended first, the next command syncs; if the system was rebooted since, the
mark says what to check: see ``gitfilter/retake.py``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NamedTuple

from regenstore.fs import boot, durable, file_lock, presence

FOLDER = "unsettled"
_OPEN = os.O_RDONLY | os.O_NONBLOCK | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
_FIELDS = 6


class Backing(NamedTuple):
    """The worktree whose files still have the same bytes."""

    top: bytes
    git_dir: str
    index_file: str
    oid_size: int


class Mark(NamedTuple):
    """The mark of a process that has ended. ``backing`` is None if the process ended before writing it, and thus before
    storing any content."""

    path: str
    boot: bytes
    since: int
    backing: Backing | None


def make(root: str, since: int, backing: Backing) -> tuple[str, int]:
    """Create a mark durably, locked by this process; returns its path and descriptor. No content that it is for has an
    earlier date than ``since``. Raises OSError."""
    folder = f"{root}/{FOLDER}"
    durable.make_folder(folder)
    fields = (boot.boot_id(), b"%d" % since, backing.top, os.fsencode(backing.git_dir))
    data = b"\0".join((*fields, os.fsencode(backing.index_file), b"%d" % backing.oid_size))
    while True:
        path = f"{folder}/{os.getpid()}-{os.urandom(4).hex()}"
        fd = durable.write_locked(path, data)
        if presence.lstat(path) is not None:
            return path, fd
        os.close(fd)  # another process mistook it for an abandoned one


def any_in(root: str) -> bool:
    """Return whether some process may not have synced yet. Raises StorageError (``unreadable``)."""
    return bool(presence.names(f"{root}/{FOLDER}"))


def left(root: str) -> Iterator[Mark]:
    """Yield the marks of processes that have ended, each locked while the caller handles it. Raises StorageError
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
                continue  # the owner's next command handles it
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
    boot_id, since, top, git_dir, index, oid_size = fields
    return Mark(path, boot_id, int(since), Backing(top, os.fsdecode(git_dir), os.fsdecode(index), int(oid_size)))
