"""Differences between files that contain zlib streams, such as EXR and TIFF with deflate: in the data of the
streams, in how they were encoded, and in the bytes around them."""

from __future__ import annotations

import re
import time
import zlib
from dataclasses import dataclass

import numpy as np

from regenstore.media.correction import choices, deflate
from regenstore.media.correction.packing import (
    as_array,
    from_gaps,
    gaps,
    joined,
    packed,
    sparse,
    split,
    unpacked,
    with_sparse,
)

LARGEST = 64 << 20
"""Largest total of decompressed data, in bytes."""
_HEAD = re.compile(rb"[\x18-\x78]([\x01\x5e\x9c\xda])")
_LEAST = 64
_FED = 1 << 16
_MOST = 1 << 16


@dataclass(frozen=True)
class StreamParts:
    """A parsed file. ``around`` is the file without its streams, which were at ``places`` in it, each after its
    two-byte header (kept in ``around``)."""

    around: bytes
    places: tuple[int, ...]
    streams: tuple[bytes, ...]
    sizes: tuple[int, ...]
    data: bytes


def taken_apart(file: bytes, deadline: float) -> StreamParts:
    """Split a file into its zlib streams and the bytes around them.

    A stream is whatever inflates and ends with a matching checksum, so that a false positive has odds of 1 : 2**32.
    Raises ValueError if there is none, and when ``deadline`` (monotonic seconds) passes.
    """
    around: list[bytes] = []
    places: list[int] = []
    streams: list[bytes] = []
    contents: list[bytes] = []
    at = kept = total = 0
    while (found := _HEAD.search(file, at)) is not None and len(streams) < _MOST:
        at = found.start() + 1
        if int.from_bytes(file[at - 1 : at + 1], "big") % 31 or file[at - 1] & 15 != 8:
            continue
        if time.monotonic() > deadline:
            raise ValueError("searching for streams takes too long")
        stream = _inflated(file, at - 1, LARGEST - total)
        if stream is None:
            continue
        content, end = stream
        around.append(file[kept : at + 1])
        places.append(len(around[-1]) + (places[-1] if places else 0))
        streams.append(file[at + 1 : end - 4])
        contents.append(content)
        total += len(content)
        at = kept = end
    if not streams:
        raise ValueError("it has no zlib streams")
    around.append(file[kept:])
    return StreamParts(b"".join(around), tuple(places), tuple(streams), tuple(map(len, contents)), b"".join(contents))


def _inflated(file: bytes, at: int, room: int) -> tuple[bytes, int] | None:
    """Inflate the stream at a position; returns its data and its end. None if there is no stream, only a short one,
    or one that holds more than ``room`` bytes."""
    reader, begun, parts = zlib.decompressobj(), at, []
    while not reader.eof:
        fed = reader.unconsumed_tail or file[at : at + _FED]
        at += 0 if reader.unconsumed_tail else len(fed)
        try:
            parts.append(reader.decompress(fed, room + 1))
        except zlib.error:
            return None
        room -= len(parts[-1])
        if room < 0 or not fed:
            return None
    end = at - len(reader.unused_data)
    return (b"".join(parts), end) if end - begun >= _LEAST else None


def by_choices(base: StreamParts, take: StreamParts, limit: int, deadline: float) -> bytes | None:
    """The difference, or None if it is too large or the amounts of data differ."""
    if base.sizes != take.sizes:
        return None
    ours, theirs = as_array(base.data), as_array(take.data)
    content = sparse(ours, theirs, limit)
    if content is None:
        return None
    before = deflate.taken_apart(base.streams, base.sizes, deadline)
    after = deflate.checked(take.streams, take.sizes, theirs, deadline)
    places = packed(gaps(np.array(take.places, np.int64)), gaps(np.array(base.places, np.int64)))
    return joined([packed(take.around, base.around), places, content, choices.difference(before, after)])


def with_choices(base: StreamParts, data: bytes, limit: int, deadline: float) -> bytes:
    """Apply a difference of :func:`by_choices`; ``limit`` is the size of the take."""
    around, placed, content, chosen = split(data, 4)
    whole = with_sparse(as_array(base.data), content)
    before = deflate.taken_apart(base.streams, base.sizes, deadline)
    streams = deflate.put_together(choices.with_difference(before, chosen, whole.size), whole)
    kept = unpacked(around, limit, base.around)
    places = from_gaps(unpacked(placed, limit, gaps(np.array(base.places, np.int64))), len(kept) + 1).tolist()
    if not len(places) == len(streams) == len(base.sizes):
        raise ValueError("the numbers of streams and of positions differ")
    parts, at, begun = [], 0, 0
    for place, stream, size in zip(places, streams, base.sizes):
        check = zlib.adler32(whole[begun : begun + size].tobytes())
        parts += [kept[at:place], stream, check.to_bytes(4, "big")]
        at, begun = place, begun + size
    return b"".join([*parts, kept[at:]])
