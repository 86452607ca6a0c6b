"""Partial downloads: one file per content, so that another process can resume it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from regenstore.errors import StorageError
from regenstore.fs import durable, file_lock, sharing
from regenstore.objects.content_store import ContentStore
from regenstore.objects.ids import Digest

_WORTH = 1 << 18
"""Bytes from which an incomplete download is kept for another attempt."""
_ASKED = 1 << 20
"""Bytes from which free disk space is checked."""


@contextmanager
def part_of(store: ContentStore, digest: Digest) -> Iterator[tuple[str, int]]:
    """Open the file that a content is downloaded to; yields its path and descriptor.

    There is one file per content, so that another process can resume it; a private one is used while another process is
    downloading, and if the file belongs to another user.
    """
    path, shared = f"{store.root}/tmp/fetch-{digest.hex}", True
    flags = os.O_RDWR | getattr(os, "O_NOFOLLOW", 0)
    fd = -1
    with suppress(PermissionError):  # belongs to another user
        fd = sharing.create(path, flags)
    if fd < 0 or os.fstat(fd).st_uid != os.geteuid() or not file_lock.take(fd) or not _leads_to(path, fd):
        if fd >= 0:
            os.close(fd)
        path, shared = store.temp_path("fetch"), False
        fd = sharing.create(path, flags | os.O_EXCL)
    worth = shared
    try:
        yield path, fd
    except BaseException as error:
        told = durable.storage_error(error, path) if isinstance(error, OSError) else error
        # The space is needed for something else.
        worth = worth and not (isinstance(told, StorageError) and told.kind == "disk-full")
        raise
    finally:
        # Too little to be worth resuming; no other process can be resuming it while it is locked.
        if not (worth and os.fstat(fd).st_size >= _WORTH) and _leads_to(path, fd):
            durable.unlink(path)
        os.close(fd)


def require_room(fd: int, more: int, who: str) -> None:
    """Raise StorageError (``disk-full``) before the disk fills up with an incomplete download. The size of some
    contents is known only from the remote itself."""
    if more < _ASKED or not hasattr(os, "fstatvfs"):
        return
    found = os.fstatvfs(fd)
    room = found.f_bavail * found.f_frsize
    if more > room:
        raise StorageError("disk-full", f"{who} has {more} more bytes, but the store's disk has only {room} bytes free")


def _leads_to(path: str, fd: int) -> bool:
    """Whether a name still refers to an open file."""
    try:
        return os.path.samestat(os.lstat(path), os.fstat(fd))
    except OSError:
        return False
