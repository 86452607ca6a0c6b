"""Git's packet lines over file descriptors: gitprotocol-common(5), "pkt-line Format".

One large buffer and few system calls: git writes about eleven times per request, and waking up for each
of them is what a filter's time goes to.
"""

from __future__ import annotations

import os

from regenstore.errors import FormatError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_DATA = 65516
_BUFFER = 1 << 20


class EndOfInput(Exception):
    """The other side closed the pipe between two requests: the normal end."""


class BadPacket(FormatError):
    """What came in is no packet, or not the expected one: ``bad-packet``."""

    def __init__(self, message: str) -> None:
        super().__init__("bad-packet", message)


class PacketReader:
    """Reads packets. A view it gives is valid until the next call."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._buffer = bytearray(_BUFFER)
        self._view = memoryview(self._buffer)
        self._start = self._end = 0

    def packet(self) -> memoryview | None:
        """The next packet's data, or None for a flush packet. Raises EndOfInput before a first byte, and
        BadPacket for anything malformed or cut off."""
        if self._end - self._start < 4 and not self._fill(4, at_boundary=True):
            raise EndOfInput
        start = self._start
        head = self._buffer[start : start + 4]
        try:
            length = int(head, 16) if head.isalnum() else -1
        except ValueError:
            length = -1
        if length == 0:
            self._start = start + 4
            return None
        if not 4 <= length <= MAX_DATA + 4:
            raise BadPacket(f"a packet begins with {bytes(head)!r}, which is no packet length")
        if self._end - start < length:
            self._fill(length)
            start = self._start
        self._start = start + length
        return self._view[start + 4 : start + length]

    def lines(self) -> list[bytes]:
        """The text packets up to the next flush, without their one trailing newline. Raises EndOfInput before the
        first of them only."""
        found: list[bytes] = []
        read, buffer = self.packet, self._buffer
        while True:
            # What is there already is taken without a call for each packet: git sends six lines for every file.
            while self._end - (start := self._start) > 4:
                head = buffer[start : start + 4]
                length = int(head, 16) if head.isdigit() or _is_hex(head) else -1
                if length < 5 or start + length > self._end:
                    break  # a flush packet, one that is cut off, or none at all
                self._start = start + length
                line = bytes(buffer[start + 4 : start + length])
                found.append(line[:-1] if line.endswith(b"\n") else line)
                read = self._inner
            data = read()
            if data is None:
                return found
            line = bytes(data)
            found.append(line[:-1] if line.endswith(b"\n") else line)
            read = self._inner

    def at_hand(self) -> bytes:
        """What has come in and was not taken yet; where there is nothing, waits for what comes next. Empty at the end
        of the input."""
        if self._start == self._end:
            self._fill(1, at_boundary=True)
        return bytes(self._view[self._start : self._end])

    def more(self) -> None:
        """Wait for more to come in. Raises BadPacket at the end of the input."""
        self._fill(self._end - self._start + 1)

    def take(self, count: int) -> None:
        """Take that many of the bytes at hand."""
        self._start += count

    def content(self) -> Iterator[memoryview]:
        """The data packets up to the next flush; the input must not end before it."""
        while (data := self._inner()) is not None:
            yield data

    def _inner(self) -> memoryview | None:
        """A packet that is not the first."""
        try:
            return self.packet()
        except EndOfInput:
            raise BadPacket("the input ends before a flush packet") from None

    def _fill(self, need: int, *, at_boundary: bool = False) -> bool:
        if self._start + need > len(self._buffer):
            rest = bytes(self._view[self._start : self._end])
            self._view[: len(rest)] = rest
            self._start, self._end = 0, len(rest)
        elif self._start == self._end:
            self._start = self._end = 0
        while self._end - self._start < need:
            count = os.readv(self._fd, [self._view[self._end :]])
            if count == 0:
                if at_boundary and self._start == self._end:
                    return False
                raise BadPacket("the input ends inside a packet")
            self._end += count
        return True


def _is_hex(head: bytearray) -> bool:
    return not head.strip(b"0123456789abcdef")


def packets(data: bytes | memoryview) -> bytes:
    """Content as data packets, without a flush."""
    view = memoryview(data)
    parts: list[bytes | memoryview] = []
    for start in range(0, len(view), MAX_DATA):
        piece = view[start : start + MAX_DATA]
        parts += [b"%04x" % (len(piece) + 4), piece]
    return b"".join(parts)


def text_packets(*lines: bytes) -> bytes:
    """Text lines as packets, followed by a flush."""
    return b"".join(b"%04x%s\n" % (len(line) + 5, line) for line in lines) + b"0000"
