"""A folder as a remote: a local disk, or a share mounted by the system.

Objects are written to a temporary name and renamed. Many are synced together, before any is reported as present.
Nothing relies on locks or hard links, which many network file systems lack.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from regenstore.errors import RegenstoreError, StorageError
from regenstore.fs import durable, presence, sharing
from regenstore.fs.writing import write_all
from regenstore.remotes.backends.contract import Absent, Head, Told
from regenstore.remotes.backends.listing import Descent

_CHUNK = 4 << 20
_CLOEXEC = getattr(os, "O_CLOEXEC", 0)
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _CLOEXEC
_BESIDE = ".part-"
_SYNC_WHOLE = 16
"""Number of objects from which syncing the whole file system is cheaper than syncing each."""
_AWAY = {errno.ESTALE, errno.EIO, errno.ENOTCONN, errno.ETIMEDOUT, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.EREMOTEIO}
"""Errors of a share whose server is unavailable."""


class Directory:
    """A backend on a folder, which must exist: an empty mount point is not mistaken for an empty remote. See
    :class:`regenstore.remotes.backends.contract.Backend`."""

    lists = True

    def __init__(self, path: str, *, create: bool = False) -> None:
        self.path = os.path.abspath(path)
        self.url = self.path
        self._unsettled: list[str] = []
        self._made: set[str] = set()
        if create:
            with self._errors():
                sharing.make_folders(self.path)

    def head(self, name: str) -> Head | None:
        with self._errors():
            try:
                found = os.stat(self._place(name))
            except (FileNotFoundError, NotADirectoryError):
                self._look()
                return None
            return _head(found) if stat.S_ISREG(found.st_mode) else None

    def read(self, name: str, start: int = 0) -> Iterator[bytes]:
        with self._errors():
            try:
                file = presence.open_file(self._place(name))
            except presence.ABSENT:
                self._look()
                raise Absent(name) from None
            except presence.NotRegular as error:
                raise StorageError("remote-failed", str(error)) from None
            try:
                chunk = min(_CHUNK, os.fstat(file).st_size + 1)
                if start:
                    os.lseek(file, start, os.SEEK_SET)
                while block := os.read(file, chunk):
                    yield block
            finally:
                os.close(file)

    def write_file(self, name: str, path: str, told: Told) -> None:
        with self._errors():
            source = os.open(path, os.O_RDONLY | _CLOEXEC)
            try:
                size = os.fstat(source).st_size
                self._put(name, lambda target: _copy(source, target, size, told))
            finally:
                os.close(source)
            self._unsettled.append(self._place(name))

    def write(self, name: str, data: bytes) -> None:
        with self._errors():
            self._put(name, lambda target: write_all(target, data))
            durable.fsync_file(self._place(name))
            durable.fsync_folder(os.path.dirname(self._place(name)))

    def settle(self, *, everything: bool = False) -> None:
        places, self._unsettled = self._unsettled, []
        if not places and not everything:
            return
        with self._errors():
            if (everything or len(places) >= _SYNC_WHOLE) and durable.sync_file_system(self.path):
                return
            for place in places:
                try:
                    durable.fsync_file(place)
                except FileNotFoundError:
                    continue  # deleted by a gc since; the sender checks for that
            folders = {os.path.dirname(place) for place in places}
            for folder in folders | {os.path.dirname(folder) for folder in folders}:
                durable.fsync_folder(folder)

    def _put(self, name: str, fill: Callable[[int], None]) -> None:
        place = self._place(name)
        folder = os.path.dirname(place)
        beside = f"{folder}/{_BESIDE}{os.urandom(8).hex()}"
        if folder not in self._made:
            self._look()
            sharing.make_folders(folder)
            self._made.add(folder)
        try:
            try:
                fd = sharing.create(beside, _NEW)
            except FileNotFoundError:  # a gc removed the empty folder, or the share went away
                self._look()
                sharing.make_folders(folder)
                fd = sharing.create(beside, _NEW)
            try:
                fill(fd)
            finally:
                os.close(fd)
            durable.rename(beside, place)
        except BaseException:
            with suppress(OSError):
                durable.unlink(beside)
            raise

    def names(self, prefix: str) -> Iterator[tuple[str, Head]]:
        with self._errors():
            self._look()
            descent = Descent(self.url, prefix)
            while now := descent.take():
                folder = now[0]
                try:
                    entries = list(os.scandir(self._place(folder)))
                except (FileNotFoundError, NotADirectoryError):
                    continue
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        descent.add(f"{folder}/{entry.name}")
                    elif not entry.name.startswith(_BESIDE):
                        try:
                            found = entry.stat()
                        except FileNotFoundError:
                            continue
                        if stat.S_ISREG(found.st_mode):
                            yield f"{folder}/{entry.name}", _head(found)

    def delete(self, name: str) -> None:
        with self._errors():
            durable.unlink(self._place(name))

    def close(self) -> None:
        """Do nothing: there are no connections."""

    def _place(self, name: str) -> str:
        return f"{self.path}/{name}"

    def _look(self) -> None:
        if not presence.is_folder(self.path):
            raise StorageError("remote-unreachable", f"{self.path} does not exist: is the disk or share mounted?")

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except RegenstoreError:
            raise
        except OSError as error:
            kind = "remote-unreachable" if error.errno in _AWAY else "remote-failed"
            if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
                kind = "remote-refused"
            raise StorageError(kind, f"{error.filename or self.path}: {os.strerror(error.errno or 0)}") from error


def _head(found: os.stat_result) -> Head:
    return Head(found.st_size, f"{found.st_ino}-{found.st_mtime_ns}", found.st_mtime)


def _copy(source: int, target: int, size: int, told: Told) -> None:
    """Copy within the kernel, which shares blocks or stays on the server where possible; else through memory."""
    done = 0
    try:
        while done < size and (count := os.copy_file_range(source, target, min(_CHUNK, size - done))):
            done += count
            told(count)
        if done == size:
            return
    except (OSError, AttributeError) as error:
        if done or getattr(error, "errno", errno.EINVAL) in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
            raise
    with open(source, "rb", closefd=False) as rest, open(target, "wb", closefd=False) as into:
        rest.seek(done)
        into.seek(done)
        before = done
        shutil.copyfileobj(rest, into, _CHUNK)
        into.flush()
        told(into.tell() - before)
