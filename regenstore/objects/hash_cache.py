"""A cache of BLAKE3 hashes of files that are hashed repeatedly: each file is read once per state.

A state is size, mtime, ctime, inode and device. A digest is cached only if both times were in the past when the file
was read, so that a change within the same clock tick is not missed. Hashes of large files are kept across processes in
one JSON file, which is expendable: without it the files are read again.
"""

from __future__ import annotations

import json
import os
import stat
import time

from regenstore.errors import StorageError
from regenstore.fs import durable, presence
from regenstore.objects.hashing import CHUNK, hash_bytes, hash_fd

_SETTLED = 2.0
_LARGE = 4 << 20
_MOST = 2000
State = tuple[int, ...]


class KnownHashes:
    """Caches the hashes of files. ``path``: the file that keeps those of large files; None keeps none."""

    def __init__(self, path: str | None = None) -> None:
        self._path = path
        self._known: dict[str, tuple[State, str]] = {}
        self._kept: dict[str, list[object]] | None = None

    def of(self, path: str) -> str:
        """Return the digest of a regular file, as text. Raises OSError, and NotRegular for anything else."""
        found = os.stat(path)
        known = self._known.get(path)
        if known is not None and known[0] == _state(found):
            return known[1]
        large = self._path is not None and stat.S_ISREG(found.st_mode) and found.st_size >= _LARGE
        if large and (kept := self._recalled(path, _state(found))) is not None:
            self._known[path] = _state(found), kept
            return kept
        begun = time.time()
        fd = presence.open_file(path)
        try:
            before = os.fstat(fd)
            small = before.st_size < CHUNK
            digest = str(hash_bytes(_all_of(fd, before.st_size)) if small else hash_fd(fd)[0])
            after = os.fstat(fd)
        finally:
            os.close(fd)
        changed = max(after.st_mtime, after.st_ctime)
        if _state(before) == _state(after) and changed < begun - _SETTLED:
            self._known[path] = _state(after), digest
            if large:
                self._keep(path, _state(after), digest)
        return digest

    def _recalled(self, path: str, state: State) -> str | None:
        row = self._all().get(path)
        return str(row[-1]) if isinstance(row, list) and row[:-1] == list(state) else None

    def _all(self) -> dict[str, list[object]]:
        if self._kept is None:
            try:
                data = None if self._path is None else presence.read(self._path, 4 << 20)
                found = json.loads(data or b"{}")
            except Exception:
                found = {}  # expendable
            self._kept = found if isinstance(found, dict) else {}
        return self._kept

    def _keep(self, path: str, state: State, digest: str) -> None:
        assert self._path is not None
        kept = self._all()
        kept.pop(path, None)
        kept[path] = [*state, digest]
        while len(kept) > _MOST:
            del kept[next(iter(kept))]
        try:
            os.makedirs(os.path.dirname(self._path), mode=0o700, exist_ok=True)
            durable.write_file(self._path, json.dumps(kept).encode(), wait=False)
        except (OSError, StorageError, ValueError):
            pass  # the home folder is not writable, or a name is not UTF-8


def _state(found: os.stat_result) -> State:
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_dev


def _all_of(fd: int, size: int) -> bytes:
    """Read a small file to its end, even if it grows meanwhile."""
    data = os.read(fd, size + 1)
    while piece := os.read(fd, CHUNK):
        data += piece
    return data
