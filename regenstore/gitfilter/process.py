"""The long-running filter process: gitattributes(5), "Long Running Filter Process", protocol version 2.

Implements the protocol and knows nothing about recipes; the caller passes in clean and smudge. ``delay`` is advertised
only because ``can-delay=1`` distinguishes a checkout from a command that needs the bytes at once. The filter never
answers ``status=delayed``, which makes ``git checkout -m`` crash.
"""

from __future__ import annotations

import os

from regenstore.fs.writing import write_all
from regenstore.gitfilter.pktline import MAX_DATA, BadPacket, EndOfInput, PacketReader, packets, text_packets

TYPE_CHECKING = False  # typing takes longer to import than the handshake takes
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    Handler = Callable[["Request", Iterator[memoryview]], "Payload"]

_SMUDGE, _PATH, _CAN_DELAY = b"0013command=smudge\n", b"pathname=", b"\n0010can-delay=1\n0000"
_PATH_AT = len(_SMUDGE) + 4 + len(_PATH)
_CHECKOUT = (b"command", b"pathname", b"blob", b"can-delay")
_BATCH = 15 * MAX_DATA
_HEX = b"0123456789abcdef"
_OID_LENGTHS = (40, 64)


class Request:
    """A request of git. ``path`` is relative to the worktree's top, as raw bytes; ``blob`` is the object id in hex if
    git sent it; ``can_delay`` is True for a checkout into the worktree."""

    __slots__ = ("blob", "can_delay", "command", "path")

    def __init__(self, command: bytes, path: bytes, blob: bytes | None, can_delay: bool) -> None:
        self.command = command
        self.path = path
        self.blob = blob
        self.can_delay = can_delay


class StoredReply:
    """A reply whose bytes are in a file."""

    __slots__ = ("path",)

    def __init__(self, path: str) -> None:
        self.path = path


Payload = bytes | StoredReply


def handshake(reader: PacketReader, out: int) -> None:
    """Agree on version and capabilities. Raises BadPacket if the other side is not git."""
    try:
        welcome = reader.lines()
    except EndOfInput:
        raise BadPacket("the input ends before the first packet") from None
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

    If a handler raises, ``failed`` is called and git gets an error; git then stops before it changes anything.
    Handlers raise only if bytes could not be stored safely. ``answered`` is called after each answer, while git
    processes it and this process would be idle.
    """
    requests = _Requests(reader)
    while True:
        try:
            request, content, echo = requests.next()
        except EndOfInput:
            return
        handler = handlers.get(request.command)
        try:
            payload = handler(request, content) if handler is not None else None
        except BrokenPipeError:
            raise
        except Exception as error:
            if isinstance(error, BadPacket):
                raise  # the connection is unusable, so no answer is possible
            failed(request)
            payload = None
        for _ in content:  # skip what the handler did not read
            pass
        if payload is None:
            write_all(out, text_packets(b"status=error"))
        elif echo is not None and payload == echo[0]:
            write_all(out, echo[1])
        else:
            _reply(out, payload)
        answered()


class _Requests:
    """Reads requests. The requests of one checkout differ only in path, blob and content; one whose other bytes equal
    those of the previous request is read in one step."""

    def __init__(self, reader: PacketReader) -> None:
        self._reader = reader
        self._between = b""
        """The packets between path and blob; empty if not known."""
        self._digits = 0

    def next(self) -> tuple[Request, Iterator[memoryview], tuple[bytes, bytes] | None]:
        """The next request and its content. If the request was read in one step, also the content in one piece, and
        the answer that returns it unchanged. Raises EndOfInput, BadPacket."""
        while self._between and (data := self._reader.at_hand()):
            found = self._at_a_glance(data)
            if not isinstance(found, bool):
                return found
            if not found:
                break
            self._reader.more()
        lines = self._reader.lines()
        request = _request(lines)
        self._between = b""
        names = [line.partition(b"=")[0] for line in lines]
        ends = (*names[:2], *names[-2:])
        if request.blob is not None and request.can_delay and ends == _CHECKOUT and len({*names}) == len(names):
            self._digits = len(request.blob)
            self._between = b"".join(b"%04x%s\n" % (len(line) + 5, line) for line in lines[2:-2])
            self._between += b"%04xblob=" % (self._digits + 10)
        return request, self._reader.content(), None

    def _at_a_glance(self, data: bytes) -> tuple[Request, Iterator[memoryview], tuple[bytes, bytes]] | bool:
        """The request if the data is one like the previous one; True if it may be the beginning of such a request, so
        that more data is certain to follow; otherwise False."""
        if len(data) < _PATH_AT:
            return _SMUDGE.startswith(data[: len(_SMUDGE)])
        if not data.startswith(_SMUDGE) or data[_PATH_AT - len(_PATH) : _PATH_AT] != _PATH:
            return False
        try:
            path_end = len(_SMUDGE) + _length(data, len(_SMUDGE))
            blob_at = path_end + len(self._between)
            blob_end = blob_at + self._digits
            at = blob_end + len(_CAN_DELAY)
            if len(data) < at + 4:
                between, can_delay = data[path_end:blob_at], data[blob_end:at]
                return self._between.startswith(between) and _CAN_DELAY.startswith(can_delay)
            content_end = at + _length(data, at)
        except ValueError:
            return False
        path, blob, content = data[_PATH_AT : path_end - 1], data[blob_at:blob_end], data[at + 4 : content_end]
        if (
            not path
            or b"\0" in path
            or data[path_end - 1 : path_end] != b"\n"
            or not data.startswith(self._between, path_end)
            or blob.strip(_HEX)
            or not data.startswith(_CAN_DELAY, blob_end)
            or not 0 < content_end - at - 4 <= MAX_DATA
        ):
            return False
        if len(data) < content_end + 4:
            return True
        if not data.startswith(b"0000", content_end):
            return False
        self._reader.take(content_end + 4)
        echo = b"0013status=success\n0000" + data[at : content_end + 4] + b"0000"
        return Request(b"smudge", path, blob, True), iter((memoryview(content),)), (content, echo)


def _length(data: bytes, at: int) -> int:
    """The length at the beginning of a packet. Raises ValueError unless it is spelled as git spells it."""
    length = int(head := data[at : at + 4], 16)
    if head != b"%04x" % length:
        raise ValueError(head)
    return length


def _request(lines: Iterable[bytes]) -> Request:
    fields: dict[bytes, bytes] = {}
    for line in lines:
        name, _, value = line.partition(b"=")
        fields[name] = value
    if b"command" not in fields or b"pathname" not in fields:
        raise BadPacket("a request lacks the command or the path")
    path, blob = fields[b"pathname"], fields.get(b"blob")
    if not path or b"\0" in path:
        raise BadPacket("a request has an impossible path: it is empty or has a NUL byte")
    if blob is not None and (len(blob) not in _OID_LENGTHS or blob.strip(_HEX)):
        raise BadPacket("a request has a blob that is not an object id")
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
