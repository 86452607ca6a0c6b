"""The path log: the recipes that commands wrote at paths of a repository, and those of the contents that they replaced.

Git's history has what was committed. What came in between, such as a paint-over that ``--force`` replaced or that was
added and edited again, is in the store, where only its digest names it; this log says at which path it was. It is no
root, and keeps nothing. One JSON object per line, in the Git folder that all worktrees share; lines that cannot be
parsed are skipped. A log longer than :data:`MOST` bytes is shortened to the newest lines.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from regenstore.errors import StorageError
from regenstore.fs import durable, file_lock, presence, sharing
from regenstore.fs.path_text import path_text
from regenstore.fs.writing import write_all

NAME = "regenstore-paths.jsonl"
MOST = 16 << 20
OF_EACH = 50
"""How many lines of each path are kept when the log is shortened; of all together, half of :data:`MOST` bytes."""


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
            fd = self._open()
            try:
                write_all(fd, line)
                if wait:
                    durable.fsync_file(self.file)
                long = os.fstat(fd).st_size > MOST
            finally:
                os.close(fd)
        if long:
            with suppress(StorageError), durable.storage_errors(self.file):  # the next command tries again
                self._shorten()

    def _open(self) -> int:
        """Open the log for appending, with a shared lock: it is not replaced before the descriptor is closed."""
        while True:
            fd = sharing.create(self.file, os.O_RDWR | os.O_APPEND)  # NFS locks only what is open for both
            file_lock.wait(fd, shared=True)
            found = presence.found(self.file)
            if found is not None and os.path.samestat(os.fstat(fd), found):
                return fd
            os.close(fd)

    def _shorten(self) -> None:
        """Replace the log by its newest lines, unless another process is using it. Raises OSError, StorageError."""
        fd = os.open(self.file, os.O_RDWR)
        try:
            found = presence.found(self.file)
            if file_lock.take(fd) and found is not None and os.path.samestat(os.fstat(fd), found):
                durable.write_file(self.file, b"".join(reversed(list(_newest(presence.read(self.file) or b"")))))
        finally:
            os.close(fd)

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


def _newest(data: bytes) -> Iterator[bytes]:
    """Yield the lines to keep, newest first."""
    import json

    counts: Counter[str] = Counter()
    left = MOST // 2
    for line in reversed(data.split(b"\n")):
        try:
            path = str(json.loads(line)["path"]) if line else None
        except (ValueError, KeyError, TypeError, RecursionError):
            path = None
        if path is None or counts[path] == OF_EACH:
            continue
        counts[path] += 1
        left -= len(line) + 1
        if left < 0:
            return
        yield line + b"\n"
