"""What the index knows of a model file."""

from __future__ import annotations

import os
from typing import NamedTuple

from regenstore.fs import presence
from regenstore.models.hashes import ModelHashes
from regenstore.models.headers import ModelHeader


class FileState(NamedTuple):
    """What tells that a file is unchanged."""

    size: int
    mtime_ns: int
    inode: int
    device: int

    @classmethod
    def of(cls, found: os.stat_result) -> FileState:
        return cls(found.st_size, found.st_mtime_ns, found.st_ino, found.st_dev)


class IndexedModel(NamedTuple):
    """A model file as it was when it was hashed."""

    path: str
    """Absolute, as ``os.fsdecode`` returns it."""
    state: FileState
    hashes: ModelHashes
    header: ModelHeader
    """The kind may come from the folder."""

    @property
    def complete(self) -> bool:
        """Whether the file was hashed here: of others, only the digest that a ComfyUI server told is known."""
        return bool(self.hashes.sha256)

    def changed(self) -> bool:
        """Return whether another file is at the path by now. One that is gone is unchanged. Raises StorageError
        (``unreadable``)."""
        found = presence.found(self.path)
        # Device numbers may differ after a restart.
        return found is not None and FileState.of(found)[:3] != self.state[:3]
