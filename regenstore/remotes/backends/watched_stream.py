"""Network streams for httpcore that end an exchange which takes too long.

httpcore limits each single wait. A server that sends a byte per second, or "100 Continue" forever, would hold it
indefinitely; so the waits of an exchange are added up here, and the amount of data before the end of an answer's
headers is limited.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterable
from typing import Any

from httpcore2 import NetworkBackend, NetworkStream, RemoteProtocolError, SyncBackend, WriteError

from regenstore.remotes.backends.time_limits import Meter
from regenstore.remotes.settings import Pace

_HEADERS = 1 << 18
"""Largest number of bytes before the end of an answer's headers: far more than any server sends."""
_PIECE = 16 << 10
"""Bytes per write: few enough to be sent in time even at the lowest rate."""
_READ = 1 << 20


class WatchedBackend(NetworkBackend):
    """Opens connections whose streams are watched."""

    def __init__(self, url: str, pace: Pace) -> None:
        self._url, self._pace = url, pace
        self._backend = SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> NetworkStream:
        opened = self._backend.connect_tcp(host, port, timeout, local_address, socket_options)
        return WatchedStream(opened, self._url, self._pace)


class WatchedStream(NetworkStream):
    """A watched stream. Raises TooSlow and the errors of httpcore's own streams."""

    def __init__(self, stream: NetworkStream, url: str, pace: Pace, *, secure: bool = False) -> None:
        self._stream = stream
        self._url, self._pace, self._secure = url, pace, secure
        self._writing = False
        self._meter = Meter(url, pace)
        self._left = _HEADERS

    def headers_came(self) -> None:
        """From here on the bytes are a body, which its reader counts."""
        self._left = -1

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if self._left == 0:
            raise RemoteProtocolError("the answer does not end")
        began = time.monotonic()
        data = self._stream.read(_READ if self._left < 0 else min(max_bytes, self._left), timeout)
        if self._left > 0:
            self._left -= len(data)
        # Until the first byte the server may be processing the request, for as long as the time-out allows.
        self._meter.waited(0.0 if self._writing else time.monotonic() - began, len(data))
        self._writing = False
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write. Raises WriteError also if the server has answered already, as it reads no more."""
        if not buffer:
            return
        if not self._writing:
            self._meter, self._left = Meter(self._url, self._pace), _HEADERS
        # Over TLS, readable may mean only a session ticket.
        elif not self._secure and self._stream.get_extra_info("is_readable"):
            raise WriteError("the server answered before it had received everything")
        self._writing = True
        for at in range(0, len(buffer), _PIECE):
            piece = buffer[at : at + _PIECE]
            began = time.monotonic()
            self._stream.write(piece, timeout)
            self._meter.waited(time.monotonic() - began, len(piece))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> NetworkStream:
        opened = self._stream.start_tls(ssl_context, server_hostname, timeout)
        return WatchedStream(opened, self._url, self._pace, secure=True)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
