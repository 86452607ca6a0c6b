"""Packet lines: what is written is read, in whatever pieces it arrives, and damage is an error of ours."""

from __future__ import annotations

import itertools
import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from regenstore.errors import FormatError
from regenstore.fs.writing import write_all
from regenstore.gitfilter.pktline import MAX_DATA, EndOfInput, PacketReader, packets, text_packets
from regenstore.gitfilter.process import Request, StoredReply, handshake, serve


@contextmanager
def arriving(*pieces: bytes, one_by_one: bool = False) -> Iterator[PacketReader]:
    """A reader whose input comes in these pieces; ``one_by_one``: never several at once."""
    source, sink = os.pipe2(os.O_DIRECT) if one_by_one else os.pipe()

    def feed() -> None:
        try:
            for piece in pieces:
                write_all(sink, piece)
        except BrokenPipeError:
            pass
        finally:
            os.close(sink)

    writer = threading.Thread(target=feed)
    writer.start()
    try:
        yield PacketReader(source)
    finally:
        os.close(source)
        writer.join()


def everything(reader: PacketReader) -> list[bytes | None]:
    found: list[bytes | None] = []
    while True:
        try:
            data = reader.packet()
        except EndOfInput:
            return found
        found.append(None if data is None else bytes(data))


@given(st.lists(st.none() | st.binary(max_size=200), max_size=20), st.integers(1, 50))
@settings(deadline=None)
def test_packets_arrive_however_they_are_cut(items, size):
    stream = b"".join(b"0000" if item is None else b"%04x" % (len(item) + 4) + item for item in items)
    with arriving(*(stream[at : at + size] for at in range(0, len(stream), size))) as reader:
        assert everything(reader) == items


def test_large_contents_pass_the_buffers_end():
    data = os.urandom(1 << 20) * 5 + b"end"
    with arriving(packets(data), b"0000", text_packets(b"after")) as reader:
        assert b"".join(bytes(piece) for piece in reader.content()) == data
        assert reader.lines() == [b"after"]


@given(st.integers(0, 3 * MAX_DATA + 5))
@settings(max_examples=30, deadline=None)
def test_no_packet_is_larger_than_git_takes(size):
    stream = packets(bytes(size))
    at = 0
    total = 0
    while at < len(stream):
        length = int(stream[at : at + 4], 16)
        assert 4 < length <= 65520
        total += length - 4
        at += length
    assert total == size


def test_text_lines_lose_one_newline_only():
    with arriving(text_packets(b"a", b"b\n", b"", b"path=x=y"), b"0006ab0000") as reader:
        assert reader.lines() == [b"a", b"b\n", b"", b"path=x=y"]
        assert reader.lines() == [b"ab"]


def test_the_end_between_packets_is_no_error():
    with arriving() as reader, pytest.raises(EndOfInput):
        reader.packet()
    with arriving(b"0000") as reader:
        assert everything(reader) == [None]


@pytest.mark.parametrize(
    "stream",
    [
        b"0",
        b"000",
        b"0005",
        b"0010abc",
        b"0001",
        b"0002",
        b"0003",
        b"fff1" + bytes(65535),
        b"zzzz",
        b"-001",
        b"+001",
        b" 001",
        b"0x10",
        b"00_5",
        b"GET / HTTP/1.1\r\n",
    ],
)
def test_what_is_no_packet_is_refused(stream):
    with arriving(stream) as reader, pytest.raises(FormatError) as caught:
        everything(reader)
    assert caught.value.kind == "bad-packet"


@given(st.binary(max_size=300))
@example(b"ffff")
@example(b"FFF0" + bytes(65520))
@settings(deadline=None)
def test_any_bytes_give_packets_or_an_error_of_ours(stream):
    with arriving(stream) as reader:
        try:
            everything(reader)
        except FormatError as error:
            assert error.kind == "bad-packet"


# ------------------------------------------------------------------------------------------- the process


def converse(*said: bytes, handlers=None, failed=None) -> bytes:
    """What is answered to what git says after the handshake."""
    source, sink = os.pipe()
    answer: list[bytes] = []

    def listen() -> None:
        while piece := os.read(source, 1 << 16):
            answer.append(piece)

    listener = threading.Thread(target=listen)
    listener.start()
    try:
        with arriving(*said) as reader:
            serve(reader, sink, handlers or {}, failed or (lambda request: None))
    finally:
        os.close(sink)
        listener.join()
        os.close(source)
    return b"".join(answer)


def request(command: bytes, path: bytes, content: bytes, *more: bytes) -> bytes:
    return text_packets(b"command=" + command, b"pathname=" + path, *more) + packets(content) + b"0000"


OK = text_packets(b"status=success")
PATHS = [b"a.mp4", b"with=equals", b"new\nline", b"\xff\xfe", b"-dash", b" blank ", b"%f$(id)", b"x" * 4096]


@pytest.mark.parametrize("path", PATHS)
def test_a_request_arrives_whole(path):
    seen = []

    def handler(given: Request, content) -> bytes:
        seen.append((given.command, given.path, given.blob, given.can_delay, b"".join(map(bytes, content))))
        return b"answer"

    said = request(b"clean", path, b"x" * 100_000, b"blob=" + b"a" * 40, b"can-delay=1", b"treeish=later=thing")
    assert converse(said, handlers={b"clean": handler}) == OK + packets(b"answer") + b"00000000"
    assert seen == [(b"clean", path, b"a" * 40, True, b"x" * 100_000)]


def test_what_a_handler_leaves_unread_is_skipped():
    handlers = {b"clean": lambda given, content: given.path}
    said = request(b"clean", b"one", bytes(200_000)) + request(b"clean", b"two", b"")
    assert converse(said, handlers=handlers) == b"".join(OK + packets(p) + b"00000000" for p in (b"one", b"two"))


def test_empty_and_stored_answers(tmp_path):
    (tmp_path / "large").write_bytes(b"m" * 2_000_000)
    handlers = {b"clean": lambda g, c: b"", b"smudge": lambda g, c: StoredReply(str(tmp_path / "large"))}
    assert converse(request(b"clean", b"a", b""), handlers=handlers) == OK + b"00000000"
    answer = converse(request(b"smudge", b"a", b"x"), handlers=handlers)
    with arriving(answer) as reader:
        assert reader.lines() == [b"status=success"]
        assert b"".join(map(bytes, reader.content())) == b"m" * 2_000_000
        assert reader.lines() == []
        assert everything(reader) == []


def test_a_handler_that_fails_is_told_and_the_next_request_served():
    failed = []

    def handler(given: Request, content) -> bytes:
        next(content)
        if given.path == b"bad":
            raise OSError(28, "full")
        return b"ok"

    said = request(b"clean", b"bad", bytes(300_000)) + request(b"clean", b"good", b"x")
    answer = converse(said, handlers={b"clean": handler}, failed=failed.append)
    assert answer == text_packets(b"status=error") + OK + packets(b"ok") + b"00000000"
    assert [r.path for r in failed] == [b"bad"]


def test_an_unknown_command_gets_an_error_and_no_harm():
    said = request(b"transmogrify", b"a", b"x") + request(b"clean", b"a", b"x")
    answer = converse(said, handlers={b"clean": lambda g, c: b"ok"})
    assert answer == text_packets(b"status=error") + OK + packets(b"ok") + b"00000000"


@pytest.mark.parametrize("said", [text_packets(b"command=clean"), text_packets(b"pathname=a"), b"0000"])
def test_a_request_without_command_or_path_is_refused(said):
    with pytest.raises(FormatError):
        converse(said)


def test_input_that_ends_inside_a_content_is_refused():
    with pytest.raises(FormatError):
        converse(request(b"clean", b"a", b"xyz")[:-6], handlers={b"clean": lambda g, c: b"".join(map(bytes, c))})


class OneByOne(PacketReader):
    """Has nothing at hand: no request can be taken at a glance."""

    def at_hand(self) -> bytes:
        return b""


def checked_out(reader: PacketReader) -> tuple[list[tuple[bytes | None, ...]], bytes, str | None]:
    """What is asked for, what is answered, and the error that it ends in."""
    seen: list[tuple[bytes | None, ...]] = []

    def smudge(given: Request, content: Iterator[memoryview]) -> bytes:
        text = b"".join(map(bytes, content))
        seen.append((given.command, given.path, given.blob, b"%d" % given.can_delay, text))
        return text if b"!" not in text else b"another"

    error = None
    with tempfile.TemporaryFile() as answer:
        try:
            serve(reader, answer.fileno(), {b"smudge": smudge}, lambda request: None)
        except FormatError as caught:
            error = caught.kind
        answer.seek(0)
        return seen, answer.read(), error


def asked(path: bytes, text: bytes, blob: bytes = b"0a" * 20, more: tuple[bytes, ...] = (b"treeish=x",)) -> bytes:
    return request(b"smudge", path, text, *more, b"blob=" + blob, b"can-delay=1")


some_paths = st.sampled_from([*PATHS, b"a"]) | st.binary(min_size=1, max_size=20)
some_texts = st.sampled_from([b"", b"a text", b"!", bytes(MAX_DATA), bytes(MAX_DATA + 1)]) | st.binary(max_size=50)
some_blobs = st.sampled_from([b"0a" * 20, b"1b" * 20, b"1b" * 32, b"0A" * 20, b"zz" * 20])
ways = st.sampled_from([(b"treeish=x",), (), (b"ref=refs/heads/a", b"treeish=y"), (b"blob=",), (b"pathname=b",)])


@given(
    st.lists(st.tuples(some_paths, some_texts, some_blobs, ways), max_size=4),
    st.just((0, b"")) | st.tuples(st.integers(0, 200), st.binary(max_size=4) | st.sampled_from([b"00_5", b"001A"])),
    st.integers(1, 80),
)
@example([(b"a", b"a text", b"0a" * 20, (b"treeish=x",))] * 2, (0, b""), 1)
@settings(deadline=None, max_examples=40)
def test_requests_that_are_alike_are_taken_as_any_other(requests, damage, size):
    stream = bytearray(b"".join(asked(*each) for each in requests))
    at, new = damage
    stream[at : at + len(new)] = new
    stream = bytearray(asked(b"first", b"text")) + stream
    with tempfile.TemporaryFile() as said:
        said.write(stream)
        said.flush()
        found = []
        for kind in (OneByOne, PacketReader):
            said.seek(0)
            found.append(checked_out(kind(said.fileno())))
    cuts = [*range(0, min(len(stream), 2000), size), len(stream)]
    with arriving(*(bytes(stream[a:b]) for a, b in itertools.pairwise(cuts)), one_by_one=True) as reader:
        found.append(checked_out(reader))
    assert found[1] == found[0] == found[2]


def test_requests_that_are_alike_are_taken_at_a_glance(monkeypatch):
    stream = b"".join(asked(b"path%d" % number, b"text %d" % number) for number in range(5))
    read: list[list[bytes]] = []
    lines = PacketReader.lines
    monkeypatch.setattr(PacketReader, "lines", lambda self: read.append(lines(self)) or read[-1])
    with arriving(stream[:300], stream[300:], one_by_one=True) as reader:
        seen, answer, error = checked_out(reader)
    assert len(read) == 1 and error is None and len(seen) == 5
    assert answer == b"".join(OK + packets(b"text %d" % number) + b"00000000" for number in range(5))


@given(st.binary(max_size=200), st.integers(0, 100), st.binary(max_size=4))
@settings(deadline=None)
def test_damaged_conversations_end_in_an_error_of_ours(tail, at, new):
    said = bytearray(request(b"clean", b"path", b"content" * 5) + tail)
    said[at : at + len(new)] = new
    try:
        converse(bytes(said), handlers={b"clean": lambda g, c: b"".join(map(bytes, c))})
    except FormatError as error:
        assert error.kind == "bad-packet"


def shake(*said: bytes) -> bytes:
    source, sink = os.pipe()
    try:
        with arriving(*said) as reader:
            handshake(reader, sink)
    finally:
        os.close(sink)
        with os.fdopen(source, "rb") as answer:
            heard = answer.read()
    return heard


def test_handshake_offers_only_what_git_knows():
    hello = text_packets(b"git-filter-client", b"version=2")
    answer = shake(hello, text_packets(b"capability=clean", b"capability=smudge", b"capability=new"))
    assert answer == text_packets(b"git-filter-server", b"version=2") + text_packets(
        b"capability=clean", b"capability=smudge"
    )
    assert b"delay" in shake(hello, text_packets(b"capability=delay"))
    assert b"version=2" in shake(text_packets(b"git-filter-client", b"version=3", b"version=2"), b"0000")


@pytest.mark.parametrize(
    "hello", [b"0000", text_packets(b"git-filter-client", b"version=3"), text_packets(b"git-upload-pack", b"version=2")]
)
def test_somebody_else_is_refused(hello):
    with pytest.raises(FormatError) as caught:
        shake(hello, b"0000")
    assert caught.value.kind == "bad-packet"
