"""Sockets whose reader gives up on an answer that trickles, or that never ends where nothing of a body comes.

:mod:`http.client` reads status lines, headers, chunk sizes and trailers one after the other and without a common
limit: a byte a second, or "100 Continue" for ever, would hold it for good.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable
from http.client import HTTPException
from typing import Any

from regenstore.remotes.backends.time_limits import Meter
from regenstore.remotes.setting import Pace

AROUND = 1 << 20
"""Bytes that may come beside those of a body: far more than any server's headers."""


class Watch:
    """What one connection may still receive, and how quickly it does."""

    def __init__(self, url: str, pace: Pace) -> None:
        self._url, self._pace = url, pace
        self.begin()

    def begin(self) -> None:
        """A new answer is waited for."""
        self._meter = Meter(self._url, self._pace)
        self._left = AROUND

    def gave(self, count: int) -> None:
        """So many bytes of a body have come."""
        self._left = AROUND + count

    def receive(self, work: Callable[[], int]) -> int:
        if self._left <= 0:
            raise HTTPException("the answer does not come to an end")
        began = time.monotonic()
        count = work()
        self._left -= count
        self._meter.waited(time.monotonic() - began, count)
        return count


class WatchedSocket(socket.socket):
    watch: Watch | None = None

    def recv_into(self, *given: Any) -> int:
        reading = super().recv_into
        return reading(*given) if self.watch is None else self.watch.receive(lambda: reading(*given))


class WatchedTls(ssl.SSLSocket):
    watch: Watch | None = None

    def recv_into(self, *given: Any) -> int:
        reading = super().recv_into
        return reading(*given) if self.watch is None else self.watch.receive(lambda: reading(*given))


def connect(watch: Watch, address: tuple[str, int], *given: Any) -> WatchedSocket:
    """As :func:`socket.create_connection`, watched."""
    plain = socket.create_connection(address, *given)
    timeout = plain.gettimeout()
    watched = WatchedSocket(plain.family, plain.type, plain.proto, fileno=plain.detach())
    watched.settimeout(timeout)
    watched.watch = watch
    return watched
