"""Holds: the contents that running processes rely on, recorded in files, without the database.

A process appends the digests that it relies on to its own file, ``leases/use-*``, which it keeps locked (flock) until
it ends, so a killed process needs no cleanup. gc takes no content that is held. A hold protects from the moment
:meth:`Holds.hold` returns; a content found earlier may be gone. So hold first, then look it up. Released files move to
``uses/``, from which gc counts how often a content was used.

Safety never depends on comparing clocks, only on whether a lock can be taken. Standard library only, and little of it:
the Git filter imports this.
"""

from __future__ import annotations

import os
import time
from _thread import allocate_lock
from collections.abc import Iterable, Iterator

from regenstore.errors import StorageError
from regenstore.fs import durable, file_lock, presence, sharing
from regenstore.objects.ids import Digest

LEASES, USES = "leases", "uses"
PREFIX = "use-"
MAX_USES = 128
"""The number of released files kept for gc to count: the newest."""
_SIZE = 32


class Holds:
    """The contents that this process relies on. Cheap to construct; thread-safe."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._lock = allocate_lock()
        self._fd = -1
        self._path = ""
        self._held: set[bytes] = set()

    def hold(self, digests: Iterable[Digest]) -> None:
        """Keep gc from taking these contents until :meth:`release` or the end of this process; does nothing where
        there is no store. Raises StorageError if that cannot be recorded: then only what was held before is held."""
        with self._lock:
            new = {digest.raw for digest in digests} - self._held
            if not new:
                return
            with durable.storage_errors(f"{self._root}/{LEASES}"):
                if self._fd < 0 and not self._open():
                    return
                data = b"".join(new)
                at = len(self._held) * _SIZE  # overwrites what a failed write left behind
                while data:
                    written = os.pwrite(self._fd, data, at)
                    data, at = data[written:], at + written
            self._held |= new

    def try_hold(self, digests: Iterable[Digest]) -> bool:
        """Like :meth:`hold`, for readers, perhaps of a store that they cannot write to; returns whether it worked.
        Without a hold, a content that was found may be gone when it is opened."""
        from regenstore.errors import StorageError

        try:
            self.hold(digests)
        except StorageError:
            return False
        return True

    def mark(self) -> str | None:
        """Return a name for this process that :func:`lives` recognises until :meth:`release`; None if the store cannot
        be written to."""
        with self._lock:
            try:
                if self._fd < 0 and not self._open():
                    return None
            except (OSError, StorageError):
                return None
            return os.path.basename(self._path).removeprefix(PREFIX)

    def release(self, *, used: bool = True) -> None:
        """Release everything held. Never raises; the object can be used again. Unless ``used``, gc does not count the
        contents as used."""
        with self._lock:
            if self._fd < 0:
                return
            try:
                if used and self._held:
                    _keep_use(self._root, self._path)
                else:
                    durable.unlink(self._path)
            except OSError:
                pass  # gc finds the file in its old place, unlocked
            os.close(self._fd)
            self._fd, self._path = -1, ""
            self._held.clear()

    def _open(self) -> bool:
        folder = f"{self._root}/{LEASES}"
        name = f"{time.time_ns():016x}-{os.getpid()}-{os.urandom(4).hex()}"
        path, temp = f"{folder}/{PREFIX}{name}", f"{folder}/new-{name}"
        try:
            fd = durable.write_locked(path, b"", temp=temp, wait=False)
        except FileNotFoundError:
            if not presence.is_folder(self._root):
                return False
            sharing.make_folders(folder)
            fd = durable.write_locked(path, b"", temp=temp, wait=False)
        self._fd, self._path = fd, path
        return True


def lives(root: str, mark: str) -> bool | None:
    """Return whether the process with a mark is still running; None where the file system has no locks."""
    return file_lock.in_use(f"{root}/{LEASES}/{PREFIX}{mark}")


def held(root: str) -> set[Digest]:
    """Return the contents that living processes rely on now. Changes nothing. Raises StorageError (``unreadable``), as
    do the functions below."""
    return set().union(*(_digests(data) for _, data, living in _read(f"{root}/{LEASES}") if living))


def is_held(root: str, digest: Digest) -> bool:
    """Return whether a living process relies on a content now."""
    raw = digest.raw
    for _, data, lives_on in _read(f"{root}/{LEASES}"):
        at = data.find(raw) if lives_on else -1
        while at >= 0 and at % _SIZE:
            at = data.find(raw, at + 1)
        if at >= 0:
            return True
    return False


def finished(root: str) -> Iterator[tuple[str, set[Digest]]]:
    """Yield the files of processes that no longer hold anything, whether released or killed, with the digests in
    them."""
    for folder in (LEASES, USES):
        yield from ((path, _digests(data)) for path, data, living in _read(f"{root}/{folder}") if not living)


def _keep_use(root: str, path: str) -> None:
    folder = f"{root}/{USES}"
    target = f"{folder}/{os.path.basename(path)}"
    try:
        durable.rename(path, target)
    except FileNotFoundError:
        sharing.make_folders(folder)
        durable.rename(path, target)
    names = os.listdir(folder)
    if len(names) > MAX_USES:
        durable.unlink(f"{folder}/{min(names)}")


def _digests(data: bytes) -> set[Digest]:
    return {Digest(data[at : at + _SIZE]) for at in range(0, len(data) - _SIZE + 1, _SIZE)}


def _read(folder: str) -> Iterator[tuple[str, bytes, bool]]:
    """Yield each file of a folder: path, data, whether a living process has locked it."""
    for name in sorted(name for name in presence.names(folder) if name.startswith(PREFIX)):
        path = f"{folder}/{name}"
        try:
            fd = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
        except FileNotFoundError:
            continue  # released just now
        except OSError as error:
            raise presence.unreadable(error, path) from error
        try:
            living = file_lock.locked(fd)  # before reading: whatever was held at this moment is in the file
            data = b""
            while piece := os.read(fd, 1 << 20):
                data += piece
        except OSError as error:
            raise presence.unreadable(error, path) from error
        finally:
            os.close(fd)
        yield path, data, living
