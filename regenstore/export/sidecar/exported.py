"""Which files exports wrote, by digest: only these are replaced without being asked, tracked by Git or not.

Kept with the store, so every repository that shares it knows them. A file that was edited since has another digest and
counts as foreign; so does one from another machine, until an export here gives the same bytes.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable

from regenstore.export.sidecar.batch import PlannedFile
from regenstore.fs import presence
from regenstore.objects.fact_cache import ContentFacts
from regenstore.objects.hashing import hash_blocks, hash_file

FACT, VERSION = "exported", 1


class Exported:
    """The exported files that a store knows. ``facts``: where they are kept."""

    def __init__(self, facts: ContentFacts) -> None:
        self._facts = facts

    def has(self, path: str) -> bool:
        """Whether the regular file at a path is exactly as an export wrote it. Raises StorageError
        (``unreadable``), OSError."""
        found = presence.lstat(path)
        if found is None or not stat.S_ISREG(found.st_mode):
            return False
        return self._facts.get(hash_file(path)[0], FACT, VERSION) is not None

    def add(self, files: Iterable[PlannedFile]) -> None:
        """Remember files that are about to be written, or that have these bytes already."""
        for file in files:
            digest, _ = hash_blocks(file.blocks())
            if self._facts.get(digest, FACT, VERSION) is None:
                self._facts.put(digest, FACT, VERSION, b"")
