"""The path log: the recipes that commands wrote at paths of a repository, and those of the contents that they replaced.

Git's history has what was committed. What came in between, such as a paint-over that ``--force`` replaced or that was
added and edited again, is in the store, where only its digest names it; this log says at which path it was. It is no
root, and keeps nothing. One JSON object per line, in the Git folder that all worktrees share; lines that cannot be
parsed are skipped.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import NamedTuple

from regenstore.fs import durable, presence, sharing
from regenstore.fs.path_text import path_text
from regenstore.fs.writing import write_all

NAME = "regenstore-paths.jsonl"


class Logged(NamedTuple):
    """A recipe text that was at a path, and when it was written or replaced, in seconds since the epoch."""

    when: float
    text: bytes


class PathLog:
    """The path log of the repository with this common Git folder."""

    def __init__(self, common_dir: str) -> None:
        self.file = f"{common_dir}/{NAME}"

    def add(self, path: bytes, text: bytes, *, wait: bool = True) -> None:
        """Append what is written, or about to be replaced, at a path; durable on return unless told not to ``wait``.
        Raises StorageError."""
        import json

        told = {"path": path_text(path), "recipe": text.decode(errors="surrogateescape"), "when": time.time()}
        # It begins with LF, too: a power cut may have left half a line.
        line = b"\n" + json.dumps(told).encode("ascii") + b"\n"
        with durable.storage_errors(self.file):
            fd = sharing.create(self.file, os.O_WRONLY | os.O_APPEND)
            try:
                write_all(fd, line)
            finally:
                os.close(fd)
            if wait:
                durable.fsync_file(self.file)

    def of(self, path: bytes) -> Iterator[Logged]:
        """Yield what was logged of a path, newest first. Raises StorageError (``unreadable``)."""
        import json

        named = json.dumps(path_text(path)).encode("ascii")
        for line in reversed((presence.read(self.file) or b"").split(b"\n")):
            if named not in line:
                continue
            try:
                told = json.loads(line)
                if told["path"] == path_text(path):
                    yield Logged(float(told["when"]), told["recipe"].encode(errors="surrogateescape"))
            except (ValueError, KeyError, TypeError, AttributeError):
                continue
