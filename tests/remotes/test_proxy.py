"""Web servers behind a proxy: a real one, with and without a password, for HTTP and for HTTPS."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from regenstore import config
from regenstore.errors import InvalidInput, StorageError
from regenstore.refs.git import Git
from regenstore.remotes.backends.http import Http
from regenstore.remotes.backends.opening import open_backend
from regenstore.remotes.backends.proxy import proxy_for
from regenstore.remotes.settings import Pace, Proxies
from tests.conftest import noise
from tests.remotes.forward_proxy import ForwardProxy, forwarding
from tests.remotes.real_servers import Started, free_port
from tests.remotes.test_http import nobody
from tests.remotes.web_server import WebServer, serving

NAME = f"v1/cas/ab/{'ab' * 32}"
LOGIN, WRITTEN = "ada:s3cret @words", "ada:s3cret%20%40words"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[WebServer]:
    with serving(tmp_path / "served") as found:
        yield found


@pytest.fixture
def proxy() -> Iterator[ForwardProxy]:
    with forwarding(LOGIN) as found:
        yield found


def through(url: str, proxy: ForwardProxy | None, login: str = WRITTEN, none: str = "", port: int = 0) -> Http:
    address = f"http://{login}{'@' if login else ''}127.0.0.1:{port or (proxy.port if proxy else 0)}"
    return Http(url, nobody, connect=5, pace=Pace(patience=5), proxies=Proxies(address, address, none))


def works(backend: Http, path: Path) -> None:
    data = noise("proxied", 3_000_001)
    path.write_bytes(data)
    backend.write_file(NAME, str(path), lambda count: None)
    backend.write(NAME + "x", b"small")
    head = backend.head(NAME)
    assert head is not None and head.size == len(data)
    assert b"".join(backend.read(NAME)) == data and b"".join(backend.read(NAME, 1_000_000)) == data[1_000_000:]
    assert backend.head(NAME + "y") is None
    backend.delete(NAME + "x")


def test_http_through_a_proxy(server: WebServer, proxy: ForwardProxy, tmp_path: Path) -> None:
    with closing(through(f"{server.url}/a b", proxy)) as backend:
        works(backend, tmp_path / "file")
    assert len(proxy.asked) >= 7 and not proxy.refused
    assert all(target.startswith(f"{server.url}/a%20b/v1/") for _, target in proxy.asked)
    assert not any("authorization" in key.lower() for _, _, headers in server.asked for key in headers)
    assert all(headers["host"] == server.url.removeprefix("http://") for _, _, headers in server.asked)


def test_https_through_a_tunnel(
    secure: tuple[str, Path],
    server: WebServer, proxy: ForwardProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    url, certificate = secure
    with closing(through(url, proxy)) as backend, pytest.raises(StorageError, match="certificate"):
        backend.head(NAME)
    monkeypatch.setattr(ssl, "create_default_context", lambda: _trusting(certificate))
    with closing(through(url, proxy)) as backend:
        works(backend, tmp_path / "file")
    assert set(proxy.asked) == {("CONNECT", url.removeprefix("https://"))}
    assert not any("authorization" in key.lower() for _, _, headers in server.asked for key in headers)


def _trusting(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(certificate)
    return context


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_what_a_proxy_refuses_is_said_without_the_password(server: WebServer, proxy: ForwardProxy, scheme: str) -> None:
    url = server.url.replace("http:", f"{scheme}:")
    for login in ("", "ada:s3cretwrong"):
        with closing(through(url, proxy, login)) as backend, pytest.raises(StorageError, match="407") as caught:
            backend.head(NAME)
        assert caught.value.kind == "remote-refused"
        assert f"proxy 127.0.0.1:{proxy.port}" in caught.value.message and "s3cret" not in caught.value.message
    proxy.answer = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"
    with closing(through(url, proxy)) as backend, pytest.raises(StorageError, match="403") as caught:
        backend.head(NAME)
    assert caught.value.kind == "remote-refused"
    assert server.asked == []


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_nobody_there(proxy: ForwardProxy, scheme: str) -> None:
    nowhere = f"{scheme}://127.0.0.1:{free_port()}"
    for backend in (through(nowhere, proxy), through(nowhere, None, port=free_port())):
        with closing(backend), pytest.raises(StorageError, match="through the proxy") as caught:
            backend.head(NAME)
        assert caught.value.kind == "remote-unreachable" and "s3cret" not in caught.value.message


def test_a_server_that_is_asked_directly(server: WebServer, proxy: ForwardProxy, tmp_path: Path) -> None:
    with closing(through(server.url, proxy, none="example.org, 127.0.0.0/8")) as backend:
        works(backend, tmp_path / "file")
    assert proxy.asked == [] and server.asked


@pytest.mark.parametrize(
    ("none", "host", "direct"),
    [
        ("", "example.org", False), ("*", "example.org", True), ("example.org", "example.org", True),
        ("example.org", "media.example.org", True), (".example.org", "media.example.org", True),
        ("example.org", "badexample.org", False), ("other, Example.Org.", "example.org", True),
        ("example.org:8080", "example.org", False), ("example.org:443", "example.org", True),
        ("10.0.0.0/8", "10.1.2.3", True), ("10.0.0.0/8", "11.1.2.3", False), ("10.1.2.3", "10.1.2.3", True),
        ("::1", "::1", True), ("[::1]", "::1", True), ("fd00::/8", "fd12::1", True), ("1.2.3.4", "1.2.3.45", False),
        ("org example.com", "example.org", True), (",, ,", "example.org", False),
    ],
)  # fmt: skip
def test_no_proxy(none: str, host: str, direct: bool) -> None:
    found = proxy_for(Proxies("", "http://proxy:1", none), "https", host, 443)
    assert (found is None) == direct


def test_addresses_of_proxies() -> None:
    for url, shown in (
        ("http://proxy:8080", "proxy:8080"), ("proxy", "proxy:3128"), ("http://a:b@[::1]:9/", "::1:9"),
    ):  # fmt: skip
        found = proxy_for(Proxies(url), "http", "example.org", 80)
        assert found is not None and found.shown == shown
        assert proxy_for(Proxies(url), "https", "example.org", 443) is None
    for url in ("socks5://ada:s3cret@proxy:1080", "https://ada:s3cret@proxy", "http://ada:s3cret@proxy:port", "://"):
        with pytest.raises(InvalidInput) as caught:
            open_backend("https://example.org", nobody, proxies=Proxies("", url))
        assert caught.value.kind == "bad-config" and "https_proxy" in caught.value.message
        assert "s3cret" not in caught.value.message + caught.value.hint
    assert "s3cret" not in repr(Proxies("http://ada:s3cret@proxy", "http://ada:s3cret@proxy"))


def test_what_the_environment_says(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    environment = {"HTTP_PROXY": "http://not-this", "HTTPS_PROXY": "http://one", "NO_PROXY": "a"}
    assert config.load(Git(str(tmp_path)), environment).proxies == Proxies("", "http://one", "a")
    environment |= {"http_proxy": "http://two", "https_proxy": "http://three", "no_proxy": "b"}
    assert config.load(Git(str(tmp_path)), environment).proxies == Proxies("http://two", "http://three", "b")


@pytest.mark.heavy
def test_object_stores_find_the_proxy_themselves(servers: Started, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the same names of the environment."""
    pytest.importorskip("obstore")
    with servers.room("rclone-s3") as url, forwarding(LOGIN) as proxy:
        monkeypatch.setenv("http_proxy", f"http://{WRITTEN}@127.0.0.1:{proxy.port}")
        backend = open_backend(url, nobody)
        backend.write(NAME, b"x")
        assert b"".join(backend.read(NAME)) == b"x" and len(proxy.asked) >= 2
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        before = len(proxy.asked)
        assert open_backend(url, nobody).head(NAME) is not None and len(proxy.asked) == before
