"""The long-running filter process: gitattributes(5), "Long Running Filter Process", protocol version 2.

Speaks the protocol, and knows nothing of recipes: clean and smudge are given. ``delay`` is advertised only
because ``can-delay=1`` tells a checkout from somebody who wants the bytes now; ``status=delayed`` is never
answered (``git checkout -m`` crashes with it).
"""

from __future__ import annotations

import os

from regenstore.fs.writing import write_all
from regenstore.gitfilter.pktline import MAX_DATA, BadPacket, EndOfInput, PacketReader, packets, text_packets

TYPE_CHECKING = False  # typing takes longer to import than the handshake takes
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Handler = Callable[["Request", Iterator[memoryview]], "Payload"]

_BATCH = 15 * MAX_DATA
_HEX = b"0123456789abcdef"
_OID_LENGTHS = (40, 64)


class Request:
    """What git asks: a path relative to the worktree's top, raw bytes; Git's object id in hex, where git
    tells it; and ``can_delay``, True for a checkout into the worktree."""

    __slots__ = ("blob", "can_delay", "command", "path")

    def __init__(self, command: bytes, path: bytes, blob: bytes | None, can_delay: bool) -> None:
        self.command = command
        self.path = path
        self.blob = blob
        self.can_delay = can_delay


class StoredReply:
    """A reply whose bytes are a file's."""

    __slots__ = ("path",)

    def __init__(self, path: str) -> None:
        self.path = path


Payload = bytes | StoredReply


def handshake(reader: PacketReader, out: int) -> None:
    """Agree on version and capabilities; raises BadPacket when the other side is not git."""
    try:
        welcome = reader.lines()
    except EndOfInput:
        raise BadPacket("the input ends before anything was said") from None
    if not welcome or welcome[0] != b"git-filter-client" or b"version=2" not in welcome:
        raise BadPacket("expected git's filter protocol, version 2")
    write_all(out, text_packets(b"git-filter-server", b"version=2"))
    try:
        offered = set(reader.lines())
    except EndOfInput:
        raise BadPacket("the input ends before the capabilities") from None
    known = [c for c in (b"capability=clean", b"capability=smudge", b"capability=delay") if c in offered]
    write_all(out, text_packets(*known))


def serve(
    reader: PacketReader,
    out: int,
    handlers: dict[bytes, Handler],
    failed: Callable[[Request], None],
    answered: Callable[[], None] = lambda: None,
) -> None:
    """Answer requests until git closes the pipe.

    A handler that raises is reported through ``failed`` and answered with an error: git then stops before
    it changes anything. Handlers are total; only bytes that could not be made safe get there. ``answered``
    is called after each answer: there is time while git works on it.
    """
    while True:
        try:
            request = _request(reader)
        except EndOfInput:
            return
        content = reader.content()
        handler = handlers.get(request.command)
        try:
            payload = handler(request, content) if handler is not None else None
        except BrokenPipeError:
            raise
        except Exception as error:
            if isinstance(error, BadPacket):
                raise  # there is nobody to answer to any more
            failed(request)
            payload = None
        for _ in content:  # what the handler left unread
            pass
        if payload is None:
            write_all(out, text_packets(b"status=error"))
        else:
            _reply(out, payload)
        answered()


def _request(reader: PacketReader) -> Request:
    fields: dict[bytes, bytes] = {}
    for line in reader.lines():
        name, _, value = line.partition(b"=")
        fields[name] = value
    if b"command" not in fields or b"pathname" not in fields:
        raise BadPacket("a request names no command or no path")
    path, blob = fields[b"pathname"], fields.get(b"blob")
    if not path or b"\0" in path:
        raise BadPacket("a request has a path that no file can have")
    if blob is not None and (len(blob) not in _OID_LENGTHS or blob.strip(_HEX)):
        raise BadPacket("a request has a blob that is no object id")
    return Request(fields[b"command"], path, blob, fields.get(b"can-delay") == b"1")


def _reply(out: int, payload: Payload) -> None:
    if isinstance(payload, bytes):
        write_all(out, text_packets(b"status=success") + packets(payload) + b"00000000")
        return
    fd = os.open(payload.path, os.O_RDONLY)
    try:
        write_all(out, text_packets(b"status=success"))
        while chunk := os.read(fd, _BATCH):
            write_all(out, packets(chunk))
    finally:
        os.close(fd)
    write_all(out, b"00000000")
