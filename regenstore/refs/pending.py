"""Pending recipes: recipes that a worktree holds for paths and Git's index does not have yet. Each is a root.

``new``, ``set``, ``record`` and similar commands place a medium and keep its recipe here, so that the next clean of
exactly these bytes at exactly this path gives that recipe, even if an older recipe has the same bytes. A checkout of
the path discards it. Stored per worktree, one small file per path, in the Git folder: the path, a zero byte, the text,
and a digest of all that, because an error here would be committed. A second file records what Git's index had at the
path, which distinguishes a recipe not yet added from one that was added and then changed in Git.
"""

from __future__ import annotations

import os

from regenstore.errors import StorageError
from regenstore.fs import durable, presence
from regenstore.objects.hashing import hash_bytes

FOLDER = "regenstore-pending"
_DIGEST = 32
_BASE = ".base"


class Pending:
    """The pending recipes of the worktree with this Git folder."""

    def __init__(self, git_dir: str) -> None:
        self.folder = f"{git_dir}/{FOLDER}"

    def __bool__(self) -> bool:
        """Whether there may be any; costs one system call. Raises StorageError (``unreadable``)."""
        return presence.is_folder(self.folder)

    def get(self, path: bytes) -> bytes | None:
        """Return the pending recipe text of a path, or None. Raises StorageError for one that cannot be read or is
        damaged: otherwise the path's medium would lose its recipe."""
        found = _read(self._file(path))
        return found[1] if found is not None and found[0] == path else None

    def base(self, path: bytes) -> bytes | None:
        """Return the blob id that Git's index had at a path when its recipe became pending, empty if it had none; None
        if unknown. Raises StorageError (``unreadable``)."""
        recorded = presence.read(self._file(path) + _BASE, 128)
        try:
            return None if recorded is None else bytes.fromhex(recorded.decode("ascii"))
        except ValueError:
            return None  # truncated by a power cut

    def set(self, path: bytes, text: bytes, base: bytes | None = None) -> None:
        """Store a recipe text for a path whose blob in Git's index is ``base`` (empty: none, None: unknown). Raises
        StorageError."""
        with durable.storage_errors(self.folder):
            durable.make_folder(self.folder)
            if base is None:
                durable.unlink(self._file(path) + _BASE)
            else:
                with open(self._file(path) + _BASE, "wb") as file:  # not durable: after a power cut it is unknown
                    file.write(base.hex().encode())
        data = path + b"\0" + text
        durable.write_file(self._file(path), data + hash_bytes(data).raw)

    def clear(self, path: bytes) -> None:
        """Remove a path's pending recipe. Raises StorageError."""
        try:
            durable.unlink(file := self._file(path))
            durable.unlink(file + _BASE)
        except NotADirectoryError:
            pass
        except OSError as error:
            raise durable.storage_error(error, file) from error

    def paths(self) -> dict[bytes, bytes]:
        """Return all pending recipe texts by path. Raises StorageError for one that cannot be read or is damaged."""
        found = {}
        for name in presence.names(self.folder):
            if "." in name:
                continue  # a temporary file of a killed process
            kept = _read(f"{self.folder}/{name}")
            if kept is None:
                continue  # added or discarded meanwhile
            path, text = kept
            if os.path.basename(self._file(path)) == name:
                found[path] = text
        return found

    def _file(self, path: bytes) -> str:
        return f"{self.folder}/{hash_bytes(path).hex[:32]}"


def _read(file: str) -> tuple[bytes, bytes] | None:
    """Return path and text; None if there is no such file. Raises StorageError if it cannot be read, or its digest does
    not match."""
    data = presence.read(file)
    if data is None:
        return None
    whole, digest = data[:-_DIGEST], data[-_DIGEST:]
    if hash_bytes(whole).raw != digest:
        raise StorageError("store-damaged", f"{file} is damaged: it is not the pending recipe that was written")
    path, _, text = whole.partition(b"\0")
    return path, text
