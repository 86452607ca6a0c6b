"""Stages for files about to be placed, on the worktree's file system, and the journal of their renames."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from regenstore.fs import durable, presence, stage
from regenstore.fs.stage import Stage
from regenstore.fs.swap import Nothing, Seen
from regenstore.worktree.index_lock import STAGE_PREFIX, IndexLock
from regenstore.worktree.location import Location

JOURNAL = "moves"


class Move(NamedTuple):
    """One line of the journal: a staged file that gets a path's name. Inode, time and size survive a rename;
    ``replaced`` has those of the file that had the name, None if there was none. ``oid``: the index blob whose entry is
    updated, or empty."""

    temp: str
    path: bytes
    oid: bytes
    placed: tuple[int, ...]
    replaced: tuple[int, ...] | None

    @classmethod
    def of(cls, temp: str, path: bytes, oid: bytes | None, was: Seen) -> Move:
        found = os.stat(temp)
        replaced = None if isinstance(was, Nothing) else was[:3]
        return cls(os.path.basename(temp), path, oid or b"", numbers(found), replaced)


def numbers(found: os.stat_result) -> tuple[int, ...]:
    """A file's identity in a journal."""
    return found.st_ino, found.st_mtime_ns, found.st_size


@contextmanager
def open_stage(location: Location, home: str | None = None) -> Iterator[Stage]:
    """Create a stage of this process, for the block. ``home``: the folder to create it in, if nothing is renamed from
    it into the worktree. Raises StorageError if it cannot be created."""
    prefix = _home(location) if home is None else f"{home}/"
    with Stage(f"{prefix}{STAGE_PREFIX}", mode=0o700) as made:
        try:
            yield made
        finally:
            if not made.kept:
                try:
                    # Interrupted while taking the lock, which no other process would release.
                    IndexLock(location.index, made.folder, 0.0).clear()
                except OSError:
                    pass  # recovery recognises it by its content


def encode_moves(moves: Iterable[Move]) -> bytes:
    """Encode the journal of the renames to come."""
    fields: list[bytes] = []
    for move in moves:
        replaced = b"" if move.replaced is None else _encoded(move.replaced)
        fields += [move.temp.encode(), move.oid.hex().encode(), _encoded(move.placed), replaced, move.path]
    return b"\0".join(fields)


def read_journal(folder: str) -> list[Move]:
    """Return what a stage was about to rename; empty if it did not get that far. Raises StorageError if the journal
    cannot be read (``unreadable``) or is invalid (``store-damaged``)."""
    data = presence.read(f"{folder}/{JOURNAL}")
    fields = data.split(b"\0") if data else []
    try:
        return [
            Move(temp.decode("ascii"), path, bytes.fromhex(oid.decode("ascii")), _decoded(placed), _decoded(replaced))
            for temp, oid, placed, replaced, path in zip(*(fields[at::5] for at in range(5)), strict=True)
        ]  # fmt: skip
    except ValueError:
        raise stage.damaged(f"{folder}/{JOURNAL}") from None


def _encoded(found: tuple[int, ...]) -> bytes:
    return b"%d %d %d" % found


def _decoded(field: bytes) -> tuple[int, ...]:
    return tuple(int(number) for number in field.split(b" ")) if field else ()


def _home(location: Location) -> str:
    """Return where stages are made: in the Git folder, or at the worktree's top if that is another file system."""
    home, top = location.git_dir, os.fsdecode(location.top)
    with durable.storage_errors(home):
        return f"{home}/" if os.stat(home).st_dev == os.stat(top).st_dev else f"{top}/."


def stages(location: Location) -> list[str]:
    """Return the stages in a worktree, of living and ended processes. Raises StorageError (``unreadable``)."""
    homes = (f"{location.git_dir}/", f"{os.fsdecode(location.top)}/.")
    return [folder for home in homes for folder in stage.stages(f"{home}{STAGE_PREFIX}")]
