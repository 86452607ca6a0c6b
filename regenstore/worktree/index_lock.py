"""Changing Git's index: its lock, and telling it of files that were placed.

The lock holds the name of the stage folder of whoever took it, so that one left by a killed process of
ours can be told from one of Git's, and only ours is ever removed. (Git writes the new index into the lock;
ours goes to a file beside, so that the mark stays readable.)
"""

from __future__ import annotations

import os
import stat
import time

from regenstore.errors import FormatError
from regenstore.fs import durable, presence, swap
from regenstore.refs.git import Git
from regenstore.worktree.index_file import CacheEntry, IndexFile, UnsupportedIndex
from regenstore.worktree.location import Location

STAGE_PREFIX = "regenstore-stage-"
Stats = dict[bytes, tuple[bytes, os.stat_result]]
"""Path -> the blob id that its entry must have, and what the file is now."""
_TAKEN = "index"
_MARK_BYTES = 256


class IndexLock:
    """``index.lock``, as Git takes it: a file created exclusively. ``folder`` is the taker's stage folder."""

    def __init__(self, index: str, folder: str, wait: float) -> None:
        self.index = index
        self.path = index + ".lock"
        self._mark = os.path.basename(folder)
        self.beside = f"{index}.{self._mark}"
        self._marked = f"{self.beside}.lock"  # beside the index: the stage may be on another file system
        self._folder = folder
        self._wait = wait
        self._held = False

    def take(self) -> bool:
        """True when the lock is held now; False when somebody else kept it for too long. Raises StorageError where
        it cannot be made."""
        deadline = time.monotonic() + self._wait
        pause = 0.005
        with durable.storage_errors(self.path):
            with open(f"{self._folder}/{_TAKEN}", "wb") as file:  # for recovery: Git can have us work on another index
                file.write(os.fsencode(self.index))
            while not self._try():
                if time.monotonic() >= deadline:
                    durable.unlink(self._marked)
                    return False
                time.sleep(pause)
                pause = min(pause * 2, 0.1)
        self._held = True
        return True

    def _try(self) -> bool:
        """Create the lock with its mark already in it: a kill leaves none that nobody could tell as ours."""
        with open(self._marked, "wb") as file:
            file.write(os.fsencode(self._mark))
        try:
            swap.put(self._marked, self.path, swap.NOTHING)
        except swap.Changed:
            return False
        return True

    def clear(self) -> None:
        """Remove what a process with this stage folder left: its lock, if it is ours, and its index; also of the
        index that it worked on, where that was another one. Raises StorageError (``unreadable``) where a lock cannot
        be told, OSError where it cannot be removed."""
        other = presence.read(f"{self._folder}/{_TAKEN}")
        for index in dict.fromkeys((self.index, os.fsdecode(other or b"") or self.index)):
            if mark_of(f"{index}.lock") == self._mark:
                durable.unlink(f"{index}.lock")
            durable.unlink(f"{index}.{self._mark}")
            durable.unlink(f"{index}.{self._mark}.lock")

    def release(self) -> None:
        if self._held:
            durable.unlink(self.beside)
            durable.unlink(self.path)
            self._held = False


def mark_of(path: str) -> str | None:
    """The stage folder's name in a lock of ours; None where there is no lock, or one of somebody else. Raises
    StorageError (``unreadable``)."""
    data = presence.read(path, _MARK_BYTES)
    mark = os.fsdecode(data or b"")
    ours = mark.startswith((STAGE_PREFIX, f".{STAGE_PREFIX}")) and "/" not in mark and "\0" not in mark
    return mark if ours else None


class IndexPatch:
    """New stat fields for some entries, under a held lock.

    The room on the disk is taken when this is made, before anything is renamed: so a full disk cannot
    leave media that the index knows nothing of. Raises StorageError, and FormatError (``bad-index``).
    """

    def __init__(self, lock: IndexLock, oid_size: int) -> None:
        self._lock = lock
        self._index: IndexFile | None = None
        try:
            self._index = IndexFile.read(lock.index, oid_size)
        except UnsupportedIndex:
            return
        if not self._index.intact:
            raise FormatError("bad-index", "the index is damaged: its checksum is wrong")
        with durable.storage_errors(lock.beside), open(lock.beside, "wb") as file:
            file.write(self._index.data)

    def apply(self, stats: Stats) -> bool:
        """Write the stats of those entries that still have the given blob, and keep the index file's own
        time and mode. False for an index that only Git can change: see :func:`refresh_with_git`."""
        if not stats:
            return True
        if self._index is None:
            return False
        if self._index.set_stats(stats):
            found = os.stat(self._lock.index)
            with open(self._lock.beside, "r+b") as file:
                file.write(self._index.to_bytes())
            os.chmod(self._lock.beside, stat.S_IMODE(found.st_mode))
            os.utime(self._lock.beside, ns=(found.st_mtime_ns, found.st_mtime_ns))
            durable.rename(self._lock.beside, self._lock.index)
        return True


def staged_entries(location: Location) -> list[CacheEntry]:
    """All entries as Git tells them, for split and sparse indexes, which Git alone puts together. Raises FormatError
    (``bad-index``) where it cannot, NotFound (``git-missing``)."""
    try:
        entries = _git(location).ls_entries(skipped=True)
    except FormatError as error:
        raise FormatError("bad-index", f"git cannot read the index {location.index}: {error.message}") from None
    return [CacheEntry(found.path, found.oid, found.stage, found.mode, -1, found.skipped, False) for found in entries]


def refresh_with_git(location: Location, stats: Stats) -> None:
    """Let Git refresh the entries that still have the given blob; it reads the files and asks the clean
    filter: right, but slow. Entries of another blob, and those in conflict, would be changed by it: they
    are left alone."""
    paths = [
        entry.path for entry in staged_entries(location)
        if not entry.stage and entry.path in stats and stats[entry.path][0] == entry.oid
    ]  # fmt: skip
    if not paths:
        return
    _git(location).update_index(paths)


def _git(location: Location) -> Git:
    return Git(location.top, git_dir=location.git_dir, work_tree=os.fsdecode(location.top))
