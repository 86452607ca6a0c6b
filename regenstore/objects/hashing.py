"""BLAKE3 of files. Streams with one buffer: a foreign file may be truncated while it is read, and a
memory map of it would then kill the process."""

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
    """The digest of bytes in memory."""
    return Digest(blake3(data).digest())


def hash_blocks(blocks: Iterable[bytes]) -> tuple[Digest, int]:
    """Digest and size of bytes that come in blocks."""
    hasher = blake3()
    size = 0
    for block in blocks:
        hasher.update(block)
        size += len(block)
    return Digest(hasher.digest()), size


def hash_fd(fd: int) -> tuple[Digest, int]:
    """Digest and size of what an open file holds from its present position to its end."""
    hasher = blake3()
    buffer = bytearray(CHUNK)
    view = memoryview(buffer)
    size = 0
    while count := os.readv(fd, [buffer]):
        hasher.update(view[:count])
        size += count
    return Digest(hasher.digest()), size


def hash_file(path: str | bytes) -> tuple[Digest, int]:
    """Digest and size of a regular file; raises OSError, also for anything else."""
    try:
        fd = presence.open_file(path)
    except presence.NotRegular as error:
        raise OSError(errno.EINVAL, str(error), os.fsdecode(path)) from error
    try:
        return hash_fd(fd)
    finally:
        os.close(fd)


def hash_own_file(path: str) -> tuple[Digest, int]:
    """Digest and size of a finished file in the store's own folders, which nobody truncates: large ones
    are mapped and hashed on all cores."""
    size = os.path.getsize(path)
    if size <= _SMALL:
        return hash_file(path)
    hasher = blake3(max_threads=blake3.AUTO)
    hasher.update_mmap(path)
    return Digest(hasher.digest()), size
