"""BLAKE3 of files. Streams through one buffer: a file of the user's may be truncated while it is read, which
would kill a process that had mapped it."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable

from blake3 import blake3

from regenstore.fs import presence
from regenstore.objects.ids import Digest

CHUNK = 1 << 20
_SMALL = 2 << 20


def hash_bytes(data: bytes | memoryview) -> Digest:
    """Return the digest of bytes in memory."""
    return Digest(blake3(data).digest())


def hash_blocks(blocks: Iterable[bytes]) -> tuple[Digest, int]:
    """Return the digest and size of bytes that arrive in blocks."""
    hasher = blake3()
    size = 0
    for block in blocks:
        hasher.update(block)
        size += len(block)
    return Digest(hasher.digest()), size


def hash_fd(fd: int) -> tuple[Digest, int]:
    """Return the digest and size of an open file, from its current position to the end."""
    hasher = blake3()
    buffer = bytearray(CHUNK)
    view = memoryview(buffer)
    size = 0
    while count := os.readv(fd, [buffer]):
        hasher.update(view[:count])
        size += count
    return Digest(hasher.digest()), size


def hash_file(path: str | bytes) -> tuple[Digest, int]:
    """Return the digest and size of a regular file. Raises OSError, also for anything else."""
    try:
        fd = presence.open_file(path)
    except presence.NotRegular as error:
        raise OSError(errno.EINVAL, str(error), os.fsdecode(path)) from error
    try:
        return hash_fd(fd)
    finally:
        os.close(fd)


def hash_own_file(path: str) -> tuple[Digest, int]:
    """Return the digest and size of a finished file in the store's own folders, which no program truncates: large ones
    are mapped and hashed on all cores."""
    size = os.path.getsize(path)
    if size <= _SMALL:
        return hash_file(path)
    hasher = blake3(max_threads=blake3.AUTO)
    hasher.update_mmap(path)
    return Digest(hasher.digest()), size
