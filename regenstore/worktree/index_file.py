"""Git's index file: reads entries, and writes the stat fields of some of them.

Format: gitformat-index(5), versions 2 to 4, SHA-1 and SHA-256. A patch changes 40 bytes per entry and the trailing
checksum, and keeps every extension byte for byte. Split and sparse indexes are recognised but not patched:
:class:`UnsupportedIndex` sends the caller to ``git update-index``.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from regenstore.errors import FormatError
from regenstore.fs import presence

_HEADER = struct.Struct(">4sII")
_STAT = struct.Struct(">10I")
_EXTENDED, _SKIP_WORKTREE, _INTENT_TO_ADD = 0x4000, 0x4000, 0x2000
MAX_ENTRIES = 50_000_000
_LONGEST_PATH = 8192
"""Twice the system's limit for paths. In version 4 each path can repeat its predecessors at no cost."""


class UnsupportedIndex(FormatError):
    """An index that must be read and changed through Git (split or sparse)."""

    def __init__(self, why: str) -> None:
        super().__init__("bad-index", f"the index is {why}")


class CacheEntry(NamedTuple):
    """One entry. ``stat`` is the offset of its 40 stat bytes, -1 if Git itself reported the entry."""

    path: bytes
    oid: bytes
    stage: int
    mode: int
    stat: int
    skip_worktree: bool
    """Git keeps the path out of the worktree (a sparse checkout); a file that exists there anyway counts."""
    intent_to_add: bool


class IndexFile:
    """The bytes of an index and its entries, in order."""

    def __init__(self, data: bytes, oid_size: int) -> None:
        self.data = bytearray(data)
        self.oid_size = oid_size
        self.entries = list(self._parse())

    @classmethod
    def read(cls, path: str, oid_size: int) -> IndexFile:
        """Read an index; a missing file is an empty index. Raises FormatError, UnsupportedIndex, and StorageError
        (``unreadable``)."""
        data = presence.read(path)
        return cls(_HEADER.pack(b"DIRC", 2, 0) + b"\0" * oid_size if data is None else data, oid_size)

    def by_path(self) -> dict[bytes, CacheEntry]:
        """The unconflicted entries by path."""
        return {entry.path: entry for entry in self.entries if entry.stage == 0}

    def stat_of(self, entry: CacheEntry) -> tuple[int, ...]:
        """ctime s, ns, mtime s, ns, dev, ino, mode, uid, gid, size; each modulo 2^32."""
        return _STAT.unpack_from(self.data, entry.stat)

    def matches(self, entry: CacheEntry, found: os.stat_result) -> bool:
        """Return whether a file's stat equals what Git last recorded in that entry."""
        return self.stat_of(entry)[2:10] == stat_fields(found, self.stat_of(entry)[6])[2:10]

    def set_stats(self, stats: Mapping[bytes, tuple[bytes, os.stat_result]]) -> int:
        """Write the stat fields of entries given as path -> (oid, stat), only of stage-0 entries that still have that
        oid. Returns how many were changed."""
        changed = 0
        for entry in self.entries:
            given = stats.get(entry.path)
            if given is not None and entry.stage == 0 and not entry.intent_to_add and given[0] == entry.oid:
                _STAT.pack_into(self.data, entry.stat, *stat_fields(given[1], entry.mode))
                changed += 1
        return changed

    @property
    def intact(self) -> bool:
        """Whether the checksum is correct, or omitted (zeros: index.skipHash). Git checks it in fsck only; a patch must
        check it, because a fresh checksum would hide the damage."""
        return not any(self.data[-self.oid_size :]) or self.data[-self.oid_size :] == self._checksum()

    def _checksum(self) -> bytes:
        name = "sha1" if self.oid_size == 20 else "sha256"
        import hashlib  # slow to import: it brings OpenSSL

        return hashlib.new(name, memoryview(self.data)[: -self.oid_size], usedforsecurity=False).digest()

    def to_bytes(self) -> bytes:
        """Return the whole file, with a fresh checksum (zeros stay zeros)."""
        trailer = self.data[-self.oid_size :]
        return bytes(self.data[: -self.oid_size] + (self._checksum() if any(trailer) else trailer))

    # -------------------------------------------------------------------------------- parsing

    def _parse(self) -> Iterator[CacheEntry]:
        data = bytes(self.data)
        try:
            magic, version, count = _HEADER.unpack_from(data)
            if magic != b"DIRC" or not 2 <= version <= 4 or count > MAX_ENTRIES:
                raise FormatError("bad-index", f"not a Git index this program knows (version {version})")
            position = _HEADER.size
            previous = b""
            for _ in range(count):
                entry, position = self._entry(data, position, version, previous)
                previous = entry.path
                yield entry
            self._extensions(data, position)
        except (struct.error, IndexError, ValueError) as error:
            raise FormatError("bad-index", f"the index is damaged: {error}") from None

    def _entry(self, data: bytes, start: int, version: int, previous: bytes) -> tuple[CacheEntry, int]:
        at = start + _STAT.size
        oid = data[at : at + self.oid_size]
        at += self.oid_size
        flags = data[at] << 8 | data[at + 1]
        at += 2
        more = 0
        if flags & _EXTENDED:
            more = data[at] << 8 | data[at + 1]
            at += 2
        if version < 4:
            length = flags & 0xFFF
            end = at + length if length < 0xFFF else data.index(b"\0", at + 0xFFF)
            path = data[at:end]
            following = start + ((end - start + 8) & ~7)
        else:
            strip, at = _varint(data, at)
            if strip > len(previous):
                raise FormatError("bad-index", "the index is damaged: a path prefix is too long")
            end = data.index(b"\0", at)
            path = previous[: len(previous) - strip] + data[at:end]
            following = end + 1
        if len(path) > _LONGEST_PATH:
            raise UnsupportedIndex(f"one with a path of over {_LONGEST_PATH} bytes")
        if following > len(data) - self.oid_size:
            raise FormatError("bad-index", "the index is damaged: it ends inside an entry")
        mode = int.from_bytes(data[start + 24 : start + 28], "big")
        skip, intent = bool(more & _SKIP_WORKTREE), bool(more & _INTENT_TO_ADD)
        return CacheEntry(path, oid, flags >> 12 & 3, mode, start, skip, intent), following

    def _extensions(self, data: bytes, position: int) -> None:
        end = len(data) - self.oid_size
        while position + 8 <= end:
            name, size = data[position : position + 4], int.from_bytes(data[position + 4 : position + 8], "big")
            if name == b"link":
                raise UnsupportedIndex("split (core.splitIndex)")
            if name == b"sdir":
                raise UnsupportedIndex("sparse (index.sparse)")
            if not b"A" <= name[:1] <= b"Z":  # an extension that must be understood
                raise UnsupportedIndex(f"one with the extension {name!r}, which this program does not know")
            position += 8 + size
        if position != end:
            raise FormatError("bad-index", "the index is damaged: its extensions do not end where they should")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Decode Git's offset varint (gitformat-index, version 4)."""
    byte = data[at]
    value = byte & 0x7F
    while byte & 0x80:
        at += 1
        byte = data[at]
        value = ((value + 1) << 7) | (byte & 0x7F)
        if value > 1 << 32:
            raise ValueError("a number is too large")
    return value, at + 1


def stat_fields(found: os.stat_result, mode: int) -> tuple[int, ...]:
    """Return the ten numbers that Git records of a file, each modulo 2^32.

    A size that is a multiple of 4 GiB gives 0, which makes every Git version compare the content: slow but always
    correct (Git 2.43 and later would write 2^31, which older versions take for a modified file).
    """
    ctime_s, ctime_ns = divmod(found.st_ctime_ns, 1_000_000_000)
    mtime_s, mtime_ns = divmod(found.st_mtime_ns, 1_000_000_000)
    numbers = (ctime_s, ctime_ns, mtime_s, mtime_ns, found.st_dev, found.st_ino, mode)
    return tuple(n & 0xFFFFFFFF for n in (*numbers, found.st_uid, found.st_gid, found.st_size))
