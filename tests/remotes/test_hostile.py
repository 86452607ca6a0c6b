"""Remotes that are slow, endless or lie: each is given up within what its pace allows, the disk never holds more than
was known before, and no temp file stays."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from regenstore.errors import RegenstoreError, StorageError
from regenstore.objects.content_store import ContentStore
from regenstore.objects.hashing import hash_bytes
from regenstore.objects.ids import Digest
from regenstore.remotes import layout, records
from regenstore.remotes.backends import listing
from regenstore.remotes.backends.contract import Absent, Backend, Head
from regenstore.remotes.backends.directory import Directory
from regenstore.remotes.backends.http import Http
from regenstore.remotes.check import probe, sample
from regenstore.remotes.records import Records
from regenstore.remotes.remote import Remote
from regenstore.remotes.remote_set import RemoteSet, nobody
from regenstore.remotes.retries import RetryingBackend
from regenstore.remotes.settings import Pace
from tests.conftest import noise
from tests.remotes.web_server import Handler, WebServer, serving

PACE = Pace(lowest=2000, patience=0.5)
QUICK = 8.0
DATA = noise("medium", 50_000)
DIGEST = hash_bytes(DATA)
NAME = layout.content(DIGEST)


@pytest.fixture
def store(tmp_path: Path) -> ContentStore:
    made = ContentStore(str(tmp_path / "store"))
    made.prepare()
    return made


def remote_at(backend: Backend, store: ContentStore) -> Remote:
    return Remote("studio", RetryingBackend(backend, 2, first=0.0, pace=PACE), store)


def brought(remote: Remote, size: int | None) -> RegenstoreError | None:
    """What bringing the medium says, in good time and without a temp file."""
    began = time.monotonic()
    (moved,) = remote.bring([(DIGEST, size)], nobody)
    assert time.monotonic() - began < QUICK
    assert os.listdir(f"{remote._store.root}/tmp") == []
    assert (moved.error is None) == (remote._store.stored(DIGEST) is not None)
    return moved.error


# ------------------------------------------------------------------------------------------- a raw server


@contextmanager
def raw_server(answer: Callable[[socket.socket, threading.Event], None]) -> Iterator[str]:
    """A server that answers every request on a connection of its own, as a function writes it to the socket."""
    listening = socket.create_server(("127.0.0.1", 0))
    over = threading.Event()

    def serve(connection: socket.socket) -> None:
        with connection:
            try:
                connection.settimeout(5)
                while b"\r\n\r\n" not in connection.recv(1 << 16):
                    pass
                answer(connection, over)
            except OSError:
                pass

    def accept() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        over.set()
        listening.close()


def trickle(head: bytes, piece: bytes) -> Callable[[socket.socket, threading.Event], None]:
    def answer(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(head)
        while not over.wait(0.05):
            connection.sendall(piece)

    return answer


def flood(head: bytes, piece: bytes) -> Callable[[socket.socket, threading.Event], None]:
    def answer(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(head)
        while not over.is_set():
            connection.sendall(piece * 100)

    return answer


def silent(connection: socket.socket, over: threading.Event) -> None:
    over.wait(20)


OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
SLOW = {
    "says nothing": silent,
    "trickles its status": trickle(b"HT", b""),
    "trickles its headers": trickle(OK, b"X: y\r\n"),
    "trickles one header": trickle(OK + b"X: ", b"y"),
    "trickles its body": trickle(OK + b"Content-Length: 50000\r\n\r\n", b"x"),
    "trickles chunks": trickle(CHUNKED, b"1\r\nx\r\n"),
    "trickles a chunk's size": trickle(CHUNKED + b"1", b";"),
    "trickles trailers": trickle(CHUNKED + b"0\r\n", b"X: y\r\n"),
}
ENDLESS = {
    "headers": flood(OK, b"X: y\r\n"),
    "a header": flood(OK + b"X: ", b"y" * 100),
    "continue": flood(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "a body": flood(OK + b"\r\n", b"x" * 1000),
    "a long body": flood(OK + b"Content-Length: 1000000000000000000\r\n\r\n", b"x" * 1000),
    "chunks": flood(CHUNKED, b"1\r\nx\r\n"),
    "trailers": flood(CHUNKED + b"0\r\n", b"X: y\r\n"),
}


@pytest.mark.parametrize("how", SLOW)
def test_a_server_that_is_too_slow_is_given_up(store: ContentStore, how: str) -> None:
    with raw_server(SLOW[how]) as url, closing(Http(url, lambda url: None, pace=PACE)) as backend:
        error = brought(remote_at(backend, store), len(DATA))
        assert error is not None and error.kind == "remote-unreachable" and "too slow" in error.message
        with pytest.raises(StorageError):
            backend.head(NAME) if "body" not in how and "chunk" not in how and "trail" not in how else list(
                backend.read(NAME)
            )


@pytest.mark.parametrize("size", [len(DATA), None])
@pytest.mark.parametrize("how", ENDLESS)
def test_an_answer_without_end_is_given_up(store: ContentStore, how: str, size: int | None) -> None:
    with raw_server(ENDLESS[how]) as url, closing(Http(url, lambda url: None, pace=PACE)) as backend:
        assert brought(remote_at(backend, store), size) is not None


def test_a_silent_server_does_not_hold_up_who_is_not_interested_any_more(store: ContentStore) -> None:
    with raw_server(silent) as url, closing(Http(url, lambda url: None)) as backend:
        answers = Remote("studio", RetryingBackend(backend), store).bring([(DIGEST, len(DATA))], nobody)
        threading.Timer(0.3, lambda: os.kill(os.getpid(), 2)).start()
        began = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            next(answers)
        assert time.monotonic() - began < QUICK


def test_a_remote_that_stays_silent_is_not_asked_for_everything(store: ContentStore) -> None:
    digests = [hash_bytes(b"%d" % number) for number in range(40)]
    asked: list[float] = []

    def answer(connection: socket.socket, over: threading.Event) -> None:
        asked.append(time.monotonic())
        over.wait(20)

    with raw_server(answer) as url, closing(Http(url, lambda url: None, pace=PACE)) as backend:
        elsewhere = RemoteSet([Remote("studio", RetryingBackend(backend, 0, pace=PACE), store, jobs=4)])
        elsewhere._places = dict.fromkeys(digests, (elsewhere._remotes[0], 100))
        began = time.monotonic()
        moved = list(elsewhere.bring(digests, nobody))
        assert time.monotonic() - began < QUICK
    assert {each.digest for each in moved} == set(digests) and all(each.error is not None for each in moved)
    assert len(asked) < 20 and list(elsewhere.problems) == ["studio"]


# ------------------------------------------------------------------------------------------- answers that are wrong


@pytest.fixture
def server(tmp_path: Path) -> Iterator[WebServer]:
    with serving(tmp_path / "served") as found:
        yield found


def page(handler: Handler) -> bool:
    list(handler.take(handler.length))
    handler.answer(200, b"<!DOCTYPE html><title>Log in</title>" * 9, Content_Type="text/html")
    return True


def circle(handler: Handler) -> bool:
    list(handler.take(handler.length))
    handler.answer(302, b"", Location=handler.path + "x")
    return True


def packed(handler: Handler) -> bool:
    list(handler.take(handler.length))
    handler.answer(200, b"\x1f\x8b" * 20, Content_Encoding="gzip", ETag='"x"')
    return True


@pytest.mark.parametrize("fault", [page, circle, packed])
def test_an_answer_that_is_none_is_an_error(server: WebServer, store: ContentStore, fault: Callable[..., bool]) -> None:
    server.fault = fault
    with closing(Http(server.url, lambda url: None, pace=PACE)) as backend:
        remote = remote_at(backend, store)
        assert brought(remote, len(DATA)) is not None
        assert brought(remote, None) is not None
        assert not probe(remote.backend).can("answer", "write", "read")
        assert remote.confirm([DIGEST]) == {} if fault is page else True
        assert Records(remote)._index() is not None if fault is page else True


def test_what_a_remote_calls_huge_does_not_fill_the_disk(server: WebServer, store: ContentStore) -> None:
    """Also where nothing else tells how large it is."""

    def fault(handler: Handler) -> bool:
        handler.answer(200, b"x" * 1000, length=10**18)
        return True

    server.fault = fault
    with closing(Http(server.url, lambda url: None, pace=PACE)) as backend:
        error = brought(remote_at(backend, store), None)
        assert error is not None and error.kind == "disk-full" and "1000000000000000000" in error.message
        error = brought(remote_at(backend, store), len(DATA))
        assert error is not None and error.kind != "disk-full"


# ------------------------------------------------------------------------------------------- listings


def response(href: str, *, folder: bool = False) -> str:
    kind = "<resourcetype><collection/></resourcetype>" if folder else "<getcontentlength>5</getcontentlength>"
    return f"<response><href>{href}</href><propstat><prop>{kind}</prop></propstat></response>"


@pytest.mark.parametrize("how", ["nothing", "the same", "other names", "folders", "deep"])
def test_a_listing_without_end_is_given_up(server: WebServer, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "MOST", 3000)
    monkeypatch.setattr(listing, "FOLDERS", 50)
    monkeypatch.setattr("regenstore.remotes.backends.http.MOST", 3000)
    served = 0

    def fault(handler: Handler) -> bool:
        nonlocal served
        list(handler.take(handler.length))
        served += 1
        handler.send_response(207)
        handler.end_headers()
        handler.close_connection = True
        at = handler.path
        handler.give(b'<multistatus xmlns="DAV:">')
        if how == "deep":
            handler.give((response(at, folder=True) + response(f"{at}a/", folder=True)).encode() + b"</multistatus>")
            return True
        for number in range(100_000):
            text = {
                "nothing": f"<x a='{'y' * 900}'/>" * 9,
                "the same": response(f"{at}same"),
                "other names": response(f"{at}{number}"),
                "folders": response(f"{at}{number}/", folder=True),
            }[how]
            handler.give(text.encode() * 20)
        return True

    server.fault = fault
    with closing(RetryingBackend(Http(server.url, lambda url: None, pace=PACE), 0, pace=PACE)) as backend:
        began = time.monotonic()
        if how == "deep":
            assert list(backend.names(layout.CONTENTS)) == [] and served < 10
        else:
            with pytest.raises(StorageError) as caught:
                list(backend.names(layout.CONTENTS))
            assert caught.value.kind == "remote-failed" and "list" in caught.value.message
        assert time.monotonic() - began < QUICK


def test_a_listing_that_goes_round_is_given_up() -> None:
    """As with a store whose pages repeat their continuation token."""

    class Round:
        url = "s3://bucket"
        lists = True

        def names(self, prefix: str) -> Iterator[tuple[str, Head]]:
            while True:
                yield from ((f"{prefix}{number}", Head(1, "")) for number in range(10))

    with pytest.raises(StorageError, match="does not end"):
        RetryingBackend(Round(), 0).names("v1/cas/")


# ------------------------------------------------------------------------------------------- folders


@pytest.mark.parametrize("what", ["FIFO", "device", "folder", "sparse"])
def test_what_is_no_content_in_a_folder_is_passed_over(tmp_path: Path, store: ContentStore, what: str) -> None:
    place = tmp_path / "share" / NAME
    place.parent.mkdir(parents=True)
    if what == "FIFO":
        os.mkfifo(place)
    elif what == "device":
        place.symlink_to("/dev/zero")
    elif what == "folder":
        place.mkdir()
    else:
        with open(place, "wb") as file:
            file.truncate(1 << 42)
    remote = remote_at(Directory(str(tmp_path / "share")), store)
    for size in (len(DATA), None):
        assert brought(remote, size) is not None
    names = dict(remote.backend.names(layout.CONTENTS))
    assert (NAME in names) == (what == "sparse")
    assert remote.confirm([DIGEST], patience=1) == {}
    if what != "sparse":
        assert sample(remote, [DIGEST], 5).there == 0
        with pytest.raises((StorageError, Absent)):
            list(remote.backend.read(NAME))
    if what in ("FIFO", "device"):
        store.put_bytes(DATA, DIGEST)
        (sent,) = remote.send([DIGEST], nobody)
        assert sent.error is None and place.read_bytes() == DATA and not place.is_symlink()


# ------------------------------------------------------------------------------------------- records


def shared(folder: Path, data: bytes) -> Digest:
    digest = hash_bytes(data)
    place = folder / layout.record(digest)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(data)
    return digest


def test_records_that_are_huge_or_deep_do_no_harm(
    tmp_path: Path, store: ContentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    share = tmp_path / "share"
    good = {
        "kind": "result", "key": f"key:{'a' * 64}", "recipe": "x", "outputs": {}, "seconds": 1, "created": 2,
        "fingerprint": {},
    }  # fmt: skip
    wild = [
        json.dumps({**good, "seconds": float("nan")}), json.dumps({**good, "created": float("inf")}),
        json.dumps({**good, "outputs": {"main": {"digest": str(DIGEST), "size": -5, "media_type": "x"}}}),
        json.dumps({**good, "outputs": {"main": {"digest": str(DIGEST), "size": 10**30, "media_type": "x"}}}),
        json.dumps({**good, "fingerprint": 7}), "[" * 100_000, '{"kind":' * 50_000, '{"kind": ' + "9" * 10_000 + "}",
        json.dumps({**good, "kind": ["result"]}),
    ]  # fmt: skip
    shared(share, "\n".join([*wild, json.dumps(good)]).encode())
    remote = remote_at(Directory(str(share)), store)
    found = Records(remote)
    assert found.fetch() == 1
    assert [len(each) for each in found._read().results.values()] == [1] and list(found.proofs()) == []
    monkeypatch.setattr(records, "LARGEST", 1000)
    monkeypatch.setattr(records, "MOST", 1500)
    for number in range(3):
        shared(share, b"%d\n" % number * 300)
    with pytest.raises(StorageError) as caught:
        Records(remote).fetch()
    assert caught.value.kind == "remote-failed" and "remote gc" in caught.value.hint
    shared(share, b"x" * 2000)
    with pytest.raises(StorageError):
        Records(remote_at(Directory(str(share)), store)).fetch()


# ------------------------------------------------------------------------------------------- S3 and SFTP


def s3(url: str, monkeypatch: pytest.MonkeyPatch) -> Backend:
    pytest.importorskip("obstore")
    from regenstore.remotes.backends.object_store import ObjectStore

    for name, value in {
        "AWS_ENDPOINT_URL": url, "AWS_ALLOW_HTTP": "true", "AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    return ObjectStore("s3://bucket/film", PACE)


S3_HEAD = OK + b'ETag: "x"\r\nLast-Modified: Mon, 01 Jan 2024 00:00:00 GMT\r\nContent-Length: %d\r\n\r\n' % len(DATA)


@pytest.mark.parametrize(
    "answer",
    [silent, trickle(OK, b"X: y\r\n"), trickle(S3_HEAD, b"x"), trickle(S3_HEAD.replace(b"50000", b"5000000"), b"x")],
)
def test_an_object_store_that_is_too_slow_is_given_up(
    store: ContentStore, monkeypatch: pytest.MonkeyPatch, answer: Callable[[socket.socket, threading.Event], None]
) -> None:
    with raw_server(answer) as url:
        error = brought(remote_at(s3(url, monkeypatch), store), len(DATA))
        assert error is not None and error.kind in ("remote-unreachable", "remote-wrong-bytes")


def test_pages_that_repeat_their_token_are_given_up(server: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "_REPEATS", 50)
    entry = "".join(
        f"<Contents><Key>film/v1/cas/ab/{number}</Key><LastModified>2024-01-01T00:00:00.000Z</LastModified>"
        f"<ETag>&quot;x&quot;</ETag><Size>5</Size></Contents>"
        for number in range(40)
    )
    body = (
        '<?xml version="1.0"?><ListBucketResult><Name>bucket</Name><Prefix>film/v1/cas/</Prefix><KeyCount>40</KeyCount>'
        f"<IsTruncated>true</IsTruncated><NextContinuationToken>again</NextContinuationToken>{entry}</ListBucketResult>"
    )

    def fault(handler: Handler) -> bool:
        handler.answer(200, body.encode(), Content_Type="application/xml")
        return True

    server.fault = fault
    with pytest.raises(StorageError, match="does not end"):
        RetryingBackend(s3(server.url, monkeypatch), 0).names(layout.CONTENTS)


@pytest.mark.parametrize(
    "says", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-x\r\n" + bytes(5000), b"\xff" * 9000]
)
def test_an_ssh_server_that_is_none_is_given_up(
    store: ContentStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: bytes
) -> None:
    pytest.importorskip("asyncssh")
    from regenstore.remotes.backends import sftp, ssh
    from regenstore.remotes.settings import SshSetting

    monkeypatch.setattr(ssh, "CONNECT", 0.5)
    monkeypatch.setattr(sftp, "CONNECT", 0.5)
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    taken: list[socket.socket] = []

    def take() -> None:
        while True:
            try:
                taken.append(listening.accept()[0])
                taken[-1].sendall(says)
            except OSError:
                return

    threading.Thread(target=take, daemon=True).start()
    (tmp_path / ".ssh").mkdir()
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ"
    (tmp_path / ".ssh" / "known_hosts").write_text(f"[127.0.0.1]:{port} {key}\n")
    backend = sftp.Sftp(
        f"sftp://ada@127.0.0.1:{port}/srv", lambda url: None, SshSetting(str(tmp_path / ".ssh")), pace=PACE
    )
    error = brought(remote_at(backend, store), len(DATA))
    assert error is not None and error.kind in ("remote-unreachable", "remote-failed", "remote-refused")
    backend.close()
    listening.close()
    for each in taken:
        each.close()
