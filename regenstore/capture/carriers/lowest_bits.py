"""Text hidden in the lowest bits of a PNG's pixels, as NovelAI and some extensions of A1111 write it.

The bits run down the first column, then down the next: of alpha alone, or of red, green and blue in turn. They hold a
magic of 15 characters (``stealth_pnginfo``, ``stealth_pngcomp``; ``stealth_rgb…``), the payload's length in bits in 32
of them, and the payload, which after ``…comp`` is a gzip stream. An ordinary picture differs from the magic in its
first pixel or its first rows, and no more than those are decompressed.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from itertools import islice

from regenstore.capture.carriers.bounded_file import WINDOW, BoundedFile, unsigned
from regenstore.capture.carriers.text import GZIP, decoded, decompressed
from regenstore.capture.embedded import Embedded

MAX_SIDE = 1 << 16
MAX_PICTURE = 1 << 28
"""Bytes of pixels of a picture that is looked at."""
MAX_PAYLOAD, _USUAL_PAYLOAD = 256 << 10, 4096
_HEADER = 15 + 4
_PLACES = {b"stealth_png": (3,), b"stealth_rgb": (0, 1, 2)}
"""Magic -> the channels whose bits hold it."""
_AS_DIGITS = bytes(48 + (value & 1) for value in range(256))


class _Picture:
    """The pixels of a PNG of 8 bits per channel, not interlaced, as far as they are asked for."""

    def __init__(self, file: BoundedFile, first: int, width: int, height: int, channels: int) -> None:
        self._file, self._first = file, first
        self.width, self.height, self.channels = width, height, channels

    def first_pixel(self) -> bytes:
        """The first pixel, which no filter changes: nothing is left of it or above it. Empty if that takes more than
        a look."""
        length = unsigned(self._file.look(self._first, 4))
        stored = self._file.look(self._first + 8, min(length, WINDOW))
        try:
            return zlib.decompressobj().decompress(stored, 1 + self.channels)[1:]
        except zlib.error:
            return b""

    def rows(self) -> Iterator[bytes]:
        """The rows as they are stored: a filter's number, then what it left of the pixels."""
        length, pending = 1 + self.width * self.channels, b""
        for part in self._decompressed(length):
            pending += part
            whole = len(pending) // length * length
            yield from (pending[at : at + length] for at in range(0, whole, length))
            pending = pending[whole:]

    def _decompressed(self, least: int) -> Iterator[bytes]:
        """In parts that grow: often only the first is asked for."""
        stream, length = zlib.decompressobj(), least
        try:
            for block in self._blocks():
                while block:
                    yield stream.decompress(block, length)
                    block, length = stream.unconsumed_tail, min(2 * length, max(least, 1 << 16))
            yield stream.flush()  # at most one match, which the last limit held back
        except zlib.error:
            return

    def _blocks(self) -> Iterator[bytes]:
        at, most = self._first, 4096
        while self._file.look(at, 8)[4:] == b"IDAT":
            start, length = at + 8, unsigned(self._file.look(at, 4))
            at = start + length + 4
            while start < min(at - 4, self._file.size):
                part = min(most, at - 4 - start, self._file.size - start)
                yield self._file.piece(start, part) or b""
                start, most = start + part, 1 << 16

    def begins_with(self, magic: bytes, channels: tuple[int, ...]) -> bool:
        """Whether the first column's bits are a magic's, as far as the column goes. Left of it there is nothing, so
        only the pixel above matters to its filters."""
        digits = [unsigned(magic) >> place & 1 for place in reversed(range(8 * len(magic)))]
        pixel = self.first_pixel()
        if len(pixel) == self.channels and any(pixel[c] & 1 != digit for c, digit in zip(channels, digits)):
            return False
        above = [0] * self.channels
        for number, row in enumerate(islice(self.rows(), self.height)):
            for channel in channels:
                up = above[channel]
                from_above = {2: up, 3: up >> 1, 4: up}.get(row[0], 0)
                above[channel] = (row[1 + channel] + from_above) & 255
            expected = digits[number * len(channels) : (number + 1) * len(channels)]
            if not expected:
                return True
            if any(above[channel] & 1 != digit for channel, digit in zip(channels, expected)):
                return False
        return self.height * len(channels) < len(digits)

    def bits(self, channels: tuple[int, ...], length: int) -> bytes:
        """The first so many bytes that the lowest bits of channels hold; fewer if the picture has no more, none if it
        is cut off."""
        columns = min(-(-8 * length // (len(channels) * self.height)), self.width)
        planes = [bytearray() for _ in channels]
        above = [bytes(columns) for _ in channels]
        for row in islice(self.rows(), self.height):
            for place, channel in enumerate(channels):
                stored = row[1 + channel : 1 + columns * self.channels : self.channels]
                above[place] = _unfiltered(row[0], stored, above[place])
                planes[place] += above[place]
        if len(planes[0]) < columns * self.height:  # cut off: the columns are not all there
            return b""
        digits = bytearray()
        for column in range(columns):
            run = bytearray(self.height * len(channels))
            for place, plane in enumerate(planes):
                run[place :: len(channels)] = plane[column::columns]
            digits += run.translate(_AS_DIGITS)
        whole = min(len(digits) // 8, length)
        return int(digits[: 8 * whole] or b"0", 2).to_bytes(whole, "big")


def pieces(file: BoundedFile, first: int, width: int, height: int, channels: int) -> Iterator[Embedded]:
    """The hidden text of a picture whose first chunk of pixels is at a position, if it has one."""
    if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE and width * height * channels <= MAX_PICTURE):
        return
    picture = _Picture(file, first, width, height, channels)
    for magic, places in _PLACES.items():
        if channels > max(places) and picture.begins_with(magic, places):
            found = picture.bits(places, _HEADER + _USUAL_PAYLOAD)
            form, length = found[len(magic) : 15], unsigned(found[15:_HEADER]) // 8
            if found.startswith(magic) and form in (b"info", b"comp") and 0 < length <= MAX_PAYLOAD:
                if length > _USUAL_PAYLOAD:
                    found = picture.bits(places, _HEADER + length)
                payload = found[_HEADER : _HEADER + length]
                data = payload if form == b"info" else decompressed(file, payload, GZIP)
                if data and len(payload) == length:
                    yield Embedded("alpha", "stealth", decoded(data))


def _unfiltered(kind: int, stored: bytes, above: bytes) -> bytes:
    """One channel of a row's first pixels (PNG, 9.2): ``stored`` is what the filter left."""
    if kind == 0:
        return stored
    if kind == 2:
        return bytes((value + up) & 255 for value, up in zip(stored, above))
    found = bytearray()
    left = corner = 0
    for value, up in zip(stored, above):
        if kind == 1:
            predicted = left
        elif kind == 3:
            predicted = (left + up) >> 1
        else:
            predicted = _paeth(left, up, corner)
        left, corner = (value + predicted) & 255, up
        found.append(left)
    return bytes(found)


def _paeth(left: int, up: int, corner: int) -> int:
    by_left, by_up, by_corner = abs(up - corner), abs(left - corner), abs(left + up - 2 * corner)
    if by_left <= by_up and by_left <= by_corner:
        return left
    return up if by_up <= by_corner else corner
