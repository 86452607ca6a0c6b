"""Changing Git's index: its lock, and telling it of files that were placed.

The lock holds the name of the stage folder of whoever took it, so that one left by a killed process of
ours can be told from one of Git's, and only ours is ever removed. (Git writes the new index into the lock;
ours goes to a file beside, so that the mark stays readable.)
"""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import time

from regenstore.errors import FormatError
from regenstore.objects import durable
from regenstore.worktree.index_file import IndexFile, UnsupportedIndex
from regenstore.worktree.location import Location

Stats = dict[bytes, tuple[bytes, os.stat_result]]
"""Path -> the blob id that its entry must have, and what the file is now."""
_NO_LINKS = {errno.EPERM, errno.EXDEV, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK}


class IndexLock:
    """``index.lock``, as Git takes it: a file created exclusively. ``folder`` is the taker's stage folder."""

    def __init__(self, index: str, folder: str, wait: float) -> None:
        self.index = index
        self.path = index + ".lock"
        self._mark = os.path.basename(folder)
        self.beside = f"{index}.{self._mark}"
        self._folder = folder
        self._wait = wait
        self._held = False

    def take(self) -> bool:
        """True when the lock is held now; False when somebody else kept it for too long."""
        deadline = time.monotonic() + self._wait
        pause = 0.005
        while not self._try():
            if time.monotonic() >= deadline:
                return False
            time.sleep(pause)
            pause = min(pause * 2, 0.1)
        self._held = True
        return True

    def _try(self) -> bool:
        """Create the lock with its mark already in it: a kill leaves none that nobody could tell as ours."""
        marked = f"{self._folder}/lock"
        try:
            with open(marked, "wb") as file:
                file.write(os.fsencode(self._mark))
            os.link(marked, self.path)
        except FileExistsError:
            return False
        except OSError as error:
            return error.errno in _NO_LINKS and self._create()
        return True  # the marked file goes with its folder

    def _create(self) -> bool:
        try:
            fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        except OSError:
            return False
        try:
            os.write(fd, os.fsencode(self._mark))
        finally:
            os.close(fd)
        return True

    def clear(self) -> None:
        """Remove what a killed process with this stage folder left: its lock, if it is ours, and its index."""
        mark = os.fsencode(self._mark)
        try:
            with open(self.path, "rb") as file:
                ours = file.read(len(mark) + 1) == mark
        except OSError:
            ours = False
        if ours:
            durable.unlink(self.path)
        durable.unlink(self.beside)

    def release(self) -> None:
        if self._held:
            durable.unlink(self.beside)
            durable.unlink(self.path)
            self._held = False


class IndexPatch:
    """New stat fields for some entries, under a held lock.

    The room on the disk is taken when this is made, before anything is renamed: so a full disk cannot
    leave media that the index knows nothing of. Raises StorageError, and FormatError (``bad-index``).
    """

    def __init__(self, lock: IndexLock, oid_size: int) -> None:
        self._lock = lock
        self._index: IndexFile | None = None
        try:
            self._index = IndexFile.read(lock.index, oid_size)
        except UnsupportedIndex:
            return
        if not self._index.intact:
            raise FormatError("bad-index", "the index is damaged: its checksum is wrong")
        with durable.storage_errors(lock.beside), open(lock.beside, "wb") as file:
            file.write(self._index.data)

    def apply(self, stats: Stats) -> bool:
        """Write the stats of those entries that still have the given blob, and keep the index file's own
        time and mode. False for an index that only Git can change: see :func:`refresh_with_git`."""
        if not stats:
            return True
        if self._index is None:
            return False
        if self._index.set_stats(stats):
            found = os.stat(self._lock.index)
            with open(self._lock.beside, "r+b") as file:
                file.write(self._index.to_bytes())
            os.chmod(self._lock.beside, stat.S_IMODE(found.st_mode))
            os.utime(self._lock.beside, ns=(found.st_mtime_ns, found.st_mtime_ns))
            os.replace(self._lock.beside, self._lock.index)
        return True


def staged_entries(location: Location) -> list[tuple[bytes, bytes, int]]:
    """(path, blob id, stage) of all entries as Git tells them: for split and sparse indexes, which Git
    alone puts together."""
    listing = subprocess.run(
        [*_git(location), "ls-files", "-s", "-z"], cwd=location.top, capture_output=True, check=False
    ).stdout
    found = []
    for line in listing.split(b"\0"):
        head, _, path = line.partition(b"\t")
        fields = head.split(b" ")
        if len(fields) == 3:
            found.append((path, bytes.fromhex(fields[1].decode("ascii")), int(fields[2])))
    return found


def refresh_with_git(location: Location, stats: Stats) -> None:
    """Let Git refresh the entries that still have the given blob; it reads the files and asks the clean
    filter: right, but slow. Entries of another blob, and those in conflict, would be changed by it: they
    are left alone."""
    paths = [
        path for path, oid, stage in staged_entries(location) if stage == 0 and path in stats and stats[path][0] == oid
    ]
    if not paths:
        return
    subprocess.run(
        [*_git(location), "update-index", "-q", "-z", "--stdin"],
        input=b"".join(path + b"\0" for path in paths),
        cwd=location.top,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
    )


def _git(location: Location) -> list[str]:
    return ["git", "--git-dir", location.git_dir, "--work-tree", os.fsdecode(location.top)]
