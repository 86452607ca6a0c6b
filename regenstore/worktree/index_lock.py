"""Changing Git's index: its lock, and updating entries for placed files.

The lock file contains the name of its owner's stage folder, which distinguishes a lock left by a killed process of
ours from one of Git's; only ours is ever removed. (Git writes the new index into the lock file; we write it to a
separate file, so that the mark stays readable.)
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
"""Path -> the blob id that its entry must have, and the file's current stat."""
_TAKEN = "index"
_MARK_BYTES = 256


class IndexLock:
    """``index.lock``, taken as Git does: by creating it exclusively. ``folder`` is the owner's stage folder."""

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
        """Take the lock; False if another process held it for too long. Raises StorageError if it cannot be created."""
        deadline = time.monotonic() + self._wait
        pause = 0.005
        with durable.storage_errors(self.path):
            with open(f"{self._folder}/{_TAKEN}", "wb") as file:  # for recovery: Git may have us use another index
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
        """Create the lock with its mark already in it, so that a kill leaves no lock of unknown origin."""
        with open(self._marked, "wb") as file:
            file.write(os.fsencode(self._mark))
        try:
            swap.put(self._marked, self.path, swap.NOTHING)
        except swap.Changed:
            return False
        return True

    def clear(self) -> None:
        """Remove what a process with this stage folder left: its lock, if it is ours, and its new index; also those of
        another index that it worked on. Raises StorageError (``unreadable``) if a lock cannot be examined, OSError if
        it cannot be removed."""
        other = os.fsdecode(presence.read(f"{self._folder}/{_TAKEN}") or b"")
        damaged = "\0" in other  # no path has it
        for index in dict.fromkeys((self.index, self.index if damaged else other or self.index)):
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
    """Return the stage folder's name in a lock of ours; None if there is no lock, or it is not ours. Raises
    StorageError (``unreadable``)."""
    data = presence.read(path, _MARK_BYTES)
    mark = os.fsdecode(data or b"")
    ours = mark.startswith((STAGE_PREFIX, f".{STAGE_PREFIX}")) and "/" not in mark and "\0" not in mark
    return mark if ours else None


class IndexPatch:
    """New stat fields for some entries, under a held lock.

    Disk space is allocated on construction, before anything is renamed: so a full disk cannot leave media that the
    index does not know. Raises StorageError, and FormatError (``bad-index``).
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
        """Write the stats of the entries that still have the given blob, keeping the index file's own time and mode.
        False for an index that only Git can change: see :func:`refresh_with_git`."""
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
    """Read all entries through Git, for split and sparse indexes, which only Git can assemble. Raises FormatError
    (``bad-index``) if it fails, NotFound (``git-missing``)."""
    try:
        entries = _git(location).ls_entries(skipped=True)
    except FormatError as error:
        raise FormatError("bad-index", f"git cannot read the index {location.index}: {error.message}") from None
    return [CacheEntry(found.path, found.oid, found.stage, found.mode, -1, found.skipped, False) for found in entries]


def refresh_with_git(location: Location, stats: Stats) -> None:
    """Let Git refresh the entries that still have the given blob; it reads the files and calls the clean filter:
    correct, but slow. Entries with another blob, or in conflict, would be changed by that and are left alone."""
    paths = [
        entry.path for entry in staged_entries(location)
        if not entry.stage and entry.path in stats and stats[entry.path][0] == entry.oid
    ]  # fmt: skip
    if not paths:
        return
    _git(location).update_index(paths)


def _git(location: Location) -> Git:
    return Git(location.top, git_dir=location.git_dir, work_tree=os.fsdecode(location.top))
