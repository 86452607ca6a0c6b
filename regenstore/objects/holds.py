"""Holds: which contents running processes rely on, told through files, without the database.

A process appends the digests that it relies on to a file of its own, ``leases/use-*``, which it keeps locked
(flock) until it ends: nothing has to be cleaned up after a killed one. gc takes no content that is held.
A hold protects from the moment :meth:`Holds.hold` returns. What a process found before that may be gone: so
hold first, then look it up. Released files go to ``uses/``, where gc counts how often a content was used.

Safety never compares clocks: only whether a lock can be had. Standard library only, and little of it: the Git
filter imports this.
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
"""Released files that are kept for gc to count; it is told of the newest."""
_SIZE = 32


class Holds:
    """What this process relies on. Cheap to construct; may be used from any thread."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._lock = allocate_lock()
        self._fd = -1
        self._path = ""
        self._held: set[bytes] = set()

    def hold(self, digests: Iterable[Digest]) -> None:
        """Keep gc from taking these until :meth:`release`, or until this process ends; where there is no store,
        there is nothing to keep. Raises StorageError when that cannot be written down: then nothing more is held
        than before."""
        with self._lock:
            new = {digest.raw for digest in digests} - self._held
            if not new:
                return
            with durable.storage_errors(f"{self._root}/{LEASES}"):
                if self._fd < 0 and not self._open():
                    return
                data = b"".join(new)
                at = len(self._held) * _SIZE  # what a failed write left is written over
                while data:
                    written = os.pwrite(self._fd, data, at)
                    data, at = data[written:], at + written
            self._held |= new

    def try_hold(self, digests: Iterable[Digest]) -> bool:
        """The same for who only reads, perhaps from a store that it cannot write to: says whether it worked.
        Without a hold, what was found can be gone when it is opened."""
        from regenstore.errors import StorageError

        try:
            self.hold(digests)
        except StorageError:
            return False
        return True

    def mark(self) -> str | None:
        """A name for this process that :func:`lives` knows until :meth:`release`; None where none can be written."""
        with self._lock:
            try:
                if self._fd < 0 and not self._open():
                    return None
            except (OSError, StorageError):
                return None
            return os.path.basename(self._path).removeprefix(PREFIX)

    def release(self, *, used: bool = True) -> None:
        """Rely on nothing any more. Never raises; the object can be used again. Without ``used``, gc does not
        count what was held as used."""
        with self._lock:
            if self._fd < 0:
                return
            try:
                if used and self._held:
                    _keep_use(self._root, self._path)
                else:
                    durable.unlink(self._path)
            except OSError:
                pass  # gc finds it in its old place, without a lock
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
    """Whether the process of a mark still runs; None where the system has no locks to tell that by."""
    return file_lock.in_use(f"{root}/{LEASES}/{PREFIX}{mark}")


def held(root: str) -> set[Digest]:
    """What living processes rely on now. Changes nothing. Raises StorageError (``unreadable``), here and below."""
    return set().union(*(_digests(data) for _, data, living in _read(f"{root}/{LEASES}") if living))


def is_held(root: str, digest: Digest) -> bool:
    """Whether a living process relies on a content, by now."""
    raw = digest.raw
    for _, data, lives_on in _read(f"{root}/{LEASES}"):
        at = data.find(raw) if lives_on else -1
        while at >= 0 and at % _SIZE:
            at = data.find(raw, at + 1)
        if at >= 0:
            return True
    return False


def finished(root: str) -> Iterator[tuple[str, set[Digest]]]:
    """The files of processes that rely on nothing any more, whether they said so or were killed, with what
    they held."""
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
    """Each file of a folder: path, what it holds, whether a living process has it."""
    for name in sorted(name for name in presence.names(folder) if name.startswith(PREFIX)):
        path = f"{folder}/{name}"
        try:
            fd = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
        except FileNotFoundError:
            continue  # released just now
        except OSError as error:
            raise presence.unreadable(error, path) from error
        try:
            living = file_lock.locked(fd)  # asked first: what is held when it is asked is in the file
            data = b""
            while piece := os.read(fd, 1 << 20):
                data += piece
        except OSError as error:
            raise presence.unreadable(error, path) from error
        finally:
            os.close(fd)
        yield path, data, living
