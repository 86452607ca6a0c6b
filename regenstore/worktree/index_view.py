"""The blobs in Git's index by path, always up to date."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterable, Mapping

from regenstore.errors import FormatError, StorageError
from regenstore.fs import presence
from regenstore.fs.swap import NOTHING, Seen, seen
from regenstore.worktree.index_file import CacheEntry, IndexFile, UnsupportedIndex
from regenstore.worktree.index_lock import staged_entries
from regenstore.worktree.location import Location

_OURS_FIRST = (2, 3, 1)


class IndexView:
    """Paths to blob ids of regular files: Git does not filter links and submodules. Reads the index again when it has
    changed; without an index there are no entries. Every method raises StorageError (``unreadable``) or FormatError
    (``bad-index``) if the index cannot be read, since its contents are unknown then."""

    def __init__(self, location: Location, oid_size: int) -> None:
        self._location = location
        self._oid_size = oid_size
        self._seen: Seen = NOTHING
        self._oids: dict[bytes, bytes] = {}
        self._conflicts: dict[bytes, dict[int, bytes]] = {}
        self._skipped: set[bytes] = set()
        self._file: IndexFile | None = None
        self._entries: dict[bytes, CacheEntry] | None = None

    def oid(self, path: bytes) -> bytes | None:
        """Return the blob id at a path; None if there is none or the path is in conflict."""
        return self.oids().get(path)

    def sides(self, path: bytes) -> list[bytes]:
        """Return the blob ids of a path in conflict: ours, theirs, base, those that exist."""
        self._refresh()
        stages = self._conflicts.get(path, {})
        return [stages[stage] for stage in _OURS_FIRST if stage in stages]

    def ancestor(self, path: bytes) -> bytes | None:
        """Return the blob id from which the sides of a path in conflict come; None if there is none."""
        self._refresh()
        return self._conflicts.get(path, {}).get(1)

    def conflicts(self) -> Mapping[bytes, list[bytes]]:
        """Return the sides of all paths in conflict."""
        self._refresh()
        return {path: self.sides(path) for path in self._conflicts}

    def moved_away(self, path: bytes) -> bool:
        """Return whether the worktree no longer has the index's file at a path: nothing, or, by its stat, something
        else. False if that is unknown, or the path is excluded (sparse checkout)."""
        self._refresh()
        if path in self._skipped:
            return False
        try:
            found = presence.lstat(os.path.join(self._location.top, path))
        except StorageError:
            return False
        if self._entries is None:
            self._entries = {} if self._file is None else self._file.by_path()
        entry = self._entries.get(path)
        if found is None:
            return True
        return entry is not None and self._file is not None and not self._file.matches(entry, found)

    def oids(self) -> Mapping[bytes, bytes]:
        """Return all entries that are not in conflict."""
        self._refresh()
        return self._oids

    def conflicted(self) -> Collection[bytes]:
        """Return the paths in conflict."""
        self._refresh()
        return self._conflicts.keys()

    def skipped(self) -> Collection[bytes]:
        """Return the paths that a sparse checkout keeps out of the worktree. A file that exists there anyway counts as
        any other."""
        self._refresh()
        return self._skipped

    def _refresh(self) -> None:
        now = seen(presence.found(self._location.index))
        if now == self._seen:
            return
        self._file, self._entries = None, None
        oids: dict[bytes, bytes] = {}
        conflicts: dict[bytes, dict[int, bytes]] = {}
        skipped = set()
        for entry in self._load():
            if not stat.S_ISREG(entry.mode):
                continue
            if entry.stage:
                conflicts.setdefault(entry.path, {})[entry.stage] = entry.oid
            else:
                oids[entry.path] = entry.oid
                if entry.skip_worktree:
                    skipped.add(entry.path)
        self._oids, self._conflicts, self._skipped, self._seen = oids, conflicts, skipped, now

    def _load(self) -> Iterable[CacheEntry]:
        index = self._location.index
        try:
            self._file = IndexFile.read(index, self._oid_size)
            return self._file.entries
        except UnsupportedIndex:
            return staged_entries(self._location)
        except FormatError as error:
            raise error.at(index) from None
