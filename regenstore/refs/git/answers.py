"""Parsers of git's output; the only place that parses it. Object ids are raw bytes, paths are bytes as Git has them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

_STAGED = re.compile(rb"100\d{3} ([0-9a-f]+) 0\t([^\0]+)\0")
LINK, SUBMODULE = 0o120000, 0o160000


class IndexEntry(NamedTuple):
    """An entry of Git's index; ``stage`` is not 0 for a side of a conflict."""

    mode: int
    oid: bytes
    stage: int
    path: bytes
    skipped: bool = False
    """A sparse checkout keeps it out of the worktree. Set only if requested."""

    @property
    def is_file(self) -> bool:
        """Whether it is a regular file, not a link or submodule."""
        return self.mode >> 12 == 0o10


class TreeEntry(NamedTuple):
    """An entry of a tree. ``kind`` is Git's: blob, or commit for a submodule."""

    mode: int
    kind: str
    oid: bytes
    path: bytes
    size: int | None = None
    """The size of a blob, if requested."""

    @property
    def is_file(self) -> bool:
        """Whether it is a regular file, not a link or submodule."""
        return self.mode >> 12 == 0o10


class TreeChange(NamedTuple):
    """A difference at a path. ``status`` is Git's letter; absent objects have ids of zeros."""

    old_mode: int
    mode: int
    old: bytes
    oid: bytes
    status: str
    path: bytes


class Header(NamedTuple):
    """An object: its id, kind (blob, tree, commit, tag) and size."""

    oid: bytes
    kind: str
    size: int


def parts(output: bytes) -> list[bytes]:
    """Split NUL-terminated output."""
    return output.split(b"\0")[:-1]


def lines(output: bytes) -> list[bytes]:
    """Split output into lines, at LF only: names may contain other characters that Python would split at."""
    return output.removesuffix(b"\n").split(b"\n") if output else []


def raw(oid: bytes) -> bytes:
    """Decode a hexadecimal object id."""
    return bytes.fromhex(oid.decode("ascii"))


def lines_of(oids: Iterable[bytes]) -> bytes:
    """Encode object ids as git reads them, one per line."""
    return b"".join(oid.hex().encode() + b"\n" for oid in oids)


def index_entries(output: bytes) -> Iterator[IndexEntry]:
    """Parse the output of ``ls-files -s -z``, with or without ``-t``."""
    for part in parts(output):
        about, _, path = part.partition(b"\t")
        *tag, mode, oid, stage = about.split(b" ")
        yield IndexEntry(int(mode, 8), raw(oid), int(stage), path, tag == [b"S"])


def staged_blobs(output: bytes) -> dict[bytes, bytes]:
    """Parse the output of ``ls-files -s -z`` to the blob ids of regular files that are not in conflict."""
    return {path: raw(oid) for oid, path in _STAGED.findall(output)}


def tree_entries(output: bytes) -> Iterator[TreeEntry]:
    """Parse the output of ``ls-tree -r -z``, with or without ``-l``."""
    for part in parts(output):
        about, _, path = part.partition(b"\t")
        mode, kind, oid, *size = about.split()
        known = int(size[0]) if size and size[0].isdigit() else None
        yield TreeEntry(int(mode, 8), kind.decode(), raw(oid), path, known)


def change(about: bytes, path: bytes) -> TreeChange:
    """Parse an entry of ``--raw``: modes, ids and status with their colon, and the path."""
    old_mode, mode, old, oid, status = about[1:].split(b" ")
    return TreeChange(int(old_mode, 8), int(mode, 8), raw(old), raw(oid), status.decode()[:1], path)


def changes(output: bytes) -> Iterator[TreeChange]:
    """Parse the output of ``diff-tree -r -z`` and ``diff-index -z``."""
    fields = iter(parts(output))
    for about, path in zip(fields, fields):
        yield change(about, path)


def pairs(output: bytes) -> Iterator[tuple[str, str]]:
    """Parse the output of ``config -z``: names and values, in git's order; a name without a value is true."""
    for part in parts(output):
        name, separator, value = part.decode(errors="surrogateescape").partition("\n")
        yield name, value if separator else "true"


def header(line: bytes) -> Header | None:
    """Parse a line of ``cat-file --batch-check``; None for an object that is missing or ambiguous."""
    fields = line.split(b" ")
    if len(fields) != 3 or not fields[2].isdigit() or len(fields[0]) not in (40, 64):
        return None
    return Header(raw(fields[0]), fields[1].decode(), int(fields[2]))
