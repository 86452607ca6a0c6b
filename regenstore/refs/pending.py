"""Pending recipes: what a worktree holds for a path and Git's index does not yet. Each is a root.

``new``, ``set``, ``record`` and their kin place a medium and keep its recipe here, so that the next clean
of exactly these bytes at exactly this path gives that recipe, also when an older recipe has the same
bytes. A checkout of the path ends it. Kept per worktree, one small file per path, in Git's own folder: the
path, a zero byte, the text, and the digest of all that, for what is wrong here would be committed. Beside it,
what Git's index had at the path: it tells a recipe that waits from one that was added and changed again in Git.
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
    """The pending recipes of the worktree whose Git folder is given."""

    def __init__(self, git_dir: str) -> None:
        self.folder = f"{git_dir}/{FOLDER}"

    def __bool__(self) -> bool:
        """Whether there may be any; one system call. Raises StorageError (``unreadable``)."""
        return presence.is_folder(self.folder)

    def get(self, path: bytes) -> bytes | None:
        """The pending recipe text of a path; None where there is none. Raises StorageError for one that cannot be
        read, or is damaged: the path's medium would lose its recipe."""
        found = _read(self._file(path))
        return found[1] if found is not None and found[0] == path else None

    def base(self, path: bytes) -> bytes | None:
        """The blob id that Git's index had at a path when its recipe became pending, empty where it had none; None
        where that is not known. Raises StorageError (``unreadable``)."""
        told = presence.read(self._file(path) + _BASE, 128)
        try:
            return None if told is None else bytes.fromhex(told.decode("ascii"))
        except ValueError:
            return None  # cut short by a power cut

    def set(self, path: bytes, text: bytes, base: bytes | None = None) -> None:
        """Keep a recipe text for a path, whose blob in Git's index is now ``base`` (empty: none, None: not known);
        raises StorageError."""
        with durable.storage_errors(self.folder):
            durable.make_folder(self.folder)
            if base is None:
                durable.unlink(self._file(path) + _BASE)
            else:
                with open(self._file(path) + _BASE, "wb") as file:  # lost in a power cut, it is not known
                    file.write(base.hex().encode())
        data = path + b"\0" + text
        durable.write_file(self._file(path), data + hash_bytes(data).raw)

    def clear(self, path: bytes) -> None:
        """Forget a path's pending recipe. Raises StorageError."""
        try:
            durable.unlink(file := self._file(path))
            durable.unlink(file + _BASE)
        except NotADirectoryError:
            pass
        except OSError as error:
            raise durable.storage_error(error, file) from error

    def paths(self) -> dict[bytes, bytes]:
        """All pending recipe texts by path. Raises StorageError for one that cannot be read, or is damaged."""
        found = {}
        for name in presence.names(self.folder):
            if "." in name:
                continue  # what a killed process was just writing
            kept = _read(f"{self.folder}/{name}")
            if kept is None:
                continue  # it was added, or checked out over, meanwhile
            path, text = kept
            if os.path.basename(self._file(path)) == name:
                found[path] = text
        return found

    def _file(self, path: bytes) -> str:
        return f"{self.folder}/{hash_bytes(path).hex[:32]}"


def _read(file: str) -> tuple[bytes, bytes] | None:
    """Path and text; None where there is no such file. Raises StorageError where it cannot be read, or its bytes
    are not those that were written."""
    data = presence.read(file)
    if data is None:
        return None
    whole, digest = data[:-_DIGEST], data[-_DIGEST:]
    if hash_bytes(whole).raw != digest:
        raise StorageError("store-damaged", f"{file} does not hold a pending recipe as it was written")
    path, _, text = whole.partition(b"\0")
    return path, text
