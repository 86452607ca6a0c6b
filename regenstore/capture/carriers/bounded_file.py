"""A file whose lengths and offsets are not believed: how often and how much of it is read is limited."""

from __future__ import annotations

import io
import os
from typing import BinaryIO

from regenstore.capture.embedded import MAX_PIECE, MAX_TOTAL

MAX_LOOKS = 1 << 16
"""Headers looked at in one medium: a PNG of 512 MiB in chunks of 8 KiB has as many."""
WINDOW = 512
"""Bytes read at a time: the headers that follow one another come from one read."""


class LimitReached(Exception):
    """A medium has more to read than any that a program makes: its reading ends with what was found so far."""


class _Budget:
    def __init__(self) -> None:
        self.looks = MAX_LOOKS
        self.total = MAX_TOTAL


class BoundedFile:
    """A seekable file, read in few and bounded steps. All parts of one medium share one budget."""

    def __init__(self, file: BinaryIO, budget: _Budget | None = None) -> None:
        self._file = file
        raw = getattr(file, "raw", file)
        self._descriptor: int | None = raw.fileno() if type(raw) is io.FileIO else None
        self._budget = budget or _Budget()
        self._window, self._window_at = b"", 0
        self.size = file.seek(0, io.SEEK_END)

    def look(self, at: int, length: int) -> bytes:
        """Return a header of at most :data:`WINDOW` bytes, shorter at the file's end. Raises LimitReached, or OSError
        from the file."""
        if self._budget.looks <= 0:
            raise LimitReached
        self._budget.looks -= 1
        start = at - self._window_at
        if start < 0 or start + length > len(self._window):
            self._window = self._read(at, WINDOW)
            self._window_at, start = at, 0
        return self._window[start : start + length]

    def piece(self, at: int, length: int) -> bytes | None:
        """Return so many bytes; None if they are more than one piece may have, or not all there. Raises LimitReached,
        or OSError from the file."""
        if not 0 <= length <= min(MAX_PIECE, self.size - at):
            return None
        self.spend(length)
        start = at - self._window_at
        if start >= 0 and start + length <= len(self._window):
            return self._window[start : start + length]
        found = self._read(at, length)
        return found if len(found) == length else None

    def spend(self, amount: int) -> None:
        """Count bytes that were read or decompressed. Raises LimitReached."""
        self._budget.total -= amount
        if self._budget.total < 0:
            raise LimitReached

    def of(self, data: bytes) -> BoundedFile:
        """Bytes of this medium that were put together or decompressed, as a file."""
        return BoundedFile(io.BytesIO(data), self._budget)

    def _read(self, at: int, length: int) -> bytes:
        if at >= self.size:
            return b""
        if self._descriptor is not None:
            found = os.pread(self._descriptor, length, at)  # one call of the system instead of two
            if len(found) == min(length, self.size - at):
                return found
        self._file.seek(at)
        found = self._file.read(length)
        while found and len(found) < length and (more := self._file.read(length - len(found))):
            found += more
        return found or b""


def unsigned(data: bytes) -> int:
    """The unsigned integer of big-endian bytes."""
    return int.from_bytes(data, "big")


def unsigned_le(data: bytes) -> int:
    """The unsigned integer of little-endian bytes."""
    return int.from_bytes(data, "little")
