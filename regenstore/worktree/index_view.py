"""Which blob Git's index has at a path, always as of now."""

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
    """Paths to blob ids, of regular files: links and submodules are not Git's to filter. Reads the index again when
    it has changed; without one there are no entries. Every question raises StorageError (``unreadable``) and
    FormatError (``bad-index``) where the index cannot be read: then nobody knows what it has."""

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
        """The blob id at a path, or None; also None while the path is in conflict."""
        return self.oids().get(path)

    def sides(self, path: bytes) -> list[bytes]:
        """The blob ids of a path in conflict: ours, theirs, base, as far as there are any."""
        self._refresh()
        stages = self._conflicts.get(path, {})
        return [stages[stage] for stage in _OURS_FIRST if stage in stages]

    def conflicts(self) -> Mapping[bytes, list[bytes]]:
        """The sides of all paths in conflict."""
        self._refresh()
        return {path: self.sides(path) for path in self._conflicts}

    def moved_away(self, path: bytes) -> bool:
        """Whether the worktree has no more at a path what the index has there: nothing, or, by its stat,
        something else. False where that cannot be told, and where the worktree need not have it (sparse)."""
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
        """All that are not in conflict."""
        self._refresh()
        return self._oids

    def conflicted(self) -> Collection[bytes]:
        """The paths in conflict."""
        self._refresh()
        return self._conflicts.keys()

    def skipped(self) -> Collection[bytes]:
        """The paths that a sparse checkout keeps out of the worktree. One that is there all the same counts as any
        other."""
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
