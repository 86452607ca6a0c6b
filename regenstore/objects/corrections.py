"""The store of corrections: small files that turn what a recipe gives here into its take, byte for byte.

A file is self-contained: it names its take, its base and its method, and ends with a checksum over all of it. It is
durable when ``put`` returns and never changes; gc never touches it. A damaged or truncated file is skipped, and the
take then does not count as covered by it.

Layout below the store's root: ``corrections/ab/<62 hex of the take>-<16 hex of the base>``.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from regenstore.fs import durable, presence
from regenstore.objects.hashing import hash_bytes
from regenstore.objects.ids import Digest, RecipeKey

FOLDER = "corrections"
MAGIC = b"regencor"
VERSION = 1
LARGEST = 64 << 20
"""The maximum size of a correction's file, in bytes."""
_FIXED = struct.Struct("<8sB32s32sQ32sQ")
_CHECK = 32


@dataclass(frozen=True)
class Correction:
    """How to get ``take`` from ``base``."""

    key: RecipeKey
    """The recipe that gives the base here, and once gave the take."""
    take: Digest
    take_size: int
    base: Digest
    base_size: int
    method: str
    """The name of the method that encoded the difference in ``data``."""
    needs: str
    """The encoder and version that applying it needs; empty if none."""
    data: bytes


class Corrections:
    """The corrections below a store's root. Cheap to construct: touches nothing before the first use."""

    def __init__(self, root: str) -> None:
        self.root = root

    def path(self, take: Digest, base: Digest) -> str:
        """Return the path of the correction for a take and a base, whether it exists or not."""
        return f"{self.root}/{FOLDER}/{take.hex[:2]}/{take.hex[2:]}-{base.hex[:16]}"

    def put(self, correction: Correction) -> None:
        """Store a correction durably, replacing any for the same take and base."""
        path = self.path(correction.take, correction.base)
        with durable.storage_errors(path):
            durable.make_folder(os.path.dirname(path))
        durable.make_folder(f"{self.root}/tmp")
        temp = f"{self.root}/tmp/correction-{os.getpid()}-{os.urandom(6).hex()}"
        durable.write_file(path, encode(correction), temp=temp)

    def find(self, take: Digest, base: Digest) -> Correction | None:
        """Return the correction for a take and a base; None if missing or damaged."""
        found = _read(self.path(take, base))
        return found if found is not None and (found.take, found.base) == (take, base) else None

    def of(self, take: Digest) -> Iterator[Correction]:
        """Yield every intact correction that gives a take, from any base."""
        folder = f"{self.root}/{FOLDER}/{take.hex[:2]}"
        for name in sorted(presence.names(folder)):
            if name.startswith(f"{take.hex[2:]}-"):
                found = _read(f"{folder}/{name}")
                if found is not None and found.take == take and self.path(take, found.base) == f"{folder}/{name}":
                    yield found

    def paths(self) -> Iterator[str]:
        """Yield every file in the folder, intact or not, for checking."""
        top = f"{self.root}/{FOLDER}"
        for shard in sorted(presence.names(top)):
            for name in sorted(presence.names(f"{top}/{shard}")):
                yield f"{top}/{shard}/{name}"


def encode(correction: Correction) -> bytes:
    """Encode a correction as the bytes of its file."""
    method, needs = correction.method.encode("ascii"), correction.needs.encode("ascii")
    body = b"".join(
        (
            _FIXED.pack(
                MAGIC,
                VERSION,
                correction.key.raw,
                correction.take.raw,
                correction.take_size,
                correction.base.raw,
                correction.base_size,
            ),
            bytes([len(method)]),
            method,
            bytes([len(needs)]),
            needs,
            correction.data,
        )
    )
    return body + hash_bytes(body).raw


def is_whole(file: bytes) -> bool:
    """Return whether a file's checksum matches, whatever its version."""
    return len(file) > _CHECK and hash_bytes(file[:-_CHECK]).raw == file[-_CHECK:]


def decode(file: bytes) -> Correction | None:
    """Decode a correction's file; None if it is damaged or of a newer version."""
    body = file[:-_CHECK]
    if len(body) < _FIXED.size + 2 or not is_whole(file):
        return None
    magic, version, key, take, take_size, base, base_size = _FIXED.unpack_from(body)
    if magic != MAGIC or version != VERSION:
        return None
    try:
        method, rest = _short(body[_FIXED.size :])
        needs, data = _short(rest)
    except ValueError:
        return None
    return Correction(RecipeKey(key), Digest(take), take_size, Digest(base), base_size, method, needs, data)


def _short(data: bytes) -> tuple[str, bytes]:
    """Split off a length-prefixed text; returns it and the rest."""
    end = 1 + (data[0] if data else 0)
    if not data or end > len(data):
        raise ValueError("a text ends behind the data")
    return data[1:end].decode("ascii"), data[end:]


def _read(path: str) -> Correction | None:
    data = presence.read(path, LARGEST + 1)
    return None if data is None or len(data) > LARGEST else decode(data)
