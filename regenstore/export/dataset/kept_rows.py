"""The rows of the last export into a place, kept with the store, so that an update does not make them again.

A row is found by a stamp over everything that it was made from: the sample, its bytes, its recipe, what is
measured, this program's version. A file of lines: stamp, hash of what follows, row and recipe as JSON. It is
never needed, and a line that does not fit its hash is none.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from typing import IO

from regenstore import __version__
from regenstore.export.dataset.row import COLUMNS
from regenstore.objects import durable
from regenstore.objects.facts import Facts
from regenstore.objects.hashing import hash_bytes

KIND, VERSION = "rows", 1
_DIGITS = 24
_HEAD = 2 * _DIGITS + 2
_PROGRAM = hash_bytes(repr((__version__, VERSION, COLUMNS)).encode()).hex


def stamp_of(parts: Sequence[object]) -> str:
    """The stamp of what a row is made from."""
    return hash_bytes(repr((_PROGRAM, *parts)).encode(errors="surrogateescape")).hex[:_DIGITS]


def line_head(stamp: str, text: bytes) -> tuple[bytes, str]:
    """What stands before a text in its line, and the text's hash in it."""
    hashed = hash_bytes(text).hex[:_DIGITS]
    return f"{stamp} {hashed} ".encode(), hashed


class KeptRows:
    """The rows that were kept for one place; in memory are only the stamps."""

    def __init__(self, facts: Facts, out: str) -> None:
        self._path = facts.path(hash_bytes(os.fsencode(os.path.realpath(out))), KIND, VERSION)
        self._temp = f"{facts.root}/tmp/rows-{os.getpid()}-{os.urandom(6).hex()}"
        self._at: dict[str, tuple[int, int]] = {}
        self._file: IO[bytes] | None = None
        try:
            self._file = open(self._path, "rb")
        except OSError:
            return
        at = 0
        for line in self._file:
            self._at[line[:_DIGITS].decode(errors="replace")] = (at, len(line))
            at += len(line)

    def __len__(self) -> int:
        return len(self._at)

    def get(self, stamp: str) -> bytes | None:
        """The row and the recipe that were kept under a stamp; None for what is damaged."""
        place = self._at.get(stamp)
        if place is None or self._file is None:
            return None
        self._file.seek(place[0])
        line = self._file.read(place[1])
        head, text = line[:_HEAD], line[_HEAD:-1]
        return text if head == line_head(stamp, text)[0] else None

    def replace(self, lines: IO[bytes]) -> bool:
        """Keep these lines instead; False where the store cannot be written to."""
        try:
            os.makedirs(os.path.dirname(self._path), exist_ok=True)
            os.makedirs(os.path.dirname(self._temp), exist_ok=True)
            lines.seek(0)
            with open(self._temp, "wb") as file:
                shutil.copyfileobj(lines, file, 1 << 20)
            durable.rename(self._temp, self._path)
        except OSError:
            try:
                durable.unlink(self._temp)
            except OSError:
                pass
            return False
        return True

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
