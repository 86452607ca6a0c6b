"""Changing several files so that a process killed at any moment leaves nothing that the next one cannot finish.

A *stage* is a folder on the file system of the files that are about to change:

1. What is to get a name is made inside the stage. A process killed now has changed nothing.
2. The *journal* in the stage says what is about to be done.
3. That is done.
4. The journal goes, then the folder.

A process holds its stage by a lock on the file ``owner`` in it. :func:`recover` claims a stage whose process has ended
and has its user do what the journal says; a stage without a journal only goes. What a journal says belongs to whoever
writes it: placing and filling media (``worktree``), exporting sidecars and datasets (``export``).

Standard library only: the Git filter imports this.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat

from regenstore.errors import StorageError
from regenstore.fs import durable, file_lock, presence

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

OWNER = "owner"
_OPEN = os.O_RDWR | os.O_NONBLOCK | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)


class Stage:
    """A stage of this process, until it is closed."""

    def __init__(self, prefix: str, *, mode: int = 0o777, unique: bool = True) -> None:
        """``prefix``: how the folder's path begins, or all of it where it is not ``unique``. ``mode``: its rights, less
        the umask. Raises StorageError; FileExistsError where a folder that is not unique is there already."""
        self.kept = False
        """Whether the folder stays when this is closed, for recovery: while what the journal says is being done."""
        self._count = 0
        self._journal = ""
        try:
            while not self._make(f"{prefix}{os.getpid()}-{os.urandom(4).hex()}" if unique else prefix, mode):
                pass
        except FileExistsError:
            raise
        except OSError as error:
            raise durable.storage_error(error, prefix) from error

    def _make(self, folder: str, mode: int) -> bool:
        """Make a folder and hold it; False when a recovery took it in between."""
        os.mkdir(folder, mode)
        self.folder = folder
        try:
            owner = claim(f"{folder}/{OWNER}", mode=mode & 0o666)
        except presence.ABSENT:
            return False
        self._owner = -1 if owner is None else owner
        return owner is not None

    def __enter__(self) -> Stage:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def next_name(self) -> str:
        """A new name in the folder."""
        self._count += 1
        return f"{self.folder}/{self._count}"

    def write_journal(self, name: str, data: bytes, *, wait: bool = True) -> str:
        """Write the journal, whole or not at all, and wait until it is on the disk; gives its path. Without ``wait`` it
        survives the end of this process alone. Raises StorageError."""
        self._journal = f"{self.folder}/{name}"
        durable.write_file(self._journal, data, wait=wait)
        if wait:
            with durable.storage_errors(self.folder):
                durable.fsync_folder(os.path.dirname(self.folder))
        return self._journal

    def close(self) -> None:
        """Remove the stage, unless it is kept, and let go of it. Never raises OSError: recovery removes what could not
        be removed."""
        owner, self._owner = self._owner, -1
        if owner < 0:
            return
        try:
            if not self.kept:
                if self._journal:
                    durable.unlink(self._journal)  # first what a recovery would act on
                shutil.rmtree(self.folder, ignore_errors=True)
        except OSError:
            pass
        finally:
            os.close(owner)


def stages(prefix: str) -> list[str]:
    """The folders whose paths begin so, of living and ended processes. Raises StorageError (``unreadable``)."""
    home, begin = os.path.split(prefix)
    return [f"{home}/{name}" for name in presence.names(home) if name.startswith(begin)]


def recover(folder: str, finish: Callable[[str], bool]) -> bool:
    """Have ``finish`` do what the journal in a stage says, if there is one, and remove the stage. It may be done more
    than once, and gives False for what has to wait; then the stage stays, as it does where ``finish`` raises.

    Gives whether the stage was recovered: not where it is gone, where its process lives, or where it is another
    user's, whose next command recovers it. Raises StorageError (``unreadable``) where that cannot be told.
    """
    found = presence.lstat(folder)
    if found is None or not stat.S_ISDIR(found.st_mode):
        return False  # a link could lead anywhere
    try:
        # One without the file was killed before it had it, or while it was removed; should its process live after
        # all, it sees that it lost its folder, and makes another.
        owner = claim(f"{folder}/{OWNER}")
    except presence.ABSENT:
        return False
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EPERM) and _of_another_user(found):
            return False
        raise presence.unreadable(error, folder) from error
    if owner is None:
        return False
    try:
        if not finish(folder):
            return False
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(owner)
    return True


def claim(path: str, *, make: bool = True, mode: int = 0o600) -> int | None:
    """Lock a regular file, made if need be; gives its descriptor, or None while another process has it. Raises OSError,
    also for what is no regular file."""

    def opened(path: str) -> int:
        fd = os.open(path, _OPEN | (os.O_CREAT if make else 0), mode)
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise OSError(errno.EINVAL, "not a regular file", path)
        return fd

    return file_lock.claim(path, opened)


def damaged(journal: str) -> StorageError:
    """The error for a journal that nobody wrote like that."""
    return StorageError("store-damaged", f"{journal} is not what was written there")


def _of_another_user(found: os.stat_result) -> bool:
    return hasattr(os, "geteuid") and found.st_uid != os.geteuid()
