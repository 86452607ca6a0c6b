"""Putting a finished file at a name, if what was seen there is there still.

Who writes where people see it looks first, and says here what it saw: nothing, or one file. What appeared or
changed there meanwhile stays, to the last instant where the system has renameat2(2) or hard links.

This module uses the standard library only: the Git filter imports it.
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
    """What tells a file from one that was written there since, also within one tick of the clock."""

    inode: int
    modified: int
    size: int
    changed: int
    """When its status changed: nobody can set that back. A rename changes it on most file systems."""


class Nothing:
    """That nothing was there. There is one of these, ``NOTHING``: "I did not look" cannot be said."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "NOTHING"


NOTHING = Nothing()
Seen = Identity | Nothing
"""What was at a path when somebody looked."""


class Changed(Exception):
    """Something else is at a name than what was seen there. Nothing was done."""


def identity(found: os.stat_result) -> Identity:
    """The identity of a file."""
    return Identity(found.st_ino, found.st_mtime_ns, found.st_size, found.st_ctime_ns)


def seen(found: os.stat_result | None) -> Seen:
    """What was seen, from what lstat gave; None: nothing."""
    return NOTHING if found is None else identity(found)


def put(
    temp: str | bytes, name: str | bytes, was: Seen, *, folder: int | None = None, temp_folder: int | None = None
) -> None:
    """Give a finished file a name, in an open folder where one is given. ``was``: what was seen there.

    Afterwards the file that was replaced has the name ``temp``, or is gone. Raises Changed where something else is
    there now, StorageError (``unreadable``) where that cannot be told, and OSError (EXDEV, say); then nothing was
    done.
    """
    if seen(presence.lstat(name, dir_fd=folder)) != was:
        raise Changed
    if isinstance(was, Nothing):
        _put_new(temp, name, folder, temp_folder)
    else:
        _put_over(temp, name, was, folder, temp_folder)


def same_file(found: os.stat_result, was: Identity) -> bool:
    """Whether a file that was renamed since is the one that was seen, with the bytes it had then."""
    return (found.st_ino, found.st_mtime_ns, found.st_size) == was[:3]


def exchange(temp: str | bytes, name: str | bytes, *, folder: int | None = None, temp_folder: int | None = None) -> int:
    """Exchange two names, atomically; gives 0, or the error's number."""
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
    """Where there are neither hard links nor a rename that replaces nothing: create the name, and nobody else has."""
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
    # Written in the last instant: it goes back. If even that met a newer one, the newest stays.
    exchange(temp, name, folder=folder, temp_folder=temp_folder)
    if os.lstat(temp, dir_fd=temp_folder).st_ino != mine.st_ino:
        exchange(temp, name, folder=folder, temp_folder=temp_folder)
    raise Changed


def _renameat2(old_folder: int | None, old: str | bytes, folder: int | None, name: str | bytes, flags: int) -> int:
    """renameat2(2): 0, or the error's number."""
    at = (_AT_FDCWD if old_folder is None else old_folder, _AT_FDCWD if folder is None else folder)
    return _system()(at[0], os.fsencode(old), at[1], os.fsencode(name), flags)


_found: list[Callable[..., int]] = []


def _system() -> Callable[..., int]:
    """The system's renameat2, or what says that there is none. Looked for at the first use: ctypes is slow to
    import."""
    if not _found:
        try:
            import ctypes

            call = ctypes.CDLL(None, use_errno=True).renameat2
            _found.append(lambda *given: ctypes.get_errno() if call(*given) else 0)
        except (ImportError, OSError, AttributeError, TypeError):
            _found.append(lambda *given: errno.ENOSYS)
    return _found[0]
