"""A cache of facts computed from contents; contents never change, so facts never expire.

Facts are expendable: one that is missing, damaged or of an older version is computed again. So files are renamed into
place without an fsync, each carries a checksum over its subject and payload, and a read-only store simply caches
nothing.

Layout below the store's root: ``facts/<kind>-<version>/ab/<62 hex of the digest>``; each file is the 32 bytes of BLAKE3
over header and payload, then the payload, deflated.
"""

from __future__ import annotations

import os
import zlib

from regenstore.errors import StorageError
from regenstore.fs import durable, sharing
from regenstore.objects.hashing import hash_bytes
from regenstore.objects.ids import Digest

FOLDER = "facts"
LARGEST = 256 << 20
"""The maximum size of a fact before compression, in bytes: a damaged file must not exhaust memory."""
_CHECK = 32


class ContentFacts:
    """The facts below a store's root. Cheap to construct: touches nothing before the first use."""

    def __init__(self, root: str) -> None:
        self.root = root

    def path(self, digest: Digest, kind: str, version: int) -> str:
        """Return the path of a fact, whether it exists or not. Raises ValueError unless ``kind`` is an identifier."""
        if not kind.isidentifier() or version < 1:
            raise ValueError(f"no kind of fact: {kind!r}, version {version}")
        return f"{self.root}/{FOLDER}/{kind}-{version}/{digest.hex[:2]}/{digest.hex[2:]}"

    def get(self, digest: Digest, kind: str, version: int) -> bytes | None:
        """Return the payload put under exactly these three; None if missing or damaged."""
        try:
            with open(self.path(digest, kind, version), "rb") as file:
                data = file.read(LARGEST + _CHECK)
            reader = zlib.decompressobj()
            payload = reader.decompress(data[_CHECK:], LARGEST)
        except (OSError, zlib.error):
            return None
        if not reader.eof or _check(digest, kind, version, payload) != data[:_CHECK]:
            return None
        return payload

    def put(self, digest: Digest, kind: str, version: int, payload: bytes) -> bool:
        """Store a fact, replacing an older one; False if the store is read-only."""
        path = self.path(digest, kind, version)
        temp = f"{self.root}/tmp/fact-{os.getpid()}-{os.urandom(6).hex()}"
        try:
            sharing.make_folders(os.path.dirname(path))
            sharing.make_folders(os.path.dirname(temp))
            told = _check(digest, kind, version, payload) + zlib.compress(payload, 6)
            durable.write_file(path, told, temp=temp, wait=False)
        except (OSError, StorageError):
            return False
        return True


def _check(digest: Digest, kind: str, version: int, payload: bytes) -> bytes:
    return hash_bytes(digest.raw + f"{kind}-{version}\0".encode() + payload).raw
