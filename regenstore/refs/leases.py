"""Leases: named locks held by a running process through flock, and released by its death.

One lease per recipe key makes generation single-flight across processes: the next process waits, then finds the
result.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from regenstore.errors import StorageError
from regenstore.fs import durable, file_lock, presence, sharing

_PAUSE = 0.05


def _open(path: str) -> int:
    try:
        return sharing.create(path, os.O_RDWR)
    except PermissionError as error:
        try:
            return presence.open_file(path)  # another user's file: locking it needs no write permission
        except FileNotFoundError:
            raise error from None
        except presence.NotRegular as other:
            raise StorageError("unreadable", str(other)) from None


@contextmanager
def lease(folder: str, name: str, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold the lease of that name. While another process holds it, ``waiting`` is called about 20 times a second; it
    may raise to give up. Raises StorageError if the file cannot be created."""
    path = f"{folder}/{name}"
    with durable.storage_errors(path):
        while (fd := file_lock.claim(path, _open)) is None:
            waiting()
            time.sleep(_PAUSE)
    try:
        yield
    finally:
        try:
            os.unlink(path)
        except OSError:
            pass  # closing releases it anyway, and fsck removes the file
        os.close(fd)
