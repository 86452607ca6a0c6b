"""The file that a content is brought into: one per content, so that another process goes on with it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from regenstore.errors import StorageError
from regenstore.fs import durable, file_lock, sharing
from regenstore.objects.content_store import ContentStore
from regenstore.objects.ids import Digest

_WORTH = 1 << 18
"""Bytes from which on what was brought is kept, when the rest does not come, for another attempt."""
_ASKED = 1 << 20
"""Bytes from which on it is looked whether there is room."""


@contextmanager
def part_of(store: ContentStore, digest: Digest) -> Iterator[tuple[str, int]]:
    """The file that a content is brought into, one per content, so that another process goes on with it; of
    our own while another process is at it, and where it is another user's."""
    path, shared = f"{store.root}/tmp/fetch-{digest.hex}", True
    flags = os.O_RDWR | getattr(os, "O_NOFOLLOW", 0)
    fd = -1
    with suppress(PermissionError):  # another user's
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
        # Who has no room needs it for something else.
        worth = worth and not (isinstance(told, StorageError) and told.kind == "disk-full")
        raise
    finally:
        # What is not worth going on with goes; while it is locked, nobody else does go on.
        if not (worth and os.fstat(fd).st_size >= _WORTH) and _leads_to(path, fd):
            durable.unlink(path)
        os.close(fd)


def require_room(fd: int, more: int, who: str) -> None:
    """Raise StorageError (``disk-full``) before the disk is filled with what cannot be finished: of some contents
    only the remote itself says how large they are."""
    if more < _ASKED or not hasattr(os, "fstatvfs"):
        return
    found = os.fstatvfs(fd)
    room = found.f_bavail * found.f_frsize
    if more > room:
        raise StorageError("disk-full", f"{who} has {more} bytes more, and the store's disk has room for {room}")


def _leads_to(path: str, fd: int) -> bool:
    """Whether a name is still that of an open file."""
    try:
        return os.path.samestat(os.lstat(path), os.fstat(fd))
    except OSError:
        return False
