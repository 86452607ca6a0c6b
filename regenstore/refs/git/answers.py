"""What git's answers say, as values: the only place that takes apart what git prints. Object ids are raw bytes,
paths are bytes as Git has them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

LINK, SUBMODULE = 0o120000, 0o160000


class IndexEntry(NamedTuple):
    """What Git's index has at a path; ``stage`` is not 0 for a side of a conflict."""

    mode: int
    oid: bytes
    stage: int
    path: bytes
    skipped: bool = False
    """A sparse checkout keeps it out of the worktree. Only told where it was asked for."""

    @property
    def is_file(self) -> bool:
        """Whether it is a regular file, and no link or submodule."""
        return self.mode >> 12 == 0o10


class TreeEntry(NamedTuple):
    """What a tree has at a path. ``kind`` is Git's: blob, or commit for a submodule."""

    mode: int
    kind: str
    oid: bytes
    path: bytes
    size: int | None = None
    """Of a blob, where sizes were asked for."""

    @property
    def is_file(self) -> bool:
        """Whether it is a regular file, and no link or submodule."""
        return self.mode >> 12 == 0o10


class TreeChange(NamedTuple):
    """What is different at a path. ``status`` is Git's letter; ids are zeros where there is nothing."""

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
    """The parts that NUL ends."""
    return output.split(b"\0")[:-1]


def lines(output: bytes) -> list[bytes]:
    """The lines of an output. Only LF ends one: names hold what else Python would split at."""
    return output.removesuffix(b"\n").split(b"\n") if output else []


def raw(oid: bytes) -> bytes:
    """An object id that is written in hex digits."""
    return bytes.fromhex(oid.decode("ascii"))


def lines_of(oids: Iterable[bytes]) -> bytes:
    """Object ids as git reads them, one a line."""
    return b"".join(oid.hex().encode() + b"\n" for oid in oids)


def index_entries(output: bytes) -> Iterator[IndexEntry]:
    """Of ``ls-files -s -z``, with or without ``-t``."""
    for part in parts(output):
        about, _, path = part.partition(b"\t")
        *tag, mode, oid, stage = about.split(b" ")
        yield IndexEntry(int(mode, 8), raw(oid), int(stage), path, tag == [b"S"])


def tree_entries(output: bytes) -> Iterator[TreeEntry]:
    """Of ``ls-tree -r -z``, with or without ``-l``."""
    for part in parts(output):
        about, _, path = part.partition(b"\t")
        mode, kind, oid, *size = about.split()
        known = int(size[0]) if size and size[0].isdigit() else None
        yield TreeEntry(int(mode, 8), kind.decode(), raw(oid), path, known)


def change(about: bytes, path: bytes) -> TreeChange:
    """Of ``--raw``: modes, ids and status with their colon, and the path."""
    old_mode, mode, old, oid, status = about[1:].split(b" ")
    return TreeChange(int(old_mode, 8), int(mode, 8), raw(old), raw(oid), status.decode()[:1], path)


def changes(output: bytes) -> Iterator[TreeChange]:
    """Of ``diff-tree -r -z`` and ``diff-index -z``."""
    told = iter(parts(output))
    for about, path in zip(told, told):
        yield change(about, path)


def pairs(output: bytes) -> Iterator[tuple[str, str]]:
    """Of ``config -z``: names and values, in the order in which git reads them; a name alone is true."""
    for part in parts(output):
        name, separator, value = part.decode(errors="surrogateescape").partition("\n")
        yield name, value if separator else "true"


def header(line: bytes) -> Header | None:
    """Of ``cat-file --batch-check`` and the like; None for what is missing or ambiguous."""
    fields = line.split(b" ")
    if len(fields) != 3 or not fields[2].isdigit() or len(fields[0]) not in (40, 64):
        return None
    return Header(raw(fields[0]), fields[1].decode(), int(fields[2]))
