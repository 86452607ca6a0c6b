"""Deflate streams (RFC 1951) parsed into what their data does not determine, and rebuilt from it bit for bit.

What the data leaves open are the encoder's choices: the matches, where blocks end, and the code tables. Several streams
are treated as one whose data is concatenated.

Two streams that one encoder wrote for nearly the same data differ in few of these choices. Rebuilding a stream from
them needs no encoder, so this works with any version of zlib, and for streams of zlib-ng, libdeflate or any other
encoder.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regenstore.media.correction.packing import Bytes

LARGEST = 32 << 20
"""Largest total of stream bytes; parsing takes about a second per million symbols."""
MOST_MATCHES = 8 << 20
_AT_ONCE = 1 << 20
_STORED, _FIXED, _DYNAMIC = 0, 1, 2
_ORDER = (16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15)
_LENGTH = [(3 + n, 0) for n in range(8)] + [(3 + (4 + n % 4 << n // 4), n // 4) for n in range(4, 24)]
_LENGTHS = [*_LENGTH, (258, 0)]
_DISTANCES = [(1 + n, 0) for n in range(4)] + [(1 + (2 + n % 2 << n // 2), n // 2) for n in range(2, 28)]
_OTHER = 1 << 20
_REPEATS = {16: 2, 17: 3, 18: 7}
"""Extra bits of the symbols that repeat code lengths."""
U64 = NDArray[np.uint64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Block:
    """One block. ``header`` is one byte for type and finality, then the code tables as written in the stream."""

    header: bytes
    symbols: int
    """Symbols before the end-of-block symbol; for a stored block, bytes."""


@dataclass(frozen=True)
class Choices:
    """An encoder's choices. A match is one number: place << 23 | length - 3 << 15 | distance - 1."""

    matches: Ints
    blocks: tuple[Block, ...]


# ------------------------------------------------------------------------------------------- tables


def _codes(lengths: list[int]) -> list[int]:
    """The canonical code of every symbol, its bits reversed to stream order."""
    count = [0] * 16
    for length in lengths:
        count[length] += 1
    count[0] = code = 0
    following = [0] * 17
    for bits in range(1, 16):
        code = (code + count[bits - 1]) << 1
        following[bits] = code
    codes = []
    for length in lengths:
        codes.append(int(f"{following[length]:0{length}b}"[::-1], 2) if length else 0)
        following[length] += 1
    return codes


def _table(lengths: list[int]) -> tuple[NDArray[np.int32], int]:
    """A lookup table by the next bits of the stream: symbol << 5 | code length, or 0 where no code matches."""
    top = max([1, *lengths])
    table = np.zeros(1 << top, np.int32)
    for symbol, (length, code) in enumerate(zip(lengths, _codes(lengths))):
        if length:
            if code >= 1 << top:
                raise ValueError("a code table is over-full")
            table[code :: 1 << length] = symbol << 5 | length
    return table, top


def _literal_table(lengths: list[int]) -> tuple[list[int], int]:
    """As :func:`_table`, but consecutive literals share an entry: their number << 5 | their total code length.
    Entries of other symbols have ``_OTHER`` set."""
    table, top = _table(lengths)
    literal = ((table >> 5) < 256) & (table > 0)
    bits = table & 31
    index = np.arange(table.size)
    total, many = bits.copy(), literal.astype(np.int32)
    for _ in range(3):
        rest = index >> total
        more = literal & literal[rest] & (total + bits[rest] <= top)
        total = np.where(more, total + bits[rest], total)
        many += more
    return np.where(literal, many << 5 | total, np.where(table > 0, table | _OTHER, 0)).tolist(), top


_FIXED_LENGTHS = [8] * 144 + [9] * 112 + [7] * 24 + [8] * 8, [5] * 30


# ------------------------------------------------------------------------------------------- taking apart


class _Reader:
    """Reads a stream bit by bit, the lowest bit of each byte first."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.next = 0
        self.held = 0
        self.count = 0

    def take(self, bits: int) -> int:
        if self.count < bits:
            self.refill()
        value = self.held & ((1 << bits) - 1)
        self.held >>= bits
        self.count -= bits
        return value

    def refill(self) -> None:
        if self.next > len(self.data) + 32:
            raise ValueError("the stream ends too early")
        self.held |= int.from_bytes(self.data[self.next : self.next + 16], "little") << self.count
        self.next += 16
        self.count += 128

    @property
    def used(self) -> int:
        """Bytes read so far, a partly read one included."""
        return self.next - self.count // 8


def taken_apart(streams: Sequence[bytes], sizes: Sequence[int], deadline: float) -> Choices:
    """Parse raw deflate streams that hold ``sizes`` bytes of data each and nothing after it.

    Raises ValueError for any other stream, and when ``deadline`` (monotonic seconds) passes.
    """
    if sum(map(len, streams)) > LARGEST:
        raise ValueError("the streams are too long")
    matches: list[int] = []
    blocks: list[Block] = []
    place = 0
    for stream, size in zip(streams, sizes):
        _take_apart(stream, place, place + size, deadline, matches, blocks)
        place += size
    return Choices(np.array(matches, np.int64), tuple(blocks))


def _take_apart(stream: bytes, start: int, size: int, deadline: float, matches: list[int], blocks: list[Block]) -> None:
    """Parse one stream, whose data spans ``start`` to ``size`` of the concatenated data."""
    reader = _Reader(stream)
    place, final = start, False
    while not final:
        if time.monotonic() > deadline:
            raise ValueError("parsing takes too long")
        final = bool(reader.take(1))
        kind = reader.take(2)
        if kind == _STORED:
            reader.take(reader.count % 8)
            symbols, check = reader.take(16), reader.take(16)
            if symbols ^ check != 0xFFFF:
                raise ValueError("a stored block is damaged")
            reader.next = reader.used + symbols
            reader.held = reader.count = 0
            header, end = b"", place + symbols
        elif kind in (_FIXED, _DYNAMIC):
            header, lengths, distances = _read_tables(reader) if kind == _DYNAMIC else (b"", *_FIXED_LENGTHS)
            symbols, end = _read_symbols(reader, lengths, distances, place, (start, size), matches)
        else:
            raise ValueError("a block has an unknown type")
        blocks.append(Block(bytes([kind | final << 2]) + header, symbols))
        place = end
        if place > size:
            raise ValueError("the stream holds more data than expected")
    if place != size or reader.used != len(stream):
        raise ValueError("the stream does not end where expected")


def _read_tables(reader: _Reader) -> tuple[bytes, list[int], list[int]]:
    counts = [reader.take(5), reader.take(5), reader.take(4)]
    written = [reader.take(3) for _ in range(counts[2] + 4)]
    lengths = [0] * 19
    for symbol, length in zip(_ORDER, written):
        lengths[symbol] = length
    table, top = _table(lengths)
    want = counts[0] + 257 + counts[1] + 1
    found: list[int] = []
    symbols: list[int] = []
    while len(found) < want:
        if reader.count < 32:
            reader.refill()
        entry = int(table[reader.held & ((1 << top) - 1)])
        if not entry:
            raise ValueError("a code is missing from its table")
        reader.take(entry & 31)
        symbol = entry >> 5
        symbols.append(symbol)
        if symbol < 16:
            found.append(symbol)
            continue
        extra = reader.take(_REPEATS[symbol])
        symbols.append(extra)
        if symbol == 16 and not found:
            raise ValueError("there is no code length to repeat")
        found += [found[-1]] * (extra + 3) if symbol == 16 else [0] * (extra + (3 if symbol == 17 else 11))
    if len(found) != want:
        raise ValueError("there are too many code lengths")
    split = counts[0] + 257
    return bytes([*counts, *written, *symbols]), found[:split], found[split:]


def _read_symbols(
    reader: _Reader,
    lengths: list[int],
    distances: list[int],
    place: int,
    bounds: tuple[int, int],
    matches: list[int],
) -> tuple[int, int]:
    """Read one block's symbols; returns their number and the position after them. This is the hot loop."""
    start, size = bounds
    literals, top = _literal_table(lengths)
    far, far_top = _table(distances)
    afar = far.tolist()
    mask, far_mask = (1 << top) - 1, (1 << far_top) - 1
    held, count, symbols = reader.held, reader.count, 0
    while True:
        if count < 48:
            reader.held, reader.count = held, count
            reader.refill()
            held, count = reader.held, reader.count
            if place > size or len(matches) > MOST_MATCHES:
                raise ValueError("the stream holds more data than expected")
        entry = literals[held & mask]
        bits = entry & 31
        held >>= bits
        count -= bits
        if entry < _OTHER:
            if not entry:
                raise ValueError("a code is missing from its table")
            symbols += entry >> 5
            place += entry >> 5
            continue
        symbol = (entry >> 5) & 511
        if symbol == 256:
            break
        if symbol > 285:
            raise ValueError("a match has no valid length")
        least, bits = _LENGTHS[symbol - 257]
        length = least + (held & ((1 << bits) - 1))
        held >>= bits
        count -= bits
        entry = afar[held & far_mask]
        if not entry or entry >> 5 > 29:
            raise ValueError("a match has no valid distance")
        bits = entry & 31
        held >>= bits
        least, more = _DISTANCES[entry >> 5]
        distance = least + (held & ((1 << more) - 1))
        held >>= more
        count -= bits + more
        if distance > place - start:
            raise ValueError("a match points before the data")
        matches.append(place << 23 | (length - 3) << 15 | (distance - 1))
        symbols += 1
        place += length
    reader.held, reader.count = held, count
    return symbols, place


# ------------------------------------------------------------------------------------------- putting together


class _Writer:
    """Writes a stream bit by bit, the lowest bit of each byte first."""

    def __init__(self) -> None:
        self._done: list[bytes] = []
        self._held = 0
        self._count = 0

    def put(self, values: U64, bits: Ints) -> None:
        """Append numbers of at most 48 bits each."""
        values = np.concatenate((np.array([self._held], np.uint64), values))
        bits = np.concatenate((np.array([self._count], np.int64), bits))
        ends = np.cumsum(bits)
        starts = ends - bits
        shifted = values << (starts & 7).astype(np.uint64)
        first, total = starts >> 3, int(ends[-1])
        room = (total >> 3) + 8
        out = np.zeros(room, np.float64)
        for byte in range(7):
            # No two numbers share a bit, so a sum is their union; and float64 holds integers up to 255 exactly.
            part = (shifted >> np.uint64(8 * byte)) & np.uint64(255)
            out += np.bincount(first + byte, part, room)
        packed = out.astype(np.uint8).tobytes()
        self._count = total & 7
        self._held = packed[total >> 3] if self._count else 0
        self._done.append(packed[: total >> 3])

    def put_few(self, items: list[tuple[int, int]]) -> None:
        self.put(np.array([v for v, _ in items], np.uint64), np.array([b for _, b in items], np.int64))

    def stored(self, data: bytes) -> None:
        self.put_few([(0, -self._count % 8), (len(data), 16), (len(data) ^ 0xFFFF, 16)])
        self._done.append(data)

    def finished(self) -> bytes:
        self.put_few([(0, -self._count % 8)])
        return b"".join(self._done)


def put_together(choices: Choices, data: Bytes) -> list[bytes]:
    """Rebuild the raw deflate streams of this data from an encoder's choices. Raises ValueError if they do not fit."""
    place = choices.matches >> 23
    length = ((choices.matches >> 15) & 0xFF) + 3
    if place.size and (np.any(place[1:] < (place + length)[:-1]) or int(place[-1] + length[-1]) > data.size):
        raise ValueError("the matches do not fit the data")
    covered = np.zeros(data.size + 1, np.int8)
    np.add.at(covered, place + 1, 1)
    np.subtract.at(covered, place + length, 1)
    starts = np.nonzero(np.cumsum(covered[:-1], dtype=np.int8) == 0)[0]
    lengths, distances = np.zeros(starts.size, np.uint16), np.zeros(starts.size, np.uint16)
    matched = np.searchsorted(starts, place)
    lengths[matched] = length
    distances[matched] = (choices.matches & 0x7FFF) + 1
    writer, done = _Writer(), 0
    streams = []
    for block in choices.blocks:
        begun, done = done, done + block.symbols
        if done > starts.size:
            raise ValueError("the blocks hold more symbols than the data has")
        kind = block.header[0] & 3
        writer.put_few([(block.header[0] >> 2, 1), (kind, 2)])
        if kind == _STORED:
            writer.stored(data[starts[begun:done]].tobytes())
        else:
            coded, far = _FIXED_LENGTHS if kind == _FIXED else _write_tables(writer, block.header[1:])
            for at in range(begun, done, _AT_ONCE):
                some = slice(at, min(done, at + _AT_ONCE))
                _write_symbols(writer, data[starts[some]], lengths[some], distances[some], coded, far)
            writer.put_few([(_codes(coded)[256], coded[256])])
        if block.header[0] >> 2:
            streams.append(writer.finished())
            writer = _Writer()
    if done != starts.size:
        raise ValueError("the blocks do not cover all symbols")
    return streams


def _write_tables(writer: _Writer, header: bytes) -> tuple[list[int], list[int]]:
    counts, written, symbols = header[:3], header[3 : 7 + header[2]], header[7 + header[2] :]
    lengths = [0] * 19
    for symbol, length in zip(_ORDER, written):
        lengths[symbol] = length
    codes = _codes(lengths)
    items = [(counts[0], 5), (counts[1], 5), (counts[2], 4), *((length, 3) for length in written)]
    found: list[int] = []
    several = iter(symbols)
    for symbol in several:
        items.append((codes[symbol], lengths[symbol]))
        if symbol < 16:
            found.append(symbol)
            continue
        extra = next(several)
        items.append((extra, _REPEATS[symbol]))
        found += [found[-1]] * (extra + 3) if symbol == 16 else [0] * (extra + (3 if symbol == 17 else 11))
    writer.put_few(items)
    split = counts[0] + 257
    return found[:split], found[split:]


def _coding(lengths: list[int]) -> tuple[U64, Ints]:
    return np.array(_codes(lengths), np.uint64), np.array(lengths, np.int64)


_LENGTH_LEAST = np.array([least for least, _ in _LENGTHS])
_DISTANCE_LEAST = np.array([least for least, _ in _DISTANCES])
_LENGTH_EXTRA = np.array([extra for _, extra in _LENGTHS])
_DISTANCE_EXTRA = np.array([extra for _, extra in _DISTANCES])


def _write_symbols(
    writer: _Writer,
    first: Bytes,
    length: NDArray[np.uint16],
    distance: NDArray[np.uint16],
    lengths: list[int],
    distances: list[int],
) -> None:
    """Write literals where ``length`` is 0, matches elsewhere."""
    codes, bits = _coding(lengths)
    match = length > 0
    kind = np.searchsorted(_LENGTH_LEAST, length[match], side="right") - 1
    far = np.searchsorted(_DISTANCE_LEAST, distance[match], side="right") - 1
    symbol = first.astype(np.int64)
    symbol[match] = 257 + kind
    if int(symbol.max(initial=0)) >= codes.size or (far.size and int(far.max()) >= len(distances)):
        raise ValueError("a symbol has no code")
    values, counts = codes[symbol], bits[symbol]
    if far.size:
        far_codes, far_bits = _coding(distances)
        at = counts[match]
        parts = (
            (length[match] - _LENGTH_LEAST[kind], _LENGTH_EXTRA[kind]),
            (far_codes[far], far_bits[far]),
            (distance[match] - _DISTANCE_LEAST[far], _DISTANCE_EXTRA[far]),
        )
        for part, width in parts:
            values[match] |= part.astype(np.uint64) << at.astype(np.uint64)
            at = at + width
        counts[match] = at
    writer.put(values, counts)


def checked(streams: Sequence[bytes], sizes: Sequence[int], data: Bytes, deadline: float) -> Choices:
    """Parse streams and verify that they can be rebuilt exactly. Raises ValueError if not."""
    choices = taken_apart(streams, sizes, deadline)
    if put_together(choices, data) != list(streams):
        raise ValueError("the streams are coded in a way that cannot be rebuilt")
    return choices
