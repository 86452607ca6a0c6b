"""Requests to one web server, and their answers: connections that are kept, credentials, redirects, early ends.

The standard library only. A body that ends before its announced length is an error here; a request that sends a
body stops as soon as the server has answered. Certificates are checked. Credentials are sent only to the server
that the address names, only after it asked for them, and appear in no message.
"""

from __future__ import annotations

import base64
import re
import select
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any, NamedTuple
from urllib.parse import quote, unquote, urljoin, urlsplit

from regenstore.errors import InvalidInput, StorageError
from regenstore.remotes.backends.contract import Credentials, error_of
from regenstore.remotes.backends.proxy import proxy_for
from regenstore.remotes.backends.time_limits import TooSlow
from regenstore.remotes.backends.watched_socket import Watch, WatchedTls, connect
from regenstore.remotes.setting import Pace, Proxies

BLOCK = 1 << 20
_SMALL = 64 << 10
_SENT_AT_ONCE = 16 << 10
_AT_WORK = 2
_REDIRECTS = 5
_MOVED = {301, 302, 303, 307, 308}
_NO_TUNNEL = re.compile(r"Tunnel connection failed: (\d{3})\b")
_SAFE = "/%-._~!$&'()*+,;=:@"


class Body(NamedTuple):
    """What a request sends: blocks, from the start at each call, and how many bytes they are."""

    blocks: Callable[[], Iterator[bytes]]
    size: int

    @classmethod
    def of(cls, data: bytes) -> Body:
        return cls(lambda: iter((data,) if data else ()), len(data))


class _Request(NamedTuple):
    method: str
    path: str
    headers: Mapping[str, str]
    body: Body | None
    authorization: str | None = None


class Exchange:
    """One server and a path on it, below which all requests are. Errors are those of a backend."""

    def __init__(self, url: str, credentials: Credentials, connect: float, pace: Pace, proxies: Proxies) -> None:
        self.url = url
        parts, self._port = _parsed(url)
        self._secure = parts[0] == "https"
        self._host = parts[1]
        self._proxy = proxy_for(proxies, parts[0], self._host, self._port)
        self._base = quote(parts[2].rstrip("/"), safe=_SAFE) + "/"
        self.base = unquote(self._base, errors="surrogateescape")
        """The path of the address, decoded, with a slash at its end."""
        names = self._base.strip("/").split("/") if self._base != "/" else []
        self.folders = [f"/{'/'.join(names[:count])}/" for count in range(len(names), 0, -1)]
        """The path of the address and those above it, as they are sent."""
        self._credentials = credentials
        self._connect, self._pace = connect, pace
        self._lock, self._asking = threading.Lock(), threading.Lock()
        self._tls: ssl.SSLContext | None = None
        self._kept: list[HTTPConnection] = []
        self._authorization: str | None = None
        self._denied = False

    @contextmanager
    def ask(
        self,
        method: str,
        name: str,
        headers: Mapping[str, str] | None = None,
        body: Body | None = None,
        *,
        base: str | None = None,
    ) -> Iterator[HTTPResponse]:
        """Ask, and give the answer; the connection is kept if all of the answer was read. ``base``: one of
        :attr:`folders`, in the place of the whole path."""
        connection, answer = self._answer(_Request(method, (base or self._base) + name, headers or {}, body))
        try:
            yield answer
        finally:
            self._let_go(connection, answer)

    def body(self, answer: HTTPResponse) -> Iterator[bytes]:
        """The whole body, as it comes. Raises where it ends early, as far as the server announced its length."""
        left, close = answer.length, answer.will_close
        answer.will_close = True  # unless this comes to its end
        while left is None or left:
            with self._errors():
                block = answer.read1(BLOCK if left is None else min(left, BLOCK))
            if not block:
                if left:
                    raise StorageError("remote-unreachable", f"{self.url}: the connection broke off")
                break
            if left is not None:
                left -= len(block)
            _watch_of(answer).gave(len(block))
            yield block
        answer.will_close = close
        answer.close()

    def check(self, answer: HTTPResponse, method: str, name: str, *good: int) -> None:
        """Raise the error that an answer is, unless it is one of the good ones (by default any of 200 to 299)."""
        if not (answer.status in good if good else 200 <= answer.status < 300):
            raise self.error(answer, method, name)

    def error(self, answer: HTTPResponse, method: str, name: str) -> StorageError:
        """What an answer means that is not what was hoped for."""
        status = answer.status
        known = status in set(HTTPStatus)
        message = f"{self.url}: {method} {name}: {status} {HTTPStatus(status).phrase if known else ''}".rstrip()
        if self._proxy is not None:
            message += f" (through the proxy {self._proxy.shown})"
        if status in _MOVED:
            message += "; only redirects of reads that stay on the server are followed"
        return error_of(status, message)

    def close(self) -> None:
        """Close the connections that are kept."""
        with self._lock:
            kept, self._kept = self._kept, []
        for connection in kept:
            connection.close()

    # -------------------------------------------------------------------------------- until it is the answer

    def _answer(self, request: _Request) -> tuple[HTTPConnection, HTTPResponse]:
        redirects, fresh = 0, False
        while True:
            connection, used = self._connection(fresh)
            request = request._replace(authorization=self._authorization)
            try:
                answer = self._once(connection, request)
            except BaseException as error:
                connection.close()
                if used and isinstance(error, StorageError) and error.kind == "remote-unreachable":
                    fresh = True  # most often the server had closed a kept connection
                    continue
                raise
            if answer.status == 401 and self._authorize(answer, request.authorization):
                self._let_go(connection, answer)
                continue
            there = answer.status in _MOVED and request.method in ("GET", "HEAD") and self._same_server(request, answer)
            if there and redirects < _REDIRECTS:
                redirects, request = redirects + 1, request._replace(path=there)
                self._let_go(connection, answer)
                continue
            return connection, answer

    def _once(self, connection: HTTPConnection, request: _Request) -> HTTPResponse:
        body = request.body
        with self._errors():
            if connection.sock is None:
                self._open(connection)
            watched: Any = connection.sock  # which leaves the connection where the server will close it
            watched.watch.begin()
            headers = {"Accept-Encoding": "identity", "User-Agent": "regenstore", **request.headers}
            target = request.path
            if self._proxy is not None and not self._secure:
                target = self._origin + target
                if self._proxy.authorization is not None:
                    headers["Proxy-Authorization"] = self._proxy.authorization
            connection.putrequest(request.method, target, skip_accept_encoding=True)
            if request.authorization is not None:
                headers["Authorization"] = request.authorization
            if body is not None:
                headers["Content-Length"] = str(body.size)
            for key, value in headers.items():
                connection.putheader(key, value)
            connection.endheaders()
        whole = body is None or self._send(connection, body)
        # A server may have to move what it was sent before it answers.
        watched.settimeout(self._pace.patience * (1 if body is None else _AT_WORK))
        with self._errors():
            answer: Any = connection.getresponse()
        watched.settimeout(self._pace.patience)
        answer.watch = watched.watch
        if not whole:
            answer.will_close = True
            if answer.status < 300:
                raise StorageError("remote-unreachable", f"{self.url} answered before it had all of {request.path}")
        assert isinstance(answer, HTTPResponse)
        return answer

    def _open(self, connection: HTTPConnection) -> None:
        try:
            connection.connect()
        except TimeoutError as error:
            raise ConnectionError("no connection within the time allowed") from error
        connection.sock.settimeout(self._pace.patience)
        watched: Any = connection.sock
        watched.watch = Watch(self.url, self._pace)

    def _send(self, connection: HTTPConnection, body: Body) -> bool:
        """Whether all of it was sent: no server reads on that has answered already."""
        sent = 0
        for block in body.blocks():
            # Over TLS, readable may mean no more than a session ticket.
            if sent and not self._secure and _readable(connection):
                return False
            try:
                # In pieces that even the lowest rate takes away in time.
                for at in range(0, len(block), _SENT_AT_ONCE):
                    connection.send(block[at : at + _SENT_AT_ONCE])
            except (ConnectionError, ssl.SSLError):
                return False  # there may be an answer that says why
            except OSError as error:
                raise self._unreachable(error) from error
            sent += len(block)
        return True

    def _connection(self, fresh: bool) -> tuple[HTTPConnection, bool]:
        """A connection that is free, and whether it was used before."""
        if fresh:
            self.close()
        while True:
            with self._lock:
                connection = self._kept.pop() if self._kept else None
            if connection is None:
                break
            if not _readable(connection):
                return connection, True
            connection.close()  # the server closed it, or says what nobody asked for
        return self._new_connection(), False

    def _new_connection(self) -> HTTPConnection:
        host, port = (self._host, self._port) if self._proxy is None else self._proxy[:2]
        made: Any  # what makes its socket is not in its type
        if not self._secure:
            made = HTTPConnection(host, port, timeout=self._connect)
        else:
            with self._lock:
                if self._tls is None:
                    self._tls = ssl.create_default_context()
                    self._tls.sslsocket_class = WatchedTls
            made = HTTPSConnection(host, port, timeout=self._connect, context=self._tls)
        # Watched from the first byte on: a proxy's answer, too.
        made._create_connection = partial(connect, Watch(self.url, self._pace))
        connection: HTTPConnection = made
        if self._secure and self._proxy is not None:
            login = self._proxy.authorization
            connection.set_tunnel(self._host, self._port, {} if login is None else {"Proxy-Authorization": login})
        return connection

    def _let_go(self, connection: HTTPConnection, answer: HTTPResponse) -> None:
        """Keep the connection, if what is left of the answer is short."""
        if not answer.will_close and not answer.isclosed():
            try:
                answer.read(_SMALL)
            except (OSError, HTTPException):
                pass
        if answer.isclosed() and not answer.will_close and connection.sock is not None:
            with self._lock:
                self._kept.append(connection)
        else:
            connection.close()
        answer.close()

    def _authorize(self, answer: HTTPResponse, used: str | None) -> bool:
        """Whether there are other credentials now than those that were used. Asks for them once."""
        offers = ", ".join(answer.headers.get_all("WWW-Authenticate") or []).lower()
        with self._asking:
            if self._authorization == used is None and not self._denied and "basic" in offers:
                found = self._credentials(self.url)
                self._denied = found is None
                if found is not None:
                    self._authorization = "Basic " + base64.b64encode(":".join(found).encode()).decode()
            return self._authorization != used

    def _same_server(self, request: _Request, answer: HTTPResponse) -> str:
        """The path of a redirect that stays on this server; empty for any other."""
        here = self._origin + request.path
        location = answer.headers.get("Location")
        if not location:
            return ""
        try:
            there = urlsplit(urljoin(here, location))
            port = there.port or (443 if there.scheme == "https" else 80)
        except ValueError:
            return ""
        scheme = "https" if self._secure else "http"
        if (there.scheme, there.hostname, port) != (scheme, self._host, self._port):
            return ""
        query = f"?{quote(there.query, safe=_SAFE + '?')}" if there.query else ""
        return quote(there.path or "/", safe=_SAFE) + query

    @property
    def _origin(self) -> str:
        host = f"[{self._host}]" if ":" in self._host else self._host
        scheme, usual = ("https", 443) if self._secure else ("http", 80)
        return f"{scheme}://{host}" + ("" if self._port == usual else f":{self._port}")

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except ssl.SSLCertVerificationError as error:
            message = f"{self.url}: the server's certificate is not trusted: {error.verify_message}"
            raise StorageError("remote-failed", message) from error
        except (OSError, HTTPException) as error:
            raise self._unreachable(error) from error

    def _unreachable(self, error: Exception) -> StorageError:
        if isinstance(error, TimeoutError):
            return TooSlow(self.url, self._pace)
        said = getattr(error, "strerror", None) or str(error) or type(error).__name__
        if self._proxy is None:
            return StorageError("remote-unreachable", f"{self.url}: {said}")
        message = f"{self.url}: through the proxy {self._proxy.shown}: {said}"
        refused = _NO_TUNNEL.match(said)
        return error_of(int(refused[1]), message) if refused else StorageError("remote-unreachable", message)


def _parsed(url: str) -> tuple[tuple[str, str, str], int]:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
        host.encode("idna" if ":" not in host else "ascii")
    except ValueError:
        raise InvalidInput("bad-config", "the address of a remote cannot be read: no such host or port") from None
    if parts.username is not None or parts.password is not None:
        # Not shown: it has a password in it.
        raise InvalidInput(
            "bad-config",
            f"the address of the remote at {host} has a user or password in it, which Git's configuration would keep",
            hint="Leave them out of the address; git's credential helpers are asked for them.",
        )
    if parts.scheme not in ("http", "https") or not host or " " in host or not url.isprintable():
        raise InvalidInput("bad-config", f"{url!r}: no address of a web server")
    if parts.query or parts.fragment:
        raise InvalidInput("bad-config", f"{url}: the address of a remote has no '?' and no '#'")
    return (parts.scheme, host, parts.path), port or (443 if parts.scheme == "https" else 80)


def _watch_of(answer: HTTPResponse) -> Watch:
    found = answer.watch  # type: ignore[attr-defined]
    assert isinstance(found, Watch)
    return found


def _readable(connection: HTTPConnection) -> bool:
    poll = select.poll()
    poll.register(connection.sock, select.POLLIN)
    return bool(poll.poll(0))
