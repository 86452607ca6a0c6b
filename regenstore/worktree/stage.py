"""A folder for files that are about to be placed, on the worktree's file system. Its process holds it by flock;
one that was killed leaves it with its journal (see :mod:`regenstore.worktree.recovery`)."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from regenstore.errors import StorageError
from regenstore.fs import file_lock, presence
from regenstore.fs.swap import Nothing, Seen
from regenstore.objects import durable
from regenstore.worktree.index_lock import STAGE_PREFIX, IndexLock
from regenstore.worktree.location import Location

OWNER = "owner"
_JOURNAL = "moves"
_FLAGS = os.O_NONBLOCK | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)


class Move(NamedTuple):
    """One line of the journal: a staged file that gets a path's name. Inode, time and size stay with a file across
    a rename; ``replaced`` has them of the file that had the name, None where there was none. ``oid``: the index
    blob whose entry is told, or empty."""

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
    """What a journal says of a file."""
    return found.st_ino, found.st_mtime_ns, found.st_size


class Stage:
    """An open stage of this process. Raises StorageError where it cannot be made."""

    def __init__(self, location: Location, home: str | None = None) -> None:
        """``home``: the folder to make it in, for who renames nothing from it into the worktree."""
        self._location = location
        self._prefix = f"{_home(location) if home is None else f'{home}/'}{STAGE_PREFIX}{os.getpid()}-"
        umask = os.umask(0)
        os.umask(umask)
        self.mode = 0o666 & ~umask
        self.kept = False
        """Whether the folder stays when the work ends, for recovery."""
        self._count = 0
        with durable.storage_errors(self._prefix):
            while not self._make():
                pass

    def _make(self) -> bool:
        """Make a folder and own it; False when a recovery took it in between."""
        self.folder = self._prefix + os.urandom(4).hex()
        os.mkdir(self.folder, 0o700)
        try:
            self._owner = own(f"{self.folder}/{OWNER}")
        except (FileNotFoundError, BlockingIOError):
            return False
        if presence.lstat(f"{self.folder}/{OWNER}") is not None:
            return True
        os.close(self._owner)
        return False

    def __enter__(self) -> Stage:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        if not self.kept:
            try:
                # Interrupted just when it was taken, a lock may be left that nobody else would release.
                IndexLock(self._location.index, self.folder, 0.0).clear()
            except OSError:
                pass  # recovery knows it by its content
            import shutil  # slow to import: it brings what packs archives

            shutil.rmtree(self.folder, ignore_errors=True)
        os.close(self._owner)

    def next_name(self) -> str:
        self._count += 1
        return f"{self.folder}/{self._count}"

    def write_journal(self, moves: Iterable[Move]) -> None:
        """Say what is about to be renamed."""
        fields: list[bytes] = []
        for move in moves:
            replaced = b"" if move.replaced is None else _encoded(move.replaced)
            fields += [move.temp.encode(), move.oid.hex().encode(), _encoded(move.placed), replaced, move.path]
        with open(f"{self.folder}/{_JOURNAL}.new", "wb") as file:
            file.write(b"\0".join(fields))
        os.replace(f"{self.folder}/{_JOURNAL}.new", f"{self.folder}/{_JOURNAL}")


def read_journal(folder: str) -> list[Move]:
    """What a stage was about to rename; empty where it did not come to that. Raises StorageError where it cannot be
    read (``unreadable``), or is no journal (``store-damaged``)."""
    data = presence.read(f"{folder}/{_JOURNAL}")
    fields = data.split(b"\0") if data else []
    try:
        return [
            Move(temp.decode("ascii"), path, bytes.fromhex(oid.decode("ascii")), _decoded(placed), _decoded(replaced))
            for temp, oid, placed, replaced, path in zip(*(fields[at::5] for at in range(5)), strict=True)
        ]  # fmt: skip
    except ValueError:
        raise StorageError("store-damaged", f"{folder}/{_JOURNAL} is not what was written there") from None


def _encoded(found: tuple[int, ...]) -> bytes:
    return b"%d %d %d" % found


def _decoded(field: bytes) -> tuple[int, ...]:
    return tuple(int(number) for number in field.split(b" ")) if field else ()


def _home(location: Location) -> str:
    """Where a stage's name begins: in Git's folder, or where that is another file system, at the worktree's top."""
    home, top = location.git_dir, os.fsdecode(location.top)
    with durable.storage_errors(home):
        return f"{home}/" if os.stat(home).st_dev == os.stat(top).st_dev else f"{top}/."


def stages(location: Location) -> Iterator[str]:
    """The stages in a worktree, of living and ended processes. Raises StorageError (``unreadable``)."""
    for home in dict.fromkeys((location.git_dir, os.fsdecode(location.top))):
        for name in presence.names(home):
            if name.removeprefix(".").startswith(STAGE_PREFIX):
                yield f"{home}/{name}"


def own(path: str, flags: int = os.O_RDWR | os.O_CREAT) -> int:
    """Lock a file, made if need be, by flock; gives its descriptor. Raises BlockingIOError when somebody else has
    it, other OSErrors, also for what is no regular file."""
    fd = os.open(path, flags | _FLAGS, 0o600)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(22, "not a regular file", path)
        if not file_lock.take(fd):
            raise BlockingIOError(errno.EWOULDBLOCK, "another process has it", path)
    except OSError:
        os.close(fd)
        raise
    return fd
