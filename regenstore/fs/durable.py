"""File operations in an order that survives a power cut. Every change to a store goes through this module.

Write: temporary file on the same file system, fsync, rename, fsync of the folder. Leaving out any of these lost data on
ext4 or btrfs in a power-cut rig. System errors become StorageError here.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from regenstore.errors import RegenstoreError, StorageError
from regenstore.fs import file_lock, sharing, swap
from regenstore.fs.writing import write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from regenstore.fs.swap import Seen

_FULL = {errno.ENOSPC, errno.EDQUOT}
_DENIED = {errno.EACCES, errno.EPERM, errno.EROFS}
CHUNK = 1 << 20
_MUCH = 512 << 20
_DISK, _WAIT = 100e6, 0.003
"""The assumed speed of a plain disk: bytes written per second, and seconds to fsync one file."""


@contextmanager
def storage_errors(path: str | bytes) -> Iterator[None]:
    """Turn an OSError inside the block into a StorageError that names the path."""
    try:
        yield
    except RegenstoreError:
        raise
    except OSError as error:
        raise storage_error(error, path) from error


def storage_error(error: OSError, path: str | bytes) -> StorageError:
    """Return the StorageError for a system error on a path."""
    shown = os.fsdecode(path)
    if error.errno in _FULL:
        return StorageError("disk-full", f"no space left while writing {shown}")
    if error.errno == errno.EFBIG:
        return StorageError("disk-full", f"the file size limit was reached while writing {shown}")
    if error.errno in _DENIED:
        return StorageError("store-unwritable", f"cannot write {shown}: {os.strerror(error.errno or 0)}")
    return StorageError("io-error", f"{shown}: {os.strerror(error.errno or errno.EIO)}")


def fsync_file(path: str) -> None:
    """Make a finished file's bytes durable."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def fsync_folder(path: str) -> None:
    """Make the names in a folder durable. File systems that do not support this (EINVAL) are ignored."""
    try:
        fd = os.open(path, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
    except PermissionError:
        return  # Windows and some network file systems cannot open folders
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(fd)


def begin_writing(path: str) -> None:
    """Start writeback of a finished file without waiting: a later fsync then has less to do."""
    if not hasattr(os, "posix_fadvise"):
        return
    fd = os.open(path, os.O_RDONLY)
    try:
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)  # Linux: starts writeback of dirty pages, keeps them
    finally:
        os.close(fd)


def sync_files(paths: Sequence[str], size: int) -> None:
    """Make finished files of one file system durable, with their names and those of their folders. ``size``: how many
    bytes were written. Raises OSError."""
    if not paths or (sync_is_short(len(paths), size) and sync_file_system(paths[0])):
        return
    for path in paths:
        fsync_file(path)
    folders = {os.path.dirname(path) for path in paths}
    for folder in folders | {os.path.dirname(folder) for folder in folders}:
        fsync_folder(folder)


def sync_is_short(count: int, added: int) -> bool:
    """Return whether syncing the whole file system is likely to be faster than fsync of ``count`` files with ``added``
    bytes: it also waits for what others have written."""
    others = max(_dirty() - added, 0)
    return others < _MUCH or others / _DISK < count * _WAIT


def _dirty() -> int:
    """Return the bytes waiting for any disk; 0 if unknown."""
    try:
        with open("/proc/meminfo", "rb") as file:
            return next(int(line.split()[1]) << 10 for line in file if line.startswith(b"Dirty:"))
    except (OSError, StopIteration, ValueError, IndexError):
        return 0


def sync_file_system(path: str) -> bool:
    """Sync a path's whole file system; False if that is not possible."""
    import ctypes  # slow to import, and seldom needed

    syncfs = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    if syncfs is None:
        return False
    fd = os.open(path, os.O_RDONLY)
    try:
        if syncfs(fd):
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
    finally:
        os.close(fd)
    return True


def rename(source: str, target: str) -> None:
    """Rename over the target, atomically."""
    os.replace(source, target)


def link(source: str, target: str) -> None:
    """Create a hard link. Raises OSError if the name exists, or the file system does not support it."""
    os.link(source, target)


def unlink(path: str) -> bool:
    """Remove a file; False if it was not there."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return False
    return True


def remove_folder(path: str) -> bool:
    """Remove a folder if it is empty."""
    try:
        os.rmdir(path)
    except OSError:
        return False
    return True


def make_folder(path: str) -> None:
    """Create a folder and its parents, each durable in its parent."""
    if os.path.isdir(path):
        return
    parent = os.path.dirname(path)
    if parent and parent != path:
        make_folder(parent)
    if sharing.make_folder(path):
        fsync_folder(parent or ".")


def write_file(path: str, data: bytes, *, temp: str | None = None, wait: bool = True, was: Seen | None = None) -> None:
    """Write a small file atomically and durably; without ``wait``, a power cut may leave the previous or a short file.
    ``temp`` must be on the same file system. ``was``: what was seen at the path; the new file gets the permissions of
    the old one. Raises StorageError, and swap.Changed if something else is there now."""
    scratch = temp or f"{path}.{os.getpid()}-{os.urandom(4).hex()}.tmp"
    try:
        fd = sharing.create(scratch, os.O_WRONLY | (os.O_TRUNC if temp else os.O_EXCL))
        try:
            if isinstance(was, swap.Identity):
                os.fchmod(fd, stat.S_IMODE(os.stat(path).st_mode))
            write_all(fd, data)
            if wait:
                os.fsync(fd)
        finally:
            os.close(fd)
        if was is None:
            rename(scratch, path)
        else:
            swap.put(scratch, path, was)
            unlink(scratch)
        if wait:
            fsync_folder(os.path.dirname(path) or ".")
    except BaseException as error:
        with suppress(OSError):
            unlink(scratch)
        if isinstance(error, OSError):
            raise storage_error(error, path) from error
        raise


def write_locked(path: str, data: bytes, *, temp: str | None = None, wait: bool = True) -> int:
    """Write a new file, locked by this process, and return its descriptor, which holds the lock. With ``temp``, the
    file never has its name without the lock. Otherwise another process may have mistaken it for a leftover and removed
    it. Durable like :func:`write_file`. Raises OSError."""
    scratch = temp or path
    fd = sharing.create(scratch, os.O_RDWR | os.O_EXCL)
    try:
        file_lock.wait(fd)
        write_all(fd, data)
        if wait:
            os.fsync(fd)
        if temp:
            rename(temp, path)
        if wait:
            fsync_folder(os.path.dirname(path))
    except BaseException:
        os.close(fd)
        for left in {scratch, path}:
            with suppress(OSError):
                unlink(left)
        raise
    return fd
