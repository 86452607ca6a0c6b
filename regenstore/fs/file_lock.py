"""Locks on files and folders (flock). The system releases them however the process ends.

A held lock means that a living process is still working on something. Age does not: a slow pipe, a stopped process or a
long generation can leave files untouched for days. Where the file system has no such locks, taking one always succeeds,
whether a file is in use is unknown, and callers fall back to its age.

Standard library only: the Git filter imports this.
"""

from __future__ import annotations

import errno
import os

from regenstore.fs.presence import ABSENT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_READ = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0)


def take(fd: int, *, shared: bool = False) -> bool:
    """Lock an open file or folder until it is closed, without waiting; False if another process holds the lock. A
    ``shared`` lock excludes only exclusive ones."""
    return _flock(fd, shared=shared, wait=False) is not False


def wait(fd: int, *, shared: bool = False) -> None:
    """Lock an open file or folder until it is closed, waiting for other processes to release it."""
    _flock(fd, shared=shared, wait=True)


def claim(path: str, opened: Callable[[str], int]) -> int | None:
    """Lock the file at a path and return its descriptor, or None while another process holds it.

    ``opened`` opens the file, creating it if need be. The previous holder may remove the file between our open and our
    lock; the lock would then be on a file without a name, and None is returned too. Raises OSError.
    """
    fd = opened(path)
    try:
        held = take(fd) and os.path.samestat(os.fstat(fd), os.stat(path))
    except OSError as error:
        os.close(fd)
        if error.errno not in (errno.ENOENT, errno.ESTALE):  # a network file system may report ENOENT as ESTALE
            raise
        return None
    if held:
        return fd
    os.close(fd)
    return None


def locked(fd: int) -> bool:
    """Return whether another process has locked an open file; True if that is unknown."""
    return _flock(fd, shared=True, wait=False) is not True


def in_use(path: str) -> bool | None:
    """Return whether a process has locked a file or folder; None where the file system has no locks. A missing file is
    not in use; one that cannot be opened is."""
    try:
        fd = os.open(path, _READ)
    except ABSENT:
        return False
    except OSError as error:
        return None if error.errno == errno.ELOOP else True  # symbolic links are never locked
    try:
        free = _flock(fd, shared=True, wait=False)
    finally:
        os.close(fd)
    return None if free is None else not free


def _flock(fd: int, *, shared: bool, wait: bool) -> bool | None:
    """Try to lock: True if locked, False if another process holds the lock, None where there are no locks."""
    try:
        import fcntl

        fcntl.flock(fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except (ImportError, OSError):
        return None
    return True
