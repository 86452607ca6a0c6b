"""Packed differences between the encoder choices of two deflate streams that hold the same amount of data."""

from __future__ import annotations

import numpy as np

from regenstore.media.correction.deflate import MOST_MATCHES, Block, Choices
from regenstore.media.correction.packing import from_gaps, from_varints, gaps, joined, packed, split, unpacked, varints


def difference(base: Choices, other: Choices) -> bytes:
    """Encode the step from ``base`` to ``other``: matches removed, matches added, and the blocks."""
    gone = np.nonzero(~np.isin(base.matches, other.matches, assume_unique=True))[0]
    come = other.matches[~np.isin(other.matches, base.matches, assume_unique=True)]
    return joined(
        [
            packed(gaps(gone)),
            packed(gaps(come >> 23)),
            packed(varints((come >> 15) & 0xFF)),
            packed(varints(come & 0x7FFF)),
            packed(_written(other.blocks), _written(base.blocks)),
        ]
    )


def with_difference(base: Choices, data: bytes, size: int) -> Choices:
    """Apply a :func:`difference` to ``base``, for ``size`` bytes of data. Raises ValueError for damaged data."""
    limit = 5 * min(size, MOST_MATCHES) + 16
    sections = split(data, 5)
    gone = from_gaps(unpacked(sections[0], limit), base.matches.size)
    place = from_gaps(unpacked(sections[1], limit), size)
    length, distance = (from_varints(unpacked(section, limit)) for section in sections[2:4])
    if not place.size == length.size == distance.size or np.any(length > 0xFF) or np.any(distance > 0x7FFF):
        raise ValueError("the matches are damaged")
    come = place << 23 | length << 15 | distance
    matches = np.sort(np.concatenate((np.delete(base.matches, gone), come)))
    return Choices(matches, _read(unpacked(sections[4], size + (1 << 20), _written(base.blocks))))


def _written(blocks: tuple[Block, ...]) -> bytes:
    return b"".join(
        block.symbols.to_bytes(4, "little") + len(block.header).to_bytes(2, "little") + block.header for block in blocks
    )


def _read(data: bytes) -> tuple[Block, ...]:
    blocks, at = [], 0
    while at < len(data):
        size = int.from_bytes(data[at + 4 : at + 6], "little")
        header = data[at + 6 : at + 6 + size]
        if not header or len(header) != size:
            raise ValueError("the blocks are damaged")
        blocks.append(Block(header, int.from_bytes(data[at : at + 4], "little")))
        at += 6 + size
    return tuple(blocks)
