"""Compare and swap for files: put a finished file at a name only if the name still holds what was seen there.

Code that writes to paths users see looks first, and passes what it saw: nothing, or one file. Whatever appeared or
changed there since is preserved, without any race where the system has renameat2(2) or hard links.

Standard library only: the Git filter imports this.
"""

from __future__ import annotations

import errno
import os
from typing import NamedTuple

from regenstore.fs import presence

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_AT_FDCWD, _NO_REPLACE, _EXCHANGE = -100, 1, 2  # linux/fcntl.h, linux/fs.h
_UNSUPPORTED = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EPERM}
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK}


class Identity(NamedTuple):
    """Distinguishes a file from one written in its place since, even within one clock tick."""

    inode: int
    modified: int
    size: int
    changed: int
    """The ctime, which no program can set back. A rename changes it on most file systems."""


class Nothing:
    """The absence of a file. ``NOTHING`` is the only instance: a caller cannot pass "I did not look"."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "NOTHING"


NOTHING = Nothing()
Seen = Identity | Nothing
"""What a caller saw at a path."""


class Changed(Exception):
    """The name no longer holds what was seen there. Nothing was done."""


def identity(found: os.stat_result) -> Identity:
    """Return the identity of a file."""
    return Identity(found.st_ino, found.st_mtime_ns, found.st_size, found.st_ctime_ns)


def seen(found: os.stat_result | None) -> Seen:
    """Return what was seen, given the result of lstat; None means nothing."""
    return NOTHING if found is None else identity(found)


def put(
    temp: str | bytes, name: str | bytes, was: Seen, *, folder: int | None = None, temp_folder: int | None = None
) -> None:
    """Put a finished file at a name that held ``was`` when the caller looked; relative to open folders if given.

    Afterwards the file that was replaced has the name ``temp``, or is gone. Raises Changed if something else is there
    now, StorageError (``unreadable``) if that is unknown, and OSError (EXDEV, for instance); nothing was done then.
    """
    if seen(presence.lstat(name, dir_fd=folder)) != was:
        raise Changed
    if isinstance(was, Nothing):
        _put_new(temp, name, folder, temp_folder)
    else:
        _put_over(temp, name, was, folder, temp_folder)


def same_file(found: os.stat_result, was: Identity) -> bool:
    """Return whether a file, perhaps renamed since, is the one that was seen, with the same bytes."""
    return (found.st_ino, found.st_mtime_ns, found.st_size) == was[:3]


def exchange(temp: str | bytes, name: str | bytes, *, folder: int | None = None, temp_folder: int | None = None) -> int:
    """Exchange two names atomically; returns 0 or the errno."""
    return _renameat2(temp_folder, temp, folder, name, _EXCHANGE)


def _put_new(temp: str | bytes, name: str | bytes, folder: int | None, temp_folder: int | None) -> None:
    failed = _renameat2(temp_folder, temp, folder, name, _NO_REPLACE)
    if not failed:
        return
    if failed == errno.EEXIST:
        raise Changed
    if failed not in _UNSUPPORTED:
        raise OSError(failed, os.strerror(failed), os.fsdecode(name))
    try:
        os.link(temp, name, src_dir_fd=temp_folder, dst_dir_fd=folder)
    except FileExistsError:
        raise Changed from None
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        _put_over_empty(temp, name, folder, temp_folder)
    else:
        os.unlink(temp, dir_fd=temp_folder)


def _put_over_empty(temp: str | bytes, name: str | bytes, folder: int | None, temp_folder: int | None) -> None:
    """Without hard links and RENAME_NOREPLACE: creating the name exclusively shows that it was free."""
    try:
        os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=folder))
    except FileExistsError:
        raise Changed from None
    os.replace(temp, name, src_dir_fd=temp_folder, dst_dir_fd=folder)


def _put_over(temp: str | bytes, name: str | bytes, was: Identity, folder: int | None, temp_folder: int | None) -> None:
    mine = os.lstat(temp, dir_fd=temp_folder)
    failed = exchange(temp, name, folder=folder, temp_folder=temp_folder)
    if failed in _UNSUPPORTED:
        os.replace(temp, name, src_dir_fd=temp_folder, dst_dir_fd=folder)
        return
    if failed == errno.ENOENT:
        raise Changed
    if failed:
        raise OSError(failed, os.strerror(failed), os.fsdecode(name))
    if same_file(os.lstat(temp, dir_fd=temp_folder), was):
        return
    # The file was written in the last instant, so it goes back. If a newer one arrived even now, the newest stays.
    exchange(temp, name, folder=folder, temp_folder=temp_folder)
    if os.lstat(temp, dir_fd=temp_folder).st_ino != mine.st_ino:
        exchange(temp, name, folder=folder, temp_folder=temp_folder)
    raise Changed


def _renameat2(old_folder: int | None, old: str | bytes, folder: int | None, name: str | bytes, flags: int) -> int:
    """Call renameat2(2); returns 0 or the errno."""
    at = (_AT_FDCWD if old_folder is None else old_folder, _AT_FDCWD if folder is None else folder)
    return _system()(at[0], os.fsencode(old), at[1], os.fsencode(name), flags)


_found: list[Callable[..., int]] = []


def _system() -> Callable[..., int]:
    """Return the system's renameat2, or a function that reports ENOSYS. Loaded on first use: importing ctypes is
    slow."""
    if not _found:
        try:
            import ctypes

            call = ctypes.CDLL(None, use_errno=True).renameat2
            _found.append(lambda *given: ctypes.get_errno() if call(*given) else 0)
        except (ImportError, OSError, AttributeError, TypeError):
            _found.append(lambda *given: errno.ENOSYS)
    return _found[0]
