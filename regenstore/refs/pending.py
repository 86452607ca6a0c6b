"""Pending recipes: what a worktree holds for a path and Git's index does not yet. Each is a root.

``new``, ``set``, ``record`` and their kin place a medium and keep its recipe here, so that the next clean
of exactly these bytes at exactly this path gives that recipe, also when an older recipe has the same
bytes. A checkout of the path ends it. Kept per worktree, one small file per path, in Git's own folder.
"""

from __future__ import annotations

import os
import shutil

from regenstore.objects import durable
from regenstore.objects.hashing import hash_bytes

FOLDER = "regenstore-pending"


class Pending:
    """The pending recipes of the worktree whose Git folder is given."""

    def __init__(self, git_dir: str) -> None:
        self.folder = f"{git_dir}/{FOLDER}"

    def __bool__(self) -> bool:
        """Whether there may be any; one system call."""
        return os.path.isdir(self.folder)

    def get(self, path: bytes) -> bytes | None:
        """The pending recipe text of a path, or None."""
        try:
            with open(self._file(path), "rb") as file:
                kept, _, text = file.read().partition(b"\0")
        except (FileNotFoundError, NotADirectoryError):
            return None
        return text if kept == path else None

    def set(self, path: bytes, text: bytes) -> None:
        """Keep a recipe text for a path; raises StorageError."""
        with durable.storage_errors(self.folder):
            os.makedirs(self.folder, exist_ok=True)
        durable.write_file(self._file(path), path + b"\0" + text)

    def clear(self, path: bytes) -> None:
        """Forget a path's pending recipe."""
        try:
            durable.unlink(self._file(path))
        except NotADirectoryError:
            pass

    def clear_all(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def paths(self) -> dict[bytes, bytes]:
        """All pending recipe texts by path. Raises OSError for one that is there and cannot be read."""
        found = {}
        try:
            names = os.listdir(self.folder)
        except (FileNotFoundError, NotADirectoryError):
            return {}
        for name in names:
            try:
                with open(f"{self.folder}/{name}", "rb") as file:
                    path, _, text = file.read().partition(b"\0")
            except FileNotFoundError:
                continue  # it was added, or checked out over, meanwhile
            if os.path.basename(self._file(path)) == name:
                found[path] = text
        return found

    def _file(self, path: bytes) -> str:
        return f"{self.folder}/{hash_bytes(path).hex[:32]}"
