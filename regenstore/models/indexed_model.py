"""What the index knows of a model file. Lean: ``git add`` imports it."""

from __future__ import annotations

import os
from typing import NamedTuple

from regenstore.fs import presence
from regenstore.models.model_files import folder_kind

AUTOV1, AUTOV2, AUTOV3 = 8, 10, 12
"""Digits of the short hashes."""


class ModelHashes(NamedTuple):
    """Hex digits in lower case; empty where a hash is not defined for a file, or not known."""

    blake3: str
    sha256: str = ""
    tensors: str = ""
    autov1: str = ""

    @property
    def autov2(self) -> str:
        return self.sha256[:AUTOV2]

    @property
    def autov3(self) -> str:
        return self.tensors[:AUTOV3]


class ModelHeader(NamedTuple):
    """Facts of a header; empty where it tells nothing."""

    kind: str = ""
    base: str = ""
    alias: str = ""
    """The name that the trainer gave the model (``ss_output_name``), which A1111 and its forks use for LoRAs."""
    addnet: str = ""
    """SHA-256 of the weights as the trainer recorded it (``sshs_model_hash``)."""


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

    @property
    def kind(self) -> str:
        """What the model is, by its header, else by its folder; empty if neither tells."""
        return self.header.kind or folder_kind(self.path)

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
