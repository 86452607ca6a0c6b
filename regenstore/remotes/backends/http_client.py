"""An HTTP client for one server, built on httpcore: used by remotes and webhooks.

httpcore pools connections, speaks HTTP and TLS, and goes through proxies. The policies are set here:

* Credentials are sent only to the server of the address, only after it asked for them, and appear in no message.
* Redirects are followed for reads only, and only if they stay on the server: same host, same scheme.
* A body that ends before its announced length is an error; a request body stops being sent as soon as the server has
  answered; a server that sends next to nothing is given up on (:mod:`regenstore.remotes.backends.watched_stream`).
* Nothing is read from the environment; certificates are checked against those that OpenSSL trusts on this machine.
"""

from __future__ import annotations

import base64
import re
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from functools import partial
from http import HTTPStatus
from typing import Any, NamedTuple
from urllib.parse import quote, urljoin, urlsplit

import httpcore2

from regenstore.errors import StorageError
from regenstore.remotes.backends.contract import Credentials, error_of
from regenstore.remotes.backends.proxy import proxy_for
from regenstore.remotes.backends.time_limits import TooSlow
from regenstore.remotes.backends.watched_stream import WatchedBackend, WatchedStream
from regenstore.remotes.settings import Pace, Proxies

SAFE = "/%-._~!$&'()*+,;=:@"
"""Characters that are left as they are in the path of an address."""
_SMALL = 64 << 10
_AT_WORK = 2
"""Multiple of the patience that a server has for its answer: it may have to move what was sent first."""
_REDIRECTS = 5
_MOVED = {301, 302, 303, 307, 308}


class Body(NamedTuple):
    """A request body: its blocks, from the start at each call, and its length in bytes."""

    blocks: Callable[[], Iterator[bytes]]
    size: int

    @classmethod
    def of(cls, data: bytes) -> Body:
        return cls(lambda: iter((data,) if data else ()), len(data))


class Answer:
    """A response: its status, and its headers under lower-case names."""

    def __init__(self, response: httpcore2.Response) -> None:
        self.status = response.status
        self.headers: dict[str, str] = {}
        for key, value in response.headers:
            name, text = key.decode("latin-1").lower(), value.decode("latin-1")
            self.headers[name] = f"{self.headers[name]}, {text}" if name in self.headers else text
        self.retry_after = _seconds_until(self.headers.get("retry-after", ""))
        """Seconds after which the server wants to be asked again; 0.0 if it does not say."""
        self._response = response
        self._blocks: Iterator[bytes] = iter(response.iter_stream())

    def blocks(self) -> Iterator[bytes]:
        """Yield the rest of the body, as httpcore delivers it."""
        return self._blocks

    def close(self) -> None:
        """Return the connection to the pool if the rest of the body is short; else close it."""
        left = _SMALL
        try:
            while left > 0 and (block := next(self._blocks, None)) is not None:
                left -= len(block)
        except (*_FAILURES, StorageError):
            pass  # the connection is closed instead
        self._response.close()


class HttpClient:
    """A client for one server. Raises the errors of a backend. May be used from several threads."""

    def __init__(
        self, url: str, credentials: Credentials, connect: float, pace: Pace, proxies: Proxies | None = None
    ) -> None:
        """``url``: an address on the server, in a form that may be shown; ``connect``: seconds to wait for a
        connection."""
        self._url = url
        parts = urlsplit(url)
        self._scheme, self._host = parts.scheme, parts.hostname or ""
        self._port = parts.port or (443 if self._scheme == "https" else 80)
        self._proxy = proxy_for(proxies or Proxies(), self._scheme, self._host, self._port)
        self._credentials = credentials
        self._connect, self._pace = connect, pace
        self._lock, self._asking = threading.Lock(), threading.Lock()
        self._pool: httpcore2.ConnectionPool | None = None
        self._authorization: str | None = None
        self._denied = False

    @contextmanager
    def ask(
        self, method: str, target: str, headers: Mapping[str, str] | None = None, body: Body | None = None
    ) -> Iterator[Answer]:
        """Send a request and yield the response. ``target``: path and query, percent-encoded."""
        answer = self._answer(method, target, headers or {}, body)
        try:
            yield answer
        finally:
            answer.close()

    def body(self, answer: Answer) -> Iterator[bytes]:
        """Yield the whole body. Raises if it ends before the length that the server announced."""
        with self._errors():
            yield from answer.blocks()

    def check(self, answer: Answer, method: str, name: str, *good: int) -> None:
        """Raise the error for a response, unless its status is one of ``good`` (default: 200 to 299)."""
        if not (answer.status in good if good else 200 <= answer.status < 300):
            raise self.error(answer, method, name)

    def error(self, answer: Answer, method: str, name: str) -> StorageError:
        """The error for a response with an unexpected status."""
        status = answer.status
        known = status in set(HTTPStatus)
        message = f"{self._url}: {method} {name}: {status} {HTTPStatus(status).phrase if known else ''}".rstrip()
        if self._proxy is not None:
            message += f" (through the proxy {self._proxy.shown})"
        if status in _MOVED:
            message += "; only redirects of reads that stay on the server are followed"
        return error_of(status, message, answer.retry_after)

    def close(self) -> None:
        """Close the pooled connections."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()

    # -------------------------------------------------------------------------------- until it is the answer

    def _answer(self, method: str, target: str, headers: Mapping[str, str], body: Body | None) -> Answer:
        redirects = 0
        while True:
            authorization = self._authorization
            answer = self._once(method, target, headers, body, authorization)
            if answer.status == 401 and self._authorize(answer, authorization):
                answer.close()
                continue
            there = self._redirected(target, answer) if method in ("GET", "HEAD") else ""
            if there and redirects < _REDIRECTS:
                redirects, target = redirects + 1, there
                answer.close()
                continue
            return answer

    def _once(
        self, method: str, target: str, headers: Mapping[str, str], body: Body | None, authorization: str | None
    ) -> Answer:
        sent = {"Host": self._netloc, "Accept-Encoding": "identity", "User-Agent": "regenstore", **headers}
        if authorization is not None:
            sent["Authorization"] = authorization
        if body is not None:
            sent["Content-Length"] = str(body.size)
        patience = self._pace.patience
        timeout = {"connect": self._connect, "write": patience, "read": patience * (_AT_WORK if method == "PUT" else 1)}
        url = httpcore2.URL(scheme=self._scheme, host=self._host.encode("idna" if ":" not in self._host else "ascii"),
                            port=self._port, target=target.encode("ascii"))  # fmt: skip
        while True:
            sending = _Sending(body)
            opened: list[str] = []
            request = httpcore2.Request(
                method,
                url,
                headers=list(sent.items()),
                content=None if body is None else iter(sending),
                extensions={"timeout": timeout, "trace": partial(_note_opening, opened)},
            )
            try:
                with self._errors():
                    response = self._connections().handle_request(request)
            except StorageError as error:
                # Most often the server had closed a pooled connection.
                if opened or not isinstance(error.__cause__, _LOST):
                    raise
                continue
            break
        stream = response.extensions["network_stream"]
        if isinstance(stream, WatchedStream):
            stream.headers_came()
        if not sending.whole and response.status < 300:
            response.close()
            raise StorageError("remote-unreachable", f"{self._url} answered before it had received all of {target}")
        return Answer(response)

    def _connections(self) -> httpcore2.ConnectionPool:
        with self._lock:
            if self._pool is None:
                given: dict[str, Any] = {
                    "ssl_context": ssl.create_default_context() if self._scheme == "https" else None,
                    "max_connections": None,
                    "network_backend": WatchedBackend(self._url, self._pace),
                }
                if self._proxy is None:
                    self._pool = httpcore2.ConnectionPool(**given)
                else:
                    self._pool = httpcore2.HTTPProxy(self._proxy.url, self._proxy.login, **given)
            return self._pool

    def _authorize(self, answer: Answer, used: str | None) -> bool:
        """Whether credentials other than those used are available now. Looks them up once."""
        offers = answer.headers.get("www-authenticate", "").lower()
        with self._asking:
            if self._authorization == used is None and not self._denied and "basic" in offers:
                found = self._credentials(self._url)
                self._denied = found is None
                if found is not None:
                    self._authorization = "Basic " + base64.b64encode(":".join(found).encode()).decode()
            return self._authorization != used

    def _redirected(self, target: str, answer: Answer) -> str:
        """The target of a redirect that stays on this server; empty for other redirects, and if there is none."""
        location = answer.headers.get("location")
        if answer.status not in _MOVED or not location:
            return ""
        try:
            there = urlsplit(urljoin(f"{self._scheme}://{self._netloc}{target}", location))
            port = there.port or (443 if there.scheme == "https" else 80)
        except ValueError:
            return ""
        if (there.scheme, there.hostname, port) != (self._scheme, self._host, self._port):
            return ""
        return safe_target(there.path, there.query)

    @property
    def _netloc(self) -> str:
        host = f"[{self._host}]" if ":" in self._host else self._host.encode("idna").decode()
        return host if self._port == (443 if self._scheme == "https" else 80) else f"{host}:{self._port}"

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except _FAILURES as error:
            raise self._error_of(error) from error

    def _error_of(self, error: Exception) -> StorageError:
        cause = error.args[0] if error.args else None  # the system's error
        if isinstance(cause, ssl.SSLCertVerificationError):
            message = f"{self._url}: the server's certificate is not trusted: {cause.verify_message}"
            return StorageError("remote-failed", message)
        if isinstance(error, (httpcore2.ReadTimeout, httpcore2.WriteTimeout)):
            return TooSlow(self._url, self._pace)
        said = getattr(cause, "strerror", None) or str(error) or type(error).__name__
        if isinstance(error, httpcore2.ConnectTimeout):
            said = "no connection within the time allowed"
        if self._proxy is None:
            return StorageError("remote-unreachable", f"{self._url}: {said}")
        message = f"{self._url}: through the proxy {self._proxy.shown}: {said}"
        refused = re.match(r"(\d{3})\b", said) if isinstance(error, httpcore2.ProxyError) else None
        return error_of(int(refused[1]), message) if refused else StorageError("remote-unreachable", message)


_LOST = (httpcore2.NetworkError, httpcore2.RemoteProtocolError)
_FAILURES = (*_LOST, httpcore2.LocalProtocolError, httpcore2.TimeoutException, httpcore2.ProxyError, OSError)


class _Sending:
    """A request body that records whether all of it was sent."""

    def __init__(self, body: Body | None) -> None:
        self._body = body
        self.whole = body is None

    def __iter__(self) -> Iterator[bytes]:
        if self._body is not None:
            yield from self._body.blocks()
            self.whole = True


def safe_target(path: str, query: str = "") -> str:
    """A request target: path and query, percent-encoded as needed."""
    return quote(path or "/", safe=SAFE) + (f"?{quote(query, safe=SAFE + '?')}" if query else "")


def _seconds_until(moment: str) -> float:
    """The value of Retry-After, a number of seconds or a date, in seconds. 0.0 for anything else."""
    if moment.isascii() and moment.isdigit():
        return float(moment[:9])
    try:
        return max(0.0, parsedate_to_datetime(moment).timestamp() - time.time())
    except (ValueError, OverflowError):
        return 0.0


def _note_opening(opened: list[str], event: str, info: Mapping[str, Any]) -> None:
    if event == "connection.connect_tcp.started":
        opened.append(event)
