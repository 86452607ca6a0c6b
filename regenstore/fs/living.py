"""Whether a living process still works with a file or folder: it keeps a lock (flock) on it until it ends.

How old something is says nothing of that: a slow pipe, a stopped process or a long generation leaves files alone for
days. The system releases a lock whatever ends the process. Where it has no such locks, nobody can tell, and callers
go by age. Standard library only: the Git filter imports this.
"""

from __future__ import annotations

import errno
import os

from regenstore.fs.presence import ABSENT

_READ = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0)


def hold(fd: int) -> bool:
    """Lock an open file or folder as long as it is open; False where another process has locked it. Where there are
    no locks it counts as held."""
    try:
        import fcntl

        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except (ImportError, OSError):
        pass
    return True


def open_held(path: str) -> int:
    """Open a file or folder that this process just made, locked; to be closed when it is done with. Raises OSError."""
    fd = os.open(path, _READ)
    hold(fd)
    return fd


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
        import fcntl

        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except (ImportError, OSError):
        return None
    finally:
        os.close(fd)
    return False
