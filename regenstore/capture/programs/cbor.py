"""CBOR (RFC 8949) of untrusted data, decoded within limits."""

from __future__ import annotations

import struct
from typing import Any

from regenstore.objects.bounded import Unparsable

MAX_DEPTH = 32
MAX_VALUES = 10_000
_FLOATS = {25: ">e", 26: ">f", 27: ">d"}
_SIMPLE = {20: False, 21: True, 22: None, 23: None}
_BREAK = object()


def parse(data: bytes) -> Any:
    """Return the first value of CBOR data. Tags are passed over. Raises Unparsable."""
    return _Decoder(data).value(0)


class _Decoder:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0
        self._values = 0

    def value(self, depth: int) -> Any:
        self._values += 1
        if depth > MAX_DEPTH or self._values > MAX_VALUES:
            raise Unparsable("it is nested too deeply or has too many values")
        head = self._take(1)[0]
        major, low = head >> 5, head & 31
        if major == 7:
            return self._simple(low)
        length = self._length(low)
        if major in (0, 1):
            return self._known(length) if major == 0 else -1 - self._known(length)
        if major in (2, 3):
            joined = self._take(length) if length is not None else self._chunks(major, depth)
            return joined if major == 2 else joined.decode("utf-8", "replace")
        if major == 4:
            return self._items(length, depth)
        if major == 5:
            return self._table(length, depth)
        self._known(length)
        return self.value(depth + 1)

    def _simple(self, low: int) -> Any:
        if low == 31:
            return _BREAK
        if low in _FLOATS:
            form = _FLOATS[low]
            return struct.unpack(form, self._take(struct.calcsize(form)))[0]
        return _SIMPLE.get(self._take(1)[0] if low == 24 else low)

    def _length(self, low: int) -> int | None:
        """Return a length; None if a break ends the value."""
        if low < 24:
            return low
        if low == 31:
            return None
        if low > 27:
            raise Unparsable("a length has a form that CBOR does not have")
        return int.from_bytes(self._take(1 << (low - 24)), "big")

    def _known(self, length: int | None) -> int:
        if length is None:
            raise Unparsable("a number has no end")
        return length

    def _take(self, count: int) -> bytes:
        found = self._data[self._at : self._at + count]
        if len(found) < count:
            raise Unparsable("it is cut off")
        self._at += count
        return found

    def _chunks(self, major: int, depth: int) -> bytes:
        chunks = self._items(None, depth)
        kind = bytes if major == 2 else str
        if not all(isinstance(chunk, kind) for chunk in chunks):
            raise Unparsable("a text in parts has a part of another kind")
        return b"".join(chunk if isinstance(chunk, bytes) else chunk.encode() for chunk in chunks)

    def _items(self, length: int | None, depth: int) -> list[Any]:
        found: list[Any] = []
        while length is None or len(found) < length:
            item = self.value(depth + 1)
            if item is _BREAK:
                if length is not None:
                    raise Unparsable("it ends too early")
                break
            found.append(item)
        return found

    def _table(self, length: int | None, depth: int) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        pairs = 0
        while length is None or pairs < length:
            name = self.value(depth + 1)
            if name is _BREAK:
                break
            value = self.value(depth + 1)
            if value is _BREAK or isinstance(name, (list, dict)):
                raise Unparsable("a table has no value, or no usable name")
            found[name] = value
            pairs += 1
        return found
