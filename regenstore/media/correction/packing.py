"""Compact encodings of differences between byte strings: sparse ones of equal length, and patches of any length.

Everything is integers and zstd (RFC 8878), whose decoders must all agree, so that unpacking gives the same bytes on
every machine and with every version. Unpacked sizes are bounded: hostile data gives a ValueError instead of exhausting
memory.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import zstandard
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
_SMALL, _MIDDLE = 8 << 20, 64 << 20


def as_array(data: bytes | bytearray) -> Bytes:
    """View bytes as an array, without copying."""
    return np.frombuffer(data, np.uint8)


# ------------------------------------------------------------------------------------------- sections


def joined(sections: Iterable[bytes]) -> bytes:
    """Concatenate byte strings, each preceded by its length (32 bits, little-endian)."""
    return b"".join(len(section).to_bytes(4, "little") + section for section in sections)


def split(data: bytes, count: int) -> list[bytes]:
    """Split ``count`` sections that :func:`joined` wrote. Raises ValueError for anything else."""
    found, at = [], 0
    for _ in range(count):
        size = int.from_bytes(data[at : at + 4], "little")
        if at + 4 + size > len(data):
            raise ValueError("a section reaches past the end of the data")
        found.append(data[at + 4 : at + 4 + size])
        at += 4 + size
    if at != len(data):
        raise ValueError("there is data after the last section")
    return found


# ------------------------------------------------------------------------------------------- zstd


def packed(data: bytes, base: bytes = b"") -> bytes:
    """Compress ``data`` with ``base`` as the dictionary; empty when the two are equal."""
    if data == base:
        return b""
    whole = len(data) + len(base)
    level = 19 if whole <= _SMALL else 9 if whole <= _MIDDLE else 3
    parameters = zstandard.ZstdCompressionParameters.from_level(
        level,
        window_log=min(max(whole.bit_length(), 10), 30),
        enable_ldm=whole > _SMALL,
        write_content_size=True,
        write_checksum=False,
    )
    dictionary = _dictionary(base)
    return zstandard.ZstdCompressor(compression_params=parameters, dict_data=dictionary).compress(data)


def unpacked(data: bytes, limit: int, base: bytes = b"") -> bytes:
    """Reverse :func:`packed`. Raises ValueError for damaged data and for more than ``limit`` bytes."""
    if not data:
        return base
    try:
        size = zstandard.get_frame_parameters(data).content_size
        if size > limit:
            raise ValueError(f"it unpacks to {size} bytes, more than the limit of {limit}")
        decompressor = zstandard.ZstdDecompressor(dict_data=_dictionary(base), max_window_size=1 << 30)
        return decompressor.decompress(data, max_output_size=limit)
    except zstandard.ZstdError as error:
        raise ValueError(f"it cannot be unpacked ({error})") from None


def _dictionary(base: bytes) -> Any:
    if len(base) < 8:  # zstd accepts no shorter dictionary
        return None
    return zstandard.ZstdCompressionDict(base, dict_type=zstandard.DICT_TYPE_RAWCONTENT)


# ------------------------------------------------------------------------------------------- numbers


def varints(values: NDArray[np.int64]) -> bytes:
    """Encode non-negative numbers as LEB128: seven bits per byte, lowest first, the top bit set in all but the last."""
    if not values.size:
        return b""
    width = max(1, -(-int(values.max()).bit_length() // 7))
    parts = np.empty((values.size, width), np.uint8)
    kept = np.empty((values.size, width), bool)
    for place in range(width):
        rest = values >> (7 * place)
        parts[:, place] = (rest & 0x7F) | ((rest > 0x7F) << 7)
        kept[:, place] = rest > 0
    kept[:, 0] = True
    return parts[kept].tobytes()


def from_varints(data: bytes) -> NDArray[np.int64]:
    """Decode :func:`varints`. Raises ValueError for an unfinished or overlong number."""
    coded = as_array(data)
    if not coded.size:
        return np.zeros(0, np.int64)
    last = coded < 0x80
    if not last[-1]:
        raise ValueError("the last number is cut off")
    ends = np.nonzero(last)[0]
    starts = np.concatenate((np.zeros(1, np.int64), ends[:-1] + 1))
    if int((ends - starts).max()) > 8:
        raise ValueError("a number is too long")
    values = np.zeros(ends.size, np.int64)
    for place in range(int((ends - starts).max()) + 1):
        at = starts + place
        inside = at <= ends
        values[inside] |= (coded[at[inside]].astype(np.int64) & 0x7F) << (7 * place)
    return values


def gaps(places: NDArray[np.int64]) -> bytes:
    """Encode ascending positions as varints of the gaps between them."""
    return varints(np.diff(places, prepend=-1) - 1)


def from_gaps(data: bytes, end: int) -> NDArray[np.int64]:
    """Decode :func:`gaps`. Raises ValueError for a position at or after ``end``."""
    steps = from_varints(data)
    if steps.size > end or (steps.size and int(steps.max()) >= end):
        raise ValueError("a position lies past the end")
    places = np.cumsum(steps + 1) - 1
    if places.size and int(places[-1]) >= end:
        raise ValueError("a position lies past the end")
    return places


# ------------------------------------------------------------------------------------------- sparse


def sparse(base: Bytes, other: Bytes, limit: int) -> bytes | None:
    """Encode where two arrays of equal size differ, and by how much, modulo 256. Empty when they are equal; None
    when the encoding would take ``limit`` bytes or more."""
    changed = np.nonzero(base != other)[0]
    if not changed.size:
        return b""
    if changed.size > 8 * limit:  # not even one bit per change
        return None
    by = (other[changed] - base[changed]).tobytes()
    found = joined([packed(gaps(changed)), packed(by)])
    return found if len(found) < limit else None


def with_sparse(base: Bytes, data: bytes) -> Bytes:
    """Apply a :func:`sparse` difference to ``base``."""
    changed = base.copy()
    if data:
        where, by = split(data, 2)
        places = from_gaps(unpacked(where, 5 * base.size + 16), base.size)
        steps = as_array(unpacked(by, base.size))
        if places.size != steps.size:
            raise ValueError("the numbers of positions and of differences differ")
        changed[places] += steps
    return changed
