"""Rows of earlier exports, cached in the store per worktree, so that unchanged samples are not processed again.

A row is found by its sample's path and validated by a stamp over everything it was made from: the bytes, the recipe,
the measurements, this program's version. The file is a sequence of lines: path (hashed), stamp, hash of the text that
follows, and that text. New lines are appended; the last one for a path counts. The cache is never needed, and lines
that do not match their hash are ignored.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO

from regenstore import __version__
from regenstore.export.dataset.row import COLUMNS
from regenstore.fs import durable, sharing
from regenstore.objects.fact_cache import ContentFacts
from regenstore.objects.hashing import hash_bytes

KIND, VERSION = "rows", 2
_DIGITS = 24
_HEAD = 3 * (_DIGITS + 1)
_PROGRAM = hash_bytes(repr((__version__, VERSION, COLUMNS)).encode()).hex
_SPARE = 1000
"""Obsolete lines are removed once there are this many, and more of them than current ones."""


def stamp_of(parts: Sequence[object]) -> str:
    """The stamp of the data that a row is made from."""
    return hash_bytes(repr((_PROGRAM, *parts)).encode(errors="surrogateescape")).hex[:_DIGITS]


def line_of(path: str, stamp: str, text: bytes) -> tuple[bytes, str]:
    """The beginning of a text's line, and the text's hash in it."""
    hashed = hash_bytes(text).hex[:_DIGITS]
    return b"%b %b " % (_path_id(path), stamp.encode()) + hashed.encode() + b" ", hashed


def _path_id(path: str) -> bytes:
    return hash_bytes(path.encode(errors="surrogateescape")).hex[:_DIGITS].encode()


@dataclass(frozen=True, slots=True)
class KeptRow:
    """A cached row. ``at``: offset of its text in the file."""

    stamp: str
    hashed: str
    text: bytes
    at: int


class KeptRows:
    """The cached rows of one worktree; only their positions are held in memory."""

    def __init__(self, facts: ContentFacts, worktree: str) -> None:
        self._path = facts.path(hash_bytes(os.fsencode(os.path.realpath(worktree))), KIND, VERSION)
        self._temp = f"{facts.root}/tmp/rows-{os.getpid()}-{os.urandom(6).hex()}"
        self._at: dict[bytes, tuple[int, int]] = {}
        self._lines = 0
        self.file: IO[bytes] | None = None
        """The texts as of opening, regardless of what is added later."""

    def open(self) -> None:
        """Read the index; must be closed."""
        try:
            self.file = open(self._path, "rb")
        except OSError:
            return
        at = 0
        for line in self.file:
            self._at[line[:_DIGITS]] = (at, len(line))
            at += len(line)
            self._lines += 1

    def get(self, path: str) -> KeptRow | None:
        """The cached row of a path; None if there is none or it is damaged."""
        place = self._at.get(_path_id(path))
        if place is None or self.file is None:
            return None
        self.file.seek(place[0])
        line = self.file.read(place[1])
        head, text = line[:_HEAD], line[_HEAD:-1]
        stamp = head[_DIGITS + 1 : 2 * _DIGITS + 1].decode(errors="replace")
        expected, hashed = line_of(path, stamp, text)
        return KeptRow(stamp, hashed, text, place[0] + _HEAD) if head == expected else None

    def keep(self, lines: IO[bytes]) -> bool:
        """Add lines; False if the store is not writable."""
        lines.seek(0)
        try:
            sharing.make_folders(os.path.dirname(self._path))
            with open(sharing.create(self._path, os.O_WRONLY | os.O_APPEND), "ab") as file:
                shutil.copyfileobj(lines, file, 1 << 20)
            if self._lines > 2 * len(self._at) + _SPARE:
                self._compact()
        except OSError:
            return False
        return True

    def _compact(self) -> None:
        """Remove obsolete lines. Lines that another process appends meanwhile may be lost, too."""
        last: dict[bytes, tuple[int, int]] = {}
        try:
            sharing.make_folders(os.path.dirname(self._temp))
            with open(self._path, "rb") as old, open(sharing.create(self._temp, os.O_WRONLY | os.O_TRUNC), "wb") as new:
                at = 0
                for line in old:
                    last[line[:_DIGITS]] = (at, len(line))
                    at += len(line)
                for at, length in last.values():
                    old.seek(at)
                    new.write(old.read(length))
            durable.rename(self._temp, self._path)
        finally:
            durable.unlink(self._temp)

    def close(self) -> None:
        if self.file is not None:
            self.file.close()
