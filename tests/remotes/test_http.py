"""What only web servers do: credentials, redirects, kept connections, certificates, and WebDAV's listing."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from regenstore.errors import InvalidInput, StorageError
from regenstore.remotes.backends import multistatus
from regenstore.remotes.backends.contract import Absent, NoPlace
from regenstore.remotes.backends.http import Http
from regenstore.remotes.backends.opening import open_backend
from regenstore.remotes.settings import Pace
from tests.conftest import noise
from tests.remotes.web_server import Handler, WebServer, serving

NAME = f"v1/cas/ab/{'ab' * 32}"
SECRET = "s3cret:with:colons ü"


def nobody(url: str) -> None:
    return None


@pytest.fixture
def server(tmp_path: Path) -> Iterator[WebServer]:
    with serving(tmp_path / "served") as found:
        yield found


@pytest.fixture
def backend(server: WebServer) -> Iterator[Http]:
    found = Http(server.url, nobody, connect=5, pace=Pace(patience=5))
    yield found
    found.close()


def taken(backend: Http, name: str = NAME, start: int = 0) -> bytes:
    return b"".join(backend.read(name, start))


def kind_of(caught: pytest.ExceptionInfo[StorageError]) -> str:
    return caught.value.kind


# ------------------------------------------------------------------------------------------- addresses


@pytest.mark.parametrize(
    "url",
    [
        "http://ada:s3cret@host/x", "https://ada@host", "http://:s3cret@host", "http://", "https:///x",
        "http://host:port", "http://host:99999", "http://host/?x=1", "http://host/#x", "http://[::1", "http://ho st/",
        "http://host/a\r\nX: y", "http://" + "a" * 70 + ".example",
    ],
)  # fmt: skip
def test_addresses_that_are_refused(url: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        open_backend(url, nobody)
    assert caught.value.kind == "bad-config"
    assert "s3cret" not in caught.value.message + str(caught.value.hint)


def test_an_unknown_scheme_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(InvalidInput, match="https://") as caught:
        open_backend("gopher://host/x", nobody)
    assert caught.value.kind == "bad-config"


def test_paths_in_addresses(server: WebServer) -> None:
    for path, folder in (("/", ""), ("/a b/ü", "a%20b/%C3%BC/"), ("/a%20b/%C3%BC/", "a%20b/%C3%BC/")):
        backend = Http(server.url + path, nobody)
        backend.write(NAME, b"x")
        assert server.asked[-1][1] == f"/{folder}{NAME}"
        assert taken(backend) == b"x"
        backend.close()


# ------------------------------------------------------------------------------------------- credentials


def locked(server: WebServer, methods: tuple[str, ...] = ("GET", "HEAD", "PUT", "DELETE", "PROPFIND")) -> None:
    right = "Basic " + base64.b64encode(f"ada:{SECRET}".encode()).decode()

    def fault(handler: Handler) -> bool:
        if handler.command not in methods or handler.headers.get("Authorization") == right:
            return False
        handler.close_connection = True
        handler.answer(401, b"who are you?", WWW_Authenticate='Basic realm="studio"')
        return True

    server.fault = fault


def test_credentials_are_asked_for_once_and_only_after_401(server: WebServer, tmp_path: Path) -> None:
    asked: list[str] = []

    def credentials(url: str) -> tuple[str, str]:
        asked.append(url)
        return "ada", SECRET

    backend = Http(server.url + "/x/", credentials)
    backend.write(NAME, b"open")
    assert not asked and all("Authorization" not in headers for _, _, headers in server.asked)
    locked(server)
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda number: taken(backend), range(16))) == [b"open"] * 16
    assert asked == [server.url + "/x"]
    backend.close()


def test_a_large_body_is_not_sent_in_vain(server: WebServer, tmp_path: Path) -> None:
    locked(server, ("PUT",))
    path, told = tmp_path / "large", []
    path.write_bytes(noise("p", 1 << 20) * 40)
    backend = Http(server.url, lambda url: ("ada", SECRET))
    backend.write_file(NAME, str(path), told.append)
    assert sum(told) == 40 << 20 and (server.folder / NAME).read_bytes() == path.read_bytes()
    assert server.received == 40 << 20
    assert min(told) < 0 or len(told) == 40
    backend.close()


@pytest.mark.parametrize("given", [None, ("ada", "wrong"), ("bob", SECRET)])
def test_wrong_credentials_are_refused_and_not_shown(server: WebServer, given: tuple[str, str] | None) -> None:
    asked: list[str] = []
    locked(server)
    backend = Http(server.url, lambda url: asked.append(url) or given)
    for work in (lambda: backend.head(NAME), lambda: taken(backend), lambda: backend.write(NAME, b"x")):
        with pytest.raises(StorageError) as caught:
            work()
        assert kind_of(caught) == "remote-refused"
        assert SECRET not in str(caught.value) and "wrong" not in str(caught.value)
    with pytest.raises(StorageError) as caught:
        assert backend.lists
    assert kind_of(caught) == "remote-refused"
    assert len(asked) == 1
    backend.close()


def test_another_way_to_log_in_is_not_answered_with_a_password(server: WebServer) -> None:
    def fault(handler: Handler) -> bool:
        handler.answer(401, WWW_Authenticate='Digest realm="x", nonce="y"')
        return True

    server.fault = fault
    backend = Http(server.url, lambda url: pytest.fail("asked for a password"))
    with pytest.raises(StorageError) as caught:
        backend.head(NAME)
    assert kind_of(caught) == "remote-refused"
    backend.close()


# ------------------------------------------------------------------------------------------- answers


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "remote-failed"), (403, "remote-refused"), (405, "remote-failed"), (407, "remote-refused"),
        (408, "remote-unreachable"), (413, "remote-failed"), (429, "remote-unreachable"), (500, "remote-unreachable"),
        (501, "remote-failed"), (502, "remote-unreachable"), (503, "remote-unreachable"), (507, "remote-failed"),
        (599, "remote-unreachable"), (304, "remote-failed"), (299, None), (666, "remote-failed"),
    ],
)  # fmt: skip
def test_statuses_are_errors_of_their_kind(server: WebServer, backend: Http, status: int, kind: str | None) -> None:
    def fault(handler: Handler) -> bool:
        list(handler.take(handler.length))
        handler.answer(status)
        return True

    server.fault = fault
    for method, work in (
        ("GET", lambda: taken(backend)), ("HEAD", lambda: backend.head(NAME)),
        ("PUT", lambda: backend.write(NAME, b"x")), ("DELETE", lambda: backend.delete(NAME)),
    ):  # fmt: skip
        if kind is None and method in ("PUT", "DELETE"):
            work()
            continue
        with pytest.raises(StorageError) as caught:
            work()
        assert kind_of(caught) == (kind or "remote-failed")


def test_a_server_without_ranges_is_read_past(server: WebServer, backend: Http) -> None:
    server.ranges = False
    data = noise("r", 2_500_000)
    backend.write(NAME, data)
    for start in (0, 1, 1 << 20, 2_400_000, len(data), len(data) + 5):
        assert taken(backend, start=start) == data[start:]


def test_another_range_than_was_asked_for_is_refused(server: WebServer, backend: Http) -> None:
    backend.write(NAME, b"0123456789")
    for said in ("bytes 0-9/10", "bytes 3-9/10", "", "bytes */10", "items 2-9/10"):
        server.fault = lambda handler, said=said: handler.answer(206, b"23456789", Content_Range=said) or True
        with pytest.raises(StorageError) as caught:
            taken(backend, start=2)
        assert kind_of(caught) == "remote-failed"


def test_a_compressed_answer_is_refused(server: WebServer, backend: Http) -> None:
    server.fault = lambda handler: handler.answer(200, b"x", Content_Encoding="gzip") or True
    with pytest.raises(StorageError, match="compressed"):
        taken(backend)


@pytest.mark.parametrize("headers", [{}, {"Transfer_Encoding": "chunked"}])
def test_a_server_that_tells_no_size_has_no_heads(server: WebServer, backend: Http, headers: dict[str, str]) -> None:
    def fault(handler: Handler) -> bool:
        handler.send_response(200)
        handler.end_headers()
        handler.close_connection = True
        return True

    server.fault = fault
    with pytest.raises(StorageError, match="size") as caught:
        backend.head(NAME)
    assert kind_of(caught) == "remote-failed"


def test_chunked_and_endless_bodies(server: WebServer, backend: Http) -> None:
    data, ways = noise("c", 300_000), ["chunked", "endless", "chunked", "cut off"]

    def fault(handler: Handler) -> bool:
        way = ways.pop(0)
        handler.send_response(200)
        handler.send_header(*(("Connection", "close") if way == "endless" else ("Transfer-Encoding", "chunked")))
        handler.end_headers()
        for start in range(0, len(data), 100_000):
            block = data[start : start + 100_000]
            handler.give(block if way == "endless" else b"%x\r\n%b\r\n" % (len(block), block))
        if way == "chunked":
            handler.wfile.write(b"0\r\n\r\n")
        handler.close_connection = way != "chunked"
        return True

    server.fault = fault
    while len(ways) > 1:
        assert taken(backend) == data
    got = b""
    with pytest.raises(StorageError) as caught:
        for block in backend.read(NAME):
            got += block
    assert kind_of(caught) == "remote-unreachable" and got == data


# ------------------------------------------------------------------------------------------- redirects


def redirect(server: WebServer, to: str, status: int = 302) -> None:
    def fault(handler: Handler) -> bool:
        if handler.path.startswith("/moved"):
            return False
        list(handler.take(handler.length))
        handler.answer(status, b"over there", Location=to.format(path=handler.path))
        return True

    server.fault = fault


@pytest.mark.parametrize("to", ["/moved{path}", "{here}/moved{path}", "/moved{path}?x=1"])
def test_reads_follow_redirects_on_the_server(server: WebServer, backend: Http, to: str) -> None:
    target = server.folder / "moved" / NAME
    target.parent.mkdir(parents=True)
    target.write_bytes(b"moved")
    redirect(server, to.replace("{here}", server.url))
    assert taken(backend) == b"moved" and taken(backend, start=2) == b"ved"
    head = backend.head(NAME)
    assert head is not None and head.size == 5
    assert server.connections == 1
    with pytest.raises(StorageError) as caught:
        backend.write(NAME, b"x")
    assert kind_of(caught) == "remote-failed"


@pytest.mark.parametrize("to", ["http://127.0.0.2:{port}/x", "https://127.0.0.1:{port}/x", "http://127.0.0.1:1/x",
                                "//example.org/x", "file:///etc/passwd", "http://[", "", "{path}"])  # fmt: skip
def test_no_other_redirect_is_followed(server: WebServer, backend: Http, to: str) -> None:
    redirect(server, to.replace("{port}", str(server.server_port)))
    with pytest.raises(StorageError, match="302") as caught:
        taken(backend)
    assert kind_of(caught) == "remote-failed"
    assert len(server.asked) == (6 if to == "{path}" else 1)


# ------------------------------------------------------------------------------------------- connections


def test_connections_are_used_again(server: WebServer, backend: Http) -> None:
    for number in range(10):
        backend.write(NAME, b"%d" % number)
        taken(backend)
        backend.head(NAME)
        backend.head(NAME + "0")
        with pytest.raises(Absent):
            taken(backend, NAME + "0")
        backend.delete(NAME)
        assert not backend.lists
    assert server.connections == 1


def test_a_connection_that_the_server_closed_is_opened_again(server: WebServer, backend: Http) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: backend.write(f"{NAME}{number}", b"x"), range(20)))
    before = server.connections
    server.hang_up()
    assert taken(backend, NAME + "1") == b"x"
    assert server.connections == before + 1


def test_a_silent_server_is_given_up(server: WebServer) -> None:
    done = threading.Event()
    server.fault = lambda handler: done.wait(10) or True
    backend = Http(server.url, nobody, connect=1, pace=Pace(patience=0.3))
    with pytest.raises(StorageError) as caught:
        backend.head(NAME)
    assert kind_of(caught) == "remote-unreachable"
    done.set()
    backend.close()


def test_nobody_there() -> None:
    with pytest.raises(StorageError) as caught:
        Http("http://127.0.0.1:1/", nobody, connect=5).head(NAME)
    assert kind_of(caught) == "remote-unreachable" and "http://127.0.0.1:1" in caught.value.message


def test_certificates_are_checked(
    secure: tuple[str, Path], server: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, certificate = secure
    with pytest.raises(StorageError, match="certificate") as caught:
        Http(url, nobody).head(NAME)
    assert kind_of(caught) == "remote-failed"
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with pytest.raises(StorageError, match="certificate"):
        Http(url.replace("localhost", "127.0.0.1"), nobody).head(NAME)
    path = tmp_path / "file"
    path.write_bytes(noise("tls", 9_000_000))
    before = server.connections
    backend = Http(url, nobody)
    backend.write_file(NAME, str(path), lambda count: None)
    assert taken(backend) == path.read_bytes() and taken(backend, start=8_000_000) == path.read_bytes()[8_000_000:]
    assert server.connections == before + 1
    locked(server)
    with pytest.raises(StorageError) as caught:
        backend.write_file(NAME, str(path), lambda count: None)
    assert kind_of(caught) in ("remote-refused", "remote-unreachable")
    backend.close()


# ------------------------------------------------------------------------------------------- listing

LISTED = """<?xml version="1.0"?>
<D:multistatus xmlns:D="DAV:" xmlns:x="urn:x">
<D:response><D:href>{base}/v1/cas/</D:href><D:propstat><D:prop><D:resourcetype><D:collection/></D:resourcetype>
</D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response>
<D:response><D:href>{base}/v1/cas/a%62</D:href><D:propstat><D:prop><D:resourcetype/>
<D:getcontentlength> 12 </D:getcontentlength><D:getetag>"e&amp;1"</D:getetag>
<D:getlastmodified>Mon, 02 Nov 2026 10:00:00 GMT</D:getlastmodified><x:getcontentlength>99</x:getcontentlength>
</D:prop></D:propstat><D:propstat><D:prop><D:getcontentlength/></D:prop></D:propstat></D:response>
<D:response><D:href>http://other/etc/passwd</D:href></D:response>
<D:response><D:href>{base}/v1/cas/../up</D:href><D:propstat><D:prop><D:getcontentlength>1</D:getcontentlength>
</D:prop></D:propstat></D:response>
<D:response><D:href>{base}/v1/cas/%2e%2e</D:href><D:propstat><D:prop><D:getcontentlength>1</D:getcontentlength>
</D:prop></D:propstat></D:response>
</D:multistatus>"""


@pytest.mark.parametrize("base", ["", "http://127.0.0.1"])
def test_a_listing_is_read(server: WebServer, backend: Http, base: str) -> None:
    def fault(handler: Handler) -> bool:
        body = b"".join(handler.take(handler.length))
        assert handler.command == "PROPFIND" and b"getcontentlength" in body
        handler.answer(207, LISTED.format(base=base).encode())
        return True

    server.fault = fault
    assert backend.lists
    ((name, head),) = backend.names("v1/cas/")
    assert (name, head.size) == ("v1/cas/ab", 12)
    assert head.tag == '"e&1" Mon, 02 Nov 2026 10:00:00 GMT' and head.modified == 1793613600.0


BOMB = b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><multistatus xmlns="DAV:">&b;</multistatus>'
OUTSIDE = b'<!DOCTYPE x SYSTEM "file:///etc/passwd"><multistatus xmlns="DAV:"/>'


@pytest.mark.parametrize(
    "text", [BOMB, OUTSIDE, b"", b"no XML", LISTED.encode()[:300], b"\xff\xfe\x00", b"<a>" + b"&unknown;" + b"</a>",
             b'<response xmlns="DAV:"><href>' + b"x" * 100_000 + b"</href></response>"],
)  # fmt: skip
def test_a_listing_that_is_none_is_refused(server: WebServer, backend: Http, text: bytes) -> None:
    def fault(handler: Handler) -> bool:
        list(handler.take(handler.length))
        handler.answer(207, text)
        return True

    with pytest.raises(ValueError):
        list(multistatus.entries([text]))
    server.fault = fault
    with pytest.raises(StorageError) as caught:
        list(backend.names("v1/cas/"))
    assert kind_of(caught) == "remote-failed"


def test_a_listing_may_come_in_any_pieces() -> None:
    text = LISTED.format(base="").encode()
    whole = list(multistatus.entries([text]))
    assert len(whole) == 5
    for size in (1, 7, 100):
        assert list(multistatus.entries(text[at : at + size] for at in range(0, len(text), size))) == whole


def test_whether_it_lists_is_asked_for_once_it_can_be_known(server: WebServer, backend: Http) -> None:
    answers = [(404, False), (503, None), (207, True), (500, True)]

    def fault(handler: Handler) -> bool:
        list(handler.take(handler.length))
        handler.answer(answers[0][0], b"<x/>")
        return True

    server.fault = fault
    while answers:
        expected = answers[0][1]
        if expected is None:
            with pytest.raises(StorageError):
                assert backend.lists
        else:
            assert backend.lists is expected
        answers.pop(0)


# ------------------------------------------------------------------------------------------- folders


def test_a_server_that_takes_nothing_is_not_one_that_lacks_a_folder(server: WebServer) -> None:
    """Whoever answers 404 to what he does not know can still be read from."""

    def fault(handler: Handler) -> bool:
        if handler.command not in ("PUT", "MKCOL"):
            return False
        list(handler.take(handler.length))
        handler.answer(404)
        return True

    server.fault = fault
    with closing(Http(f"{server.url}/a/b", nobody)) as backend, pytest.raises(StorageError, match="PUT") as caught:
        backend.write(NAME, b"x")
    assert not isinstance(caught.value, NoPlace)


@pytest.mark.parametrize("status", [403, 404, 409, 507])
def test_a_folder_that_cannot_be_made(server: WebServer, status: int) -> None:
    """It ends, from whatever level on the server refuses."""

    def fault(handler: Handler) -> bool:
        handler.answer(status)
        return True

    server.fault = fault
    with pytest.raises(StorageError, match=str(status)):
        Http(f"{server.url}/a/b/c", nobody, create=True)
    assert len(server.asked) == (4 if status in (404, 409) else 1)
