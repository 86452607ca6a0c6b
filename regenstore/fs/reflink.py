"""Copying a file's bytes into an open file: by reflink if the file system supports it, else by copying.

Never a hard link: an in-place edit would change the store, and Git would see every other worktree's file as modified.
"""

from __future__ import annotations

import errno
import os

from regenstore.fs.writing import write_all

_FICLONE = 0x40049409  # linux/fs.h
_NEXT_TIER = {
    errno.EOPNOTSUPP,
    errno.ENOTSUP,
    errno.EXDEV,
    errno.EINVAL,
    errno.ENOTTY,
    errno.ENOSYS,
    errno.EPERM,
    errno.EBADF,
}
_CHUNK = 1 << 30


class Linker:
    """Remembers which method works, so that each is tried once per instance rather than once per file."""

    def __init__(self, *, reflink: bool = True) -> None:
        self._reflink = reflink
        self._copy_range = hasattr(os, "copy_file_range")

    @property
    def reflinks(self) -> bool:
        """Whether :meth:`clone` may work: False once it has failed."""
        return self._reflink

    def clone(self, source: int, target: int) -> bool:
        """Make an empty open file share the source's blocks; False if that is not supported."""
        if not self._reflink:
            return False
        try:
            import fcntl

            fcntl.ioctl(target, _FICLONE, source)
        except ImportError:
            self._reflink = False
        except OSError as error:
            if error.errno not in _NEXT_TIER:
                raise
            self._reflink = False
        return self._reflink

    def fill(self, source: int, target: int) -> None:
        """Copy all bytes of the source into an empty open file. Raises OSError (a full disk, for instance)."""
        if not self.clone(source, target):
            self._copy(source, target)

    def fill_over(self, source: int, target: int, before: int, size: int) -> None:
        """Replace the ``before`` bytes of an open file by all ``size`` bytes of the source. Interrupted at any point,
        the file begins like the source and may continue as it was before. Raises OSError (a full disk, say)."""
        if self._reflink:
            os.ftruncate(target, 0)  # otherwise the system would first write back what is about to be replaced
            if self.clone(source, target):
                return
            before = 0
        if (done := self._copy(source, target, size)) < before:
            os.ftruncate(target, done)

    def _copy(self, source: int, target: int, size: int = -1) -> int:
        """Copy the bytes; returns how many. With ``size``, the end of the source is not searched for."""
        done = 0
        while self._copy_range and done != size:
            try:
                count = os.copy_file_range(source, target, _CHUNK, done, done)
            except OSError as error:
                if error.errno not in _NEXT_TIER:
                    raise
                self._copy_range = False
                break
            if count == 0:
                return done
            done += count
        if done == size:
            return done
        os.lseek(source, done, os.SEEK_SET)
        os.lseek(target, done, os.SEEK_SET)
        while chunk := os.read(source, 1 << 20):
            done += len(chunk)
            write_all(target, chunk)
        return done
