"""A dataset in WebDataset layout: shards ``train-000000.tar`` …, with a sample's files adjacent and named by its key.

New and changed samples go to new shards; a shard is rewritten only to remove samples. Headers are fixed, so that equal
samples give equal bytes.
"""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Callable
from typing import IO

from regenstore.errors import FormatError
from regenstore.export.dataset.sinks import ExportedFile, FolderSink
from regenstore.export.dataset.splits import SPLITS
from regenstore.fs import durable
from regenstore.objects.hashing import hash_bytes
from regenstore.objects.ids import Digest

SHARD_SAMPLES, SHARD_BYTES = 1000, 1_000_000_000
"""A shard is full when it reaches either limit."""


class TarSink:
    """Puts samples in shards and everything else beside them in the folder. A sample's files must be added
    consecutively."""

    def __init__(self, folder: FolderSink) -> None:
        self._folder = folder
        self._shard: tarfile.TarFile | None = None
        self._name = ""
        self._key = ""
        self._samples = 0
        self._numbers: dict[str, int] = {}
        self._left: dict[str, set[str]] = {}

    def _open(self, split: str, key: str, size: int) -> tarfile.TarFile:
        shard = self._shard
        if shard is not None and self._name.startswith(f"{split}-"):
            if key == self._key:
                return shard
            if self._samples < SHARD_SAMPLES and shard.offset + size < SHARD_BYTES:
                self._key, self._samples = key, self._samples + 1
                return shard
        self._close()
        self._name = f"{split}-{self._next(split):06d}.tar"
        self._key, self._samples = key, 1
        self._shard = tarfile.open(self._folder.path(self._name), "w", format=tarfile.USTAR_FORMAT)
        return self._shard

    def _next(self, split: str) -> int:
        """The number after the dataset's highest, so that no shard is overwritten."""
        if split not in self._numbers:
            there = os.listdir(self._folder.out) if self._folder.changing else []
            used = [
                int(number)
                for name in there
                if name.startswith(f"{split}-") and (number := name[len(split) + 1 : -4]).isdigit()
            ]
            self._numbers[split] = max(used, default=-1)
        self._numbers[split] += 1
        return self._numbers[split]

    def _close(self) -> None:
        if self._shard is not None:
            self._shard.close()
            self._shard = None

    def _add(self, name: str, size: int, data: IO[bytes]) -> ExportedFile | None:
        """Add a member; returns its location without its digest, or None for a file that belongs to no sample."""
        split, _, rest = name.partition("/")
        if split not in SPLITS:
            return None
        member = rest.rpartition("/")[2]
        with durable.storage_errors(name):
            shard = self._open(split, member.partition(".")[0], size)
            info = tarfile.TarInfo(member)
            info.size, info.mode = size, 0o644
            try:
                shard.addfile(info, data)
            except OSError as error:
                if "unexpected end" not in str(error):
                    raise
                raise FormatError("bad-dataset", f"{name}: the medium is shorter than recorded") from None
        return ExportedFile(member, size, "", self._name)

    def put_bytes(self, name: str, data: bytes) -> ExportedFile:
        stored = self._add(name, len(data), io.BytesIO(data))
        if stored is None:
            return self._folder.put_bytes(name, data)
        return ExportedFile(stored.path, stored.size, str(hash_bytes(data)), stored.inside)

    def put_file(self, name: str, source: str, size: int, digest: Digest) -> ExportedFile:
        with open(source, "rb") as file:
            stored = self._add(name, size, file)
        if stored is None:
            return self._folder.put_file(name, source, size, digest)
        return ExportedFile(stored.path, size, str(digest), stored.inside)

    def put_made(self, name: str, make: Callable[[str], object]) -> ExportedFile:
        return self._folder.put_made(name, make)

    def remove(self, stored: ExportedFile) -> None:
        if stored.inside is None:
            self._folder.remove(stored)
        else:
            self._left.setdefault(stored.inside, set()).add(stored.path)

    def intact(self, stored: ExportedFile) -> bool:
        if stored.inside is None:
            return self._folder.intact(stored)
        return os.path.exists(os.path.join(self._folder.out, stored.inside))

    def commit(self) -> None:
        with durable.storage_errors(self._folder.out):
            self._close()
            for name, left in sorted(self._left.items()):
                self._drop(name, left)
        self._folder.commit()

    def _drop(self, name: str, left: set[str]) -> None:
        """Rewrite a shard without some members; delete it if none is left."""
        old = os.path.join(self._folder.out, name)
        if not os.path.exists(old):
            return
        with tarfile.open(old, "r:") as shard:
            kept = [info for info in shard if info.name not in left]
            if not kept:
                self._folder.remove(ExportedFile(name, 0, ""))
                return
            with tarfile.open(self._folder.path(name), "w", format=tarfile.USTAR_FORMAT) as made:
                for info in kept:
                    made.addfile(info, shard.extractfile(info))

    def abandon(self) -> None:
        self._close()
        self._folder.abandon()
