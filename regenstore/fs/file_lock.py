"""Locks on files and folders, by flock: the system releases one whatever ends its process.

That a lock is held tells that a living process still works with something. How old it is says nothing of that: a slow
pipe, a stopped process or a long generation leaves files alone for days. Where the system has no such locks, every
lock counts as taken, nobody can tell whether a file is in use, and callers go by age.

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
    """Lock an open file or folder as long as it is open; False where another process has locked it. ``shared``: beside
    others that share it."""
    return _flock(fd, shared=shared, wait=False) is not False


def wait(fd: int, *, shared: bool = False) -> None:
    """Lock an open file or folder as long as it is open, once no other process has locked it."""
    _flock(fd, shared=shared, wait=True)


def claim(path: str, opened: Callable[[str], int]) -> int | None:
    """Lock the file of a name, which ``opened`` opens, made if need be; gives its descriptor, or None while another
    process has it. Whoever had it may have removed the file between our opening and our lock: then a file that no
    name leads to would be locked, and None is given too. Raises OSError."""
    fd = opened(path)
    try:
        held = take(fd) and os.path.samestat(os.fstat(fd), os.stat(path))
    except OSError as error:
        os.close(fd)
        if error.errno not in (errno.ENOENT, errno.ESTALE):  # the second is how a network file system says the first
            raise
        return None
    if held:
        return fd
    os.close(fd)
    return None


def locked(fd: int) -> bool:
    """Whether another process has locked an open file; also where that cannot be told."""
    return _flock(fd, shared=True, wait=False) is not True


def in_use(path: str) -> bool | None:
    """Whether a process holds a file or folder; None where there are no locks to tell that by. What is not there is not
    in use; what cannot be opened is."""
    try:
        fd = os.open(path, _READ)
    except ABSENT:
        return False
    except OSError as error:
        return None if error.errno == errno.ELOOP else True  # a link is nobody's
    try:
        free = _flock(fd, shared=True, wait=False)
    finally:
        os.close(fd)
    return None if free is None else not free


def _flock(fd: int, *, shared: bool, wait: bool) -> bool | None:
    """Whether it is locked for us now; None where there are no locks."""
    try:
        import fcntl

        fcntl.flock(fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except (ImportError, OSError):
        return None
    return True
