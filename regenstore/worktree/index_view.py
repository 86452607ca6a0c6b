"""Which blob Git's index has at a path, always as of now."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping

from regenstore.errors import RegenstoreError
from regenstore.worktree.index_file import IndexFile, UnsupportedIndex
from regenstore.worktree.location import Location


class IndexView:
    """Paths of the unconflicted entries to blob ids. Reads the index again when it has changed."""

    def __init__(self, location: Location, oid_size: int) -> None:
        self._location = location
        self._oid_size = oid_size
        self._seen: tuple[int, int, int] | None = None
        self._oids: Mapping[bytes, bytes] = {}

    def oid(self, path: bytes) -> bytes | None:
        """The blob id at a path, or None."""
        return self.oids().get(path)

    def oids(self) -> Mapping[bytes, bytes]:
        """All of them."""
        try:
            found = os.stat(self._location.index)
        except OSError:
            return {}
        seen = (found.st_ino, found.st_mtime_ns, found.st_size)
        if seen != self._seen:
            self._oids = self._load()
            self._seen = seen
        return self._oids

    def _load(self) -> Mapping[bytes, bytes]:
        try:
            index = IndexFile.read(self._location.index, self._oid_size)
            return {entry.path: entry.oid for entry in index.entries if entry.stage == 0}
        except UnsupportedIndex:
            return self._ask_git()
        except (RegenstoreError, OSError):
            return {}

    def _ask_git(self) -> Mapping[bytes, bytes]:
        """Split and sparse indexes: Git puts them together."""
        command = ["git", "--git-dir", self._location.git_dir, "--work-tree", os.fsdecode(self._location.top)]
        listing = subprocess.run(
            [*command, "ls-files", "-s", "-z"], cwd=self._location.top, capture_output=True, check=False
        ).stdout
        oids = {}
        for line in listing.split(b"\0"):
            head, _, path = line.partition(b"\t")
            fields = head.split(b" ")
            if len(fields) == 3 and fields[2] == b"0":
                oids[path] = bytes.fromhex(fields[1].decode("ascii"))
        return oids
