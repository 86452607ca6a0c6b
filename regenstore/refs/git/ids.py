"""Computes Git's object ids: gitformat-loose(5)."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    import hashlib


def blob_id(data: bytes, oid_size: int) -> bytes:
    """Return the object id of a blob."""
    return _hash(oid_size, b"blob %d\0" % len(data) + data).digest()


def file_blob_id(path: str, oid_size: int) -> bytes:
    """Return the object id that a file's bytes would have as a blob."""
    with open(path, "rb", buffering=0) as file:
        hasher = _hash(oid_size, b"blob %d\0" % os.fstat(file.fileno()).st_size)
        while chunk := file.read(1 << 20):
            hasher.update(chunk)
    return hasher.digest()


def _hash(oid_size: int, data: bytes) -> hashlib._Hash:
    import hashlib  # slow to import: it brings OpenSSL

    return hashlib.new("sha1" if oid_size == 20 else "sha256", data, usedforsecurity=False)
