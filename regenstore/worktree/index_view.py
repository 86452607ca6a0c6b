"""Which blob Git's index has at a path, always as of now."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from regenstore.errors import RegenstoreError, StorageError
from regenstore.fs import presence
from regenstore.worktree.index_file import Entry, IndexFile, UnsupportedIndex
from regenstore.worktree.index_lock import staged_entries
from regenstore.worktree.location import Location

_OURS_FIRST = (2, 3, 1)


class IndexView:
    """Paths to blob ids. Reads the index again when it has changed."""

    def __init__(self, location: Location, oid_size: int) -> None:
        self._location = location
        self._oid_size = oid_size
        self._seen: tuple[int, int, int] | None = None
        self._oids: dict[bytes, bytes] = {}
        self._conflicts: dict[bytes, dict[int, bytes]] = {}
        self._file: IndexFile | None = None
        self._entries: dict[bytes, Entry] | None = None

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
        try:
            found = presence.lstat(os.path.join(self._location.top, path))
        except StorageError:
            return False
        if self._entries is None:
            self._entries = {} if self._file is None else self._file.by_path()
        entry = self._entries.get(path)
        if entry is not None and entry.absent:
            return False
        if found is None:
            return True
        return entry is not None and self._file is not None and not self._file.matches(entry, found)

    def oids(self) -> Mapping[bytes, bytes]:
        """All that are not in conflict."""
        self._refresh()
        return self._oids

    def _refresh(self) -> None:
        try:
            found = os.stat(self._location.index)
        except OSError:
            if self._seen is not None:
                self._seen, self._oids, self._conflicts, self._file, self._entries = None, {}, {}, None, None
            return
        seen = (found.st_ino, found.st_mtime_ns, found.st_size)
        if seen == self._seen:
            return
        self._oids, self._conflicts, self._file, self._entries = {}, {}, None, None
        for path, oid, stage in self._load():
            if stage:
                self._conflicts.setdefault(path, {})[stage] = oid
            else:
                self._oids[path] = oid
        self._seen = seen

    def _load(self) -> Iterable[tuple[bytes, bytes, int]]:
        try:
            self._file = IndexFile.read(self._location.index, self._oid_size)
            return [(entry.path, entry.oid, entry.stage) for entry in self._file.entries]
        except UnsupportedIndex:
            return staged_entries(self._location)
        except (RegenstoreError, OSError):
            return []
