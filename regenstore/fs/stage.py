"""Changing several files so that a process killed at any moment leaves nothing that the next one cannot finish.

A *stage* is a folder on the file system of the files to change:

1. New files are created inside the stage, and synced if they have to survive a power cut. A process killed now has
   changed nothing.
2. The *journal* in the stage records the changes to come.
3. The changes are made.
4. The journal is removed, then the folder.

A process holds its stage by a lock on the file ``owner`` in it. :func:`recover` claims a stage whose process has ended
and has its user do what the journal says; a stage without a journal is just removed. The journal's contents belong to
its writer: placing and filling media (``worktree``), exporting sidecars and datasets (``export``).

Standard library only: the Git filter imports this.
"""

from __future__ import annotations

import errno
import os
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
        """``prefix``: the beginning of the folder's path, or all of it unless ``unique``. ``mode``: its permissions,
        less the umask. Raises StorageError; FileExistsError if a folder that is not unique exists already."""
        self.kept = False
        """Whether closing leaves the folder for recovery: set while the journal's changes are being made."""
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
        """Create a folder and lock it; False if a recovery took it in between."""
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
        """Return a new name in the folder."""
        self._count += 1
        return f"{self.folder}/{self._count}"

    def write_journal(self, name: str, data: bytes, *, wait: bool = True) -> str:
        """Write the journal atomically and durably; returns its path. Without ``wait`` it survives only the end of this
        process, not a power cut. Raises StorageError."""
        self._journal = f"{self.folder}/{name}"
        durable.write_file(self._journal, data, wait=wait)
        if wait:
            with durable.storage_errors(self.folder):
                durable.fsync_folder(os.path.dirname(self.folder))
        return self._journal

    def close(self) -> None:
        """Remove the stage, unless it is kept, and release it. Never raises OSError: recovery removes what is left."""
        owner, self._owner = self._owner, -1
        if owner < 0:
            return
        try:
            if not self.kept:
                if self._journal:
                    durable.unlink(self._journal)  # first what a recovery would act on
                _remove(self.folder)
        except OSError:
            pass
        finally:
            os.close(owner)


def stages(prefix: str) -> list[str]:
    """Return the folders whose paths begin so, of living and ended processes. Raises StorageError (``unreadable``)."""
    home, begin = os.path.split(prefix)
    return [f"{home}/{name}" for name in presence.names(home) if name.startswith(begin)]


def recover(folder: str, finish: Callable[[str], bool]) -> bool:
    """Have ``finish`` execute the journal of a stage, if there is one, and remove the stage. ``finish`` may be
    repeated; if it returns False for something that has to wait, or raises, the stage stays.

    Returns whether the stage was recovered: False if it is gone, if its process lives, or if it is another user's,
    whose next command recovers it. Raises StorageError (``unreadable``) if that is unknown.
    """
    found = presence.lstat(folder)
    if found is None or not stat.S_ISDIR(found.st_mode):
        return False  # a link could lead anywhere
    try:
        # A stage without the file was killed before creating or while removing it; if its process is alive after all,
        # it notices that it lost its folder and makes another.
        owner = claim(f"{folder}/{OWNER}")
    except presence.ABSENT:
        return False
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EPERM) and _of_another_user(found):
            return False
        raise presence.unreadable(error, f"{folder}/{OWNER}") from error
    if owner is None:
        return False
    try:
        if not finish(folder):
            return False
        _remove(folder)
    finally:
        os.close(owner)
    return True


def _remove(folder: str) -> None:
    """Remove a stage with all it contains. Never raises OSError."""
    try:
        for name in os.listdir(folder):
            os.unlink(f"{folder}/{name}")
        os.rmdir(folder)
    except OSError:
        import shutil  # slow to import: it brings what packs archives

        shutil.rmtree(folder, ignore_errors=True)


def claim(path: str, *, make: bool = True, mode: int = 0o600) -> int | None:
    """Lock a regular file, creating it if need be; returns its descriptor, or None while another process holds it.
    Raises OSError, also for anything but a regular file."""

    def opened(path: str) -> int:
        fd = os.open(path, _OPEN | (os.O_CREAT if make else 0), mode)
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise OSError(errno.EINVAL, "not a regular file", path)
        return fd

    return file_lock.claim(path, opened)


def damaged(journal: str) -> StorageError:
    """Return the error for an invalid journal."""
    return StorageError("store-damaged", f"{journal} is not what was written there")


def _of_another_user(found: os.stat_result) -> bool:
    return hasattr(os, "geteuid") and found.st_uid != os.geteuid()
