"""Transfers through a web server that misbehaves: no wrong byte is accepted, no half upload believed, and what broke
off goes on where it stopped."""

from __future__ import annotations

import contextvars
import os
import random
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from regenstore.errors import RegenstoreError, StorageError
from regenstore.objects.content_store import ContentStore
from regenstore.objects.hashing import hash_bytes
from regenstore.objects.ids import Digest
from regenstore.remotes import layout
from regenstore.remotes.backends.contract import Backend, Busy
from regenstore.remotes.backends.http import Http
from regenstore.remotes.remote import Remote, Transfer
from regenstore.remotes.retries import RetryingBackend
from regenstore.remotes.settings import Pace
from regenstore.remotes.throttle import CANCELLED, TransferCancelled
from tests.conftest import noise
from tests.remotes.web_server import Handler, WebServer, serving

SIZE = 5_000_000
PIECE = 700_000


class Side:
    """A machine with a store, and a server as its remote."""

    def __init__(self, folder: Path, backend: Backend, retries: int) -> None:
        self.store = ContentStore(str(folder))
        self.store.prepare()
        self.remote = Remote("studio", RetryingBackend(backend, retries, first=0.0), self.store)
        self.told = 0
        self._lock = threading.Lock()

    def count(self, digest: Digest, more: int) -> None:
        with self._lock:
            self.told += more

    def put(self, data: bytes) -> Digest:
        digest = hash_bytes(data)
        self.store.put_bytes(data, digest)
        return digest

    def send(self, digest: Digest) -> Transfer:
        (moved,) = self.remote.send([digest], self.count)
        return moved

    def bring(self, digest: Digest, size: int | None = SIZE) -> Transfer:
        (moved,) = self.remote.bring([(digest, size)], self.count)
        return moved

    def close(self) -> None:
        self.remote.backend.close()
        self.store.holds.release()

    def holds(self, digest: Digest, data: bytes) -> bool:
        path = self.store.stored(digest)
        return path is not None and Path(path).read_bytes() == data


@pytest.fixture
def server(tmp_path: Path) -> Iterator[WebServer]:
    with serving(tmp_path / "served") as found:
        yield found


@pytest.fixture
def side(server: WebServer, tmp_path: Path) -> Iterator[Callable[..., Side]]:
    sides = []

    def make(name: str = "here", retries: int = 0, idle: float = 5) -> Side:
        backend = Http(server.url, lambda url: None, connect=5, pace=Pace(patience=idle))
        sides.append(Side(tmp_path / name, backend, retries))
        return sides[-1]

    yield make
    for each in sides:
        each.close()


def served(server: WebServer, data: bytes) -> Digest:
    digest = hash_bytes(data)
    place = server.folder / layout.content(digest)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(data)
    return digest


def start_of(handler: Handler) -> int:
    asked = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
    return int(asked[1]) if asked else 0


def begin(handler: Handler, start: int, size: int, length: int) -> None:
    """The head of an answer with so many bytes of so many, from there."""
    handler.send_response(206 if start else 200)
    handler.send_header("Content-Length", str(length))
    if start:
        handler.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
    handler.end_headers()


def kind(error: RegenstoreError | None) -> str | None:
    return None if error is None else error.kind


# ------------------------------------------------------------------------------------------- bringing


def breaking(data: bytes, how: str) -> Callable[[Handler], bool]:
    """Gives a piece at a time, then ends the connection."""

    def fault(handler: Handler) -> bool:
        if handler.command != "GET":
            return False
        start = start_of(handler)
        begin(handler, start, len(data), len(data) - start)
        handler.give(data[start : start + PIECE])
        if how == "stalls" and start + PIECE < len(data):
            time.sleep(0.6)
        if how == "is reset":
            time.sleep(0.05)
            handler.break_off()
        handler.close_connection = True
        return True

    return fault


@pytest.mark.parametrize("how", ["ends", "is reset", "stalls"])
def test_a_connection_that_breaks_off_goes_on_where_it_was(
    server: WebServer, side: Callable[..., Side], how: str
) -> None:
    data = noise("down", SIZE)
    digest = served(server, data)
    here = side(retries=3, idle=0.3 if how == "stalls" else 5)
    server.fault = breaking(data, how)
    moved = here.bring(digest)
    assert moved.error is None and here.holds(digest, data)
    assert here.told == SIZE
    starts = [int(h.get("Range", "bytes=0-")[6:-1]) for method, _, h in server.asked if method == "GET"]
    assert starts == sorted(set(starts)) and len(starts) >= SIZE // PIECE
    # A reset throws away what lay in buffers; nothing else is ever served twice.
    assert server.sent == SIZE if how != "is reset" else server.sent < 2 * SIZE


def test_another_process_goes_on_where_the_first_gave_up(server: WebServer, side: Callable[..., Side]) -> None:
    data = noise("down", SIZE)
    digest = served(server, data)
    server.fault = breaking(data, "ends")
    gave_up = 0
    while (moved := side().bring(digest)).error is not None:
        assert kind(moved.error) == "remote-unreachable"
        assert side().store.stored(digest) is None
        gave_up += 1
        assert gave_up < 20
    assert gave_up == SIZE // PIECE and side().holds(digest, data)
    assert server.sent == SIZE


def test_without_ranges_it_begins_anew_and_is_right(server: WebServer, side: Callable[..., Side]) -> None:
    data = noise("down", SIZE)
    digest = served(server, data)
    here, whole = side(retries=3), breaking(data, "ends")
    server.ranges = False
    server.fault = lambda handler: len(server.asked) < 3 and whole(handler)
    moved = here.bring(digest)
    assert moved.error is None and here.holds(digest, data) and here.told == SIZE


def test_a_slow_line_is_no_failure(server: WebServer, side: Callable[..., Side]) -> None:
    data = noise("slow", 400_000)
    digest = served(server, data)

    def fault(handler: Handler) -> bool:
        if handler.command != "GET":
            return False
        begin(handler, 0, len(data), len(data))
        for at in range(0, len(data), 20_000):
            handler.give(data[at : at + 20_000])
            handler.wfile.flush()
            time.sleep(0.05)
        return True

    server.fault = fault
    here = side(idle=0.5)
    assert here.bring(digest, len(data)).error is None and here.holds(digest, data)
    assert server.methods().count("GET") == 1


@pytest.mark.parametrize("size", [SIZE, None])
def test_a_short_body_with_its_own_length_is_not_taken_for_all(
    server: WebServer, side: Callable[..., Side], size: int | None
) -> None:
    data = noise("short", SIZE)
    digest = served(server, data)

    def fault(handler: Handler) -> bool:
        if handler.command != "GET" or start_of(handler):
            return False
        handler.answer(200, data[:PIECE])
        return True

    server.fault = fault
    here = side()
    moved = here.bring(digest, size)
    assert moved.error is None and here.holds(digest, data) and here.told == SIZE
    assert server.sent == SIZE


@pytest.mark.parametrize("size", [SIZE, None])
@pytest.mark.parametrize("wrong", ["half", "empty", "longer", "flipped", "other"])
def test_wrong_bytes_on_the_server_never_become_a_content(
    server: WebServer, side: Callable[..., Side], wrong: str, size: int | None
) -> None:
    data = noise("right", SIZE)
    digest = served(server, data)
    flipped = data[:1234] + bytes([data[1234] ^ 1]) + data[1235:]
    bad = {
        "half": data[: SIZE // 2], "empty": b"", "longer": data + b"x", "flipped": flipped, "other": noise("o", SIZE),
    }[wrong]  # fmt: skip
    (server.folder / layout.content(digest)).write_bytes(bad)
    here = side(retries=2)
    moved = here.bring(digest, size)
    assert kind(moved.error) == "remote-wrong-bytes"
    assert here.store.stored(digest) is None
    assert here.remote.confirm([digest]) == {}
    (server.folder / layout.content(digest)).write_bytes(data)
    assert here.bring(digest, size).error is None and here.holds(digest, data)


def test_bytes_that_go_wrong_on_the_way_are_brought_again(server: WebServer, side: Callable[..., Side]) -> None:
    """Broken off, with a wrong byte in the part that is there already."""
    data = noise("way", SIZE)
    digest = served(server, data)
    bad, here = bytes([data[0] ^ 1]) + data[1:], side(retries=2)
    server.fault = lambda handler: start_of(handler) == 0 and len(server.asked) == 1 and breaking(bad, "ends")(handler)
    side_error = side().bring(digest).error
    assert kind(side_error) == "remote-unreachable"
    moved = here.bring(digest)
    assert moved.error is None and here.holds(digest, data) and here.told == SIZE


# ------------------------------------------------------------------------------------------- sending


def test_an_upload_that_breaks_off_is_sent_again(server: WebServer, side: Callable[..., Side]) -> None:
    data, here = noise("up", SIZE), side(retries=3)
    digest, breaks = here.put(data), [PIECE, 2 * PIECE, 0]

    def fault(handler: Handler) -> bool:
        if handler.command != "PUT" or not breaks:
            return False
        list(handler.take(breaks.pop()))
        handler.break_off()
        return True

    server.fault = fault
    moved = here.send(digest)
    assert moved.error is None and not breaks
    assert (server.folder / layout.content(digest)).read_bytes() == data
    assert here.told == SIZE and here.remote.confirm([digest]) == {digest: SIZE}


def test_an_upload_that_always_breaks_off_is_not_believed(server: WebServer, side: Callable[..., Side]) -> None:
    here = side(retries=2)
    digest = here.put(noise("up", SIZE))

    def fault(handler: Handler) -> bool:
        if handler.command == "PUT":
            list(handler.take(PIECE))
            handler.break_off()
        return handler.command == "PUT"

    server.fault = fault
    assert kind(here.send(digest).error) == "remote-unreachable"
    assert here.remote.having([digest]) == {} == here.remote.confirm([digest])
    server.fault = None
    assert here.send(digest).error is None


@pytest.mark.parametrize("kept", [0, 1, SIZE // 2, SIZE - 1, None])
def test_a_server_that_says_yes_and_keeps_less_is_not_believed(
    server: WebServer, side: Callable[..., Side], kept: int | None
) -> None:
    here = side(retries=2)
    digest = here.put(noise("up", SIZE))

    def fault(handler: Handler) -> bool:
        if handler.command != "PUT":
            return False
        count = 0 if kept is None else kept
        if kept is not None:
            handler.keep(count)
        list(handler.take(SIZE - count))
        handler.answer(201)
        return True

    server.fault = fault
    moved = here.send(digest)
    assert kind(moved.error) == "remote-failed"
    assert here.remote.confirm([digest]) == {}
    server.fault = None
    assert here.send(digest) == Transfer(digest, SIZE)
    assert here.remote.confirm([digest]) == {digest: SIZE}


def test_a_server_that_says_yes_too_early_is_not_believed(server: WebServer, side: Callable[..., Side]) -> None:
    here = side(retries=1)
    digest = here.put(noise("up", 40_000_000))

    def fault(handler: Handler) -> bool:
        if handler.command != "PUT":
            return False
        list(handler.take(PIECE))
        handler.answer(201)
        handler.close_connection = True
        return True

    server.fault = fault
    assert kind(here.send(digest).error) == "remote-unreachable"
    assert here.remote.having([digest]) == {}


def test_same_size_and_other_bytes_are_not_confirmed(server: WebServer, side: Callable[..., Side]) -> None:
    here = side()
    data = noise("up", SIZE)
    digest = here.put(data)
    assert here.send(digest).error is None
    place = server.folder / layout.content(digest)
    os.utime(place, (1e9, 1e9))
    assert here.remote.confirm([digest]) == {digest: SIZE}
    sent = server.sent
    assert here.remote.confirm([digest]) == {digest: SIZE} and server.sent == sent, "the tag stands for what was read"
    place.write_bytes(noise("other", SIZE))
    assert here.remote.confirm([digest]) == {}


# ------------------------------------------------------------------------------------------- both


@pytest.mark.parametrize("statuses", [(500,), (503, 429), (502, 504, 408)])
def test_a_server_that_is_busy_is_asked_again(
    server: WebServer, side: Callable[..., Side], statuses: tuple[int, ...]
) -> None:
    waiting: dict[str, list[int]] = {}

    def fault(handler: Handler) -> bool:
        left = waiting.setdefault(handler.command, list(statuses))
        if not left:
            return False
        list(handler.take(handler.length))
        handler.answer(left.pop(0), b"busy")
        return True

    server.fault = fault
    data, one, other = noise("busy", SIZE), side("one", 3), side("other", 3)
    digest = one.put(data)
    assert one.send(digest).error is None and one.told == SIZE
    assert other.bring(digest).error is None and other.holds(digest, data) and other.told == SIZE
    assert not any(left for method, left in waiting.items() if method in ("GET", "HEAD", "PUT"))


@pytest.mark.parametrize(("asked_for", "asks"), [("1", 2), ("Thu, 01 Jan 1970 00:00:00 GMT", 2), ("3600", 1)])
def test_a_server_that_says_when_is_asked_then(
    server: WebServer, side: Callable[..., Side], asked_for: str, asks: int
) -> None:
    """Not where that is so late that whoever waits had better be told."""
    server.fault = lambda handler: len(server.asked) == 1 and (handler.answer(503, Retry_After=asked_for) or True)
    began, here = time.monotonic(), side(retries=2)
    if asks == 1:
        with pytest.raises(StorageError, match="503"):
            here.remote.backend.head("v1/x")
    else:
        assert here.remote.backend.head("v1/x") is None
    assert len(server.asked) == asks
    assert (time.monotonic() - began >= 1.0) == (asked_for == "1")


def test_who_waits_to_try_again_is_told_that_nobody_wants_it_any_more() -> None:
    class Away:
        url = "https://away"

        def head(self, name: str) -> None:
            threading.Timer(0.1, stop.set).start()
            raise Busy("busy", 20.0)

    stop, began, waits = threading.Event(), time.monotonic(), list[tuple[str, float]]()
    context = contextvars.copy_context()
    context.run(CANCELLED.set, stop)
    with pytest.raises(TransferCancelled):
        context.run(RetryingBackend(Away(), waits=lambda *told: waits.append(told)).head, "v1/x")
    assert time.monotonic() - began < 10 and waits == [("busy", 20.0)]


def test_any_mixture_of_faults(server: WebServer, side: Callable[..., Side]) -> None:
    """Whatever happens: right bytes or an error; and when it is over, everything arrives."""
    seed = int(os.environ.get("REGENSTORE_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 32)
    print(f"REGENSTORE_SEED={seed}")
    chance, lock = random.Random(seed), threading.Lock()

    def fault(handler: Handler) -> bool:
        with lock:
            what, share = (
                chance.choice(["fine"] * 3 + ["status", "cut", "reset", "flip", "lie", "half"]),
                chance.random(),
            )
        if what == "fine" or (handler.command in ("HEAD", "PROPFIND") and share > 0.1):
            return False
        if what == "status":
            list(handler.take(handler.length))
            handler.answer([500, 503, 429, 507, 404][int(share * 5)], b"no")
        elif handler.command == "PUT":
            kept = int(handler.length * share)
            if what in ("lie", "half", "flip"):
                handler.keep(kept)
                list(handler.take(handler.length - kept))
                handler.answer(201)
            else:
                list(handler.take(kept))
                handler.break_off()
        elif handler.command == "GET" and handler.place.exists():
            data, start = handler.place.read_bytes(), start_of(handler)
            body = bytearray(data[start:])
            part = int(len(body) * share)
            if what == "flip" and body:
                body[part] ^= 1
            begin(handler, start, len(data), part if what == "lie" else len(body))
            handler.give(bytes(body if what == "flip" else body[:part]))
            if what == "reset":
                handler.break_off()
            handler.close_connection = True
        else:
            handler.break_off()
        return True

    one, other = side("one", 2), side("other", 2)
    contents = {one.put(data): data for data in (noise(f"m{n}", chance.randrange(300_000)) for n in range(30))}
    sizes = [(digest, len(data)) for digest, data in contents.items()]
    sent = brought = confirmed = 0
    for _ in range(4):
        server.fault = fault
        with suppress(RegenstoreError):  # where asking what is there failed
            for moved in one.remote.send(list(contents), one.count):
                if moved.error is None:
                    place = server.folder / layout.content(moved.digest)
                    assert place.stat().st_size == len(contents[moved.digest])
                    sent += 1
        for moved in other.remote.bring(sizes, other.count):
            assert moved.error is not None or other.holds(moved.digest, contents[moved.digest])
            brought += moved.error is None
        with suppress(RegenstoreError):
            for digest in other.remote.confirm(list(contents)):
                assert (server.folder / layout.content(digest)).read_bytes() == contents[digest]
                confirmed += 1
    server.fault = None
    assert sent and brought and confirmed
    assert not [moved for moved in one.remote.send(list(contents), one.count) if moved.error]
    assert not [moved for moved in other.remote.bring(sizes, other.count) if moved.error]
    assert all(other.holds(digest, data) for digest, data in contents.items())
