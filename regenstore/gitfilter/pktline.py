"""Git's packet lines over file descriptors: gitprotocol-common(5), "pkt-line Format".

Uses one large buffer and few system calls: git writes about eleven times per request, and a filter spends most of its
time on waking up for each write.
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
    """Git closed the pipe between two requests: the normal end."""


class BadPacket(FormatError):
    """The input is not a packet, or not the expected one (``bad-packet``)."""

    def __init__(self, message: str) -> None:
        super().__init__("bad-packet", message)


class PacketReader:
    """Reads packets. A returned view is valid until the next call."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._buffer = bytearray(_BUFFER)
        self._view = memoryview(self._buffer)
        self._start = self._end = 0

    def packet(self) -> memoryview | None:
        """The next packet's data, or None for a flush packet. Raises EndOfInput if the input ends before the packet's
        first byte, and BadPacket if the packet is malformed or truncated."""
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
            raise BadPacket(f"a packet begins with {bytes(head)!r}, which is not a packet length")
        if self._end - start < length:
            self._fill(length)
            start = self._start
        self._start = start + length
        return self._view[start + 4 : start + length]

    def lines(self) -> list[bytes]:
        """The text packets up to the next flush, each without its trailing newline. Raises EndOfInput only if the input
        ends before the first packet."""
        found: list[bytes] = []
        read, buffer = self.packet, self._buffer
        while True:
            # Buffered packets are read without a call for each one, as git sends six lines for every file.
            while self._end - (start := self._start) > 4:
                head = buffer[start : start + 4]
                length = int(head, 16) if head.isdigit() or _is_hex(head) else -1
                if length < 5 or start + length > self._end:
                    break  # a flush packet, an incomplete one, or not a packet
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
        """The bytes that were received but not yet consumed; if there are none, waits for more. Empty at the end of the
        input."""
        if self._start == self._end:
            self._fill(1, at_boundary=True)
        return bytes(self._view[self._start : self._end])

    def more(self) -> None:
        """Wait for more input. Raises BadPacket at its end."""
        self._fill(self._end - self._start + 1)

    def take(self, count: int) -> None:
        """Consume that many of the received bytes."""
        self._start += count

    def content(self) -> Iterator[memoryview]:
        """The data packets up to the next flush. Raises BadPacket if the input ends before it."""
        while (data := self._inner()) is not None:
            yield data

    def _inner(self) -> memoryview | None:
        """The next packet after a first one, where the end of the input is an error."""
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
    """The content as data packets, without a flush packet."""
    view = memoryview(data)
    parts: list[bytes | memoryview] = []
    for start in range(0, len(view), MAX_DATA):
        piece = view[start : start + MAX_DATA]
        parts += [b"%04x" % (len(piece) + 4), piece]
    return b"".join(parts)


def text_packets(*lines: bytes) -> bytes:
    """Text lines as packets, followed by a flush packet."""
    return b"".join(b"%04x%s\n" % (len(line) + 5, line) for line in lines) + b"0000"
