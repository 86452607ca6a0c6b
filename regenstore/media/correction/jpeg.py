"""JPEG differences: a patch of the entropy-coded data that tolerates bit shifts.

When one block of a JPEG is coded with a different number of bits, everything after it is the same but shifted by some
bits, so that no bytes agree. The patch is therefore taken against the base's coded data in all eight bit positions.
"""

from __future__ import annotations

import re

import numpy as np

from regenstore.media.correction.packing import as_array, joined, packed, split, unpacked

MAGIC = b"\xff\xd8\xff"
LARGEST = 32 << 20
_END_OF_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_SCAN = 0xDA
_BARE = {0x01, *range(0xD0, 0xD9)}


def taken_apart(data: bytes) -> tuple[bytes, bytes]:
    """Split a JPEG into everything but its scans, and the scans with byte stuffing removed.

    The first part begins with the number of scans (16 bits) and their lengths (32 bits each). Raises ValueError for
    other files and for JPEGs that cannot be put together again exactly.
    """
    if not data.startswith(MAGIC) or len(data) > LARGEST:
        raise ValueError("it is not a JPEG, or too large")
    around, scans, kept, at = [], [], 0, 2
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != 0xD9:
        if data[at + 1] in _BARE or data[at + 1] == 0xFF:
            at += 1 if data[at + 1] == 0xFF else 2
            continue
        start = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if data[at + 1] != _SCAN:
            at = start
            continue
        end = _END_OF_SCAN.search(data, start)
        at = len(data) if end is None else end.start()
        around.append(data[kept:start])
        scans.append(data[start:at].replace(b"\xff\0", b"\xff"))
        kept = at
    sizes = b"".join(len(part).to_bytes(4, "little") for pair in zip(around, scans) for part in pair)
    parts = len(scans).to_bytes(2, "little") + sizes + b"".join(around) + data[kept:], b"".join(scans)
    if put_together(*parts) != data:
        raise ValueError("it has restart markers, or is coded in an unsupported way")
    return parts


def put_together(around: bytes, scans: bytes) -> bytes:
    """Join the parts that :func:`taken_apart` returns."""
    count = int.from_bytes(around[:2], "little")
    sizes = [int.from_bytes(around[2 + 4 * n : 6 + 4 * n], "little") for n in range(2 * count)]
    out, at, scanned = [], 2 + 8 * count, 0
    for before, size in zip(sizes[::2], sizes[1::2]):
        out += [around[at : at + before], scans[scanned : scanned + size].replace(b"\xff", b"\xff\0")]
        at, scanned = at + before, scanned + size
    return b"".join([*out, around[at:]])


def shifted(data: bytes) -> bytes:
    """The data in all eight bit positions; the unshifted copy comes last."""
    bits = np.append(as_array(data), np.uint8(0)).astype(np.uint16)
    pairs = (bits[:-1] << 8) | bits[1:]
    return b"".join([*((pairs >> by).astype(np.uint8).tobytes() for by in range(1, 8)), data])


def difference(base: bytes, take: bytes) -> bytes:
    """The difference between two JPEGs. Raises ValueError if either cannot be split."""
    (ours, coded), (theirs, other) = taken_apart(base), taken_apart(take)
    return joined([packed(theirs, ours), packed(other, shifted(coded)) if other != coded else b""])


def with_difference(base: bytes, data: bytes, limit: int) -> bytes:
    """Apply a :func:`difference` to ``base``; ``limit`` is the size of the take."""
    around, scans = split(data, 2)
    ours, coded = taken_apart(base)
    other = unpacked(scans, limit, shifted(coded)) if scans else coded
    return put_together(unpacked(around, 2 * limit, ours), other)
