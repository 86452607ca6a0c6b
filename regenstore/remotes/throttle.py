"""Deliberate waits, for a bandwidth limit or between retries. They end early when the work is cancelled."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextvars import ContextVar

CANCELLED: ContextVar[threading.Event | None] = ContextVar("CANCELLED", default=None)
"""Set once the result of this thread's work is no longer wanted."""


class TransferCancelled(Exception):
    """The result is no longer wanted."""


def pause(seconds: float = 0.0) -> None:
    """Wait. Raises :class:`TransferCancelled` as soon as the work is cancelled."""
    cancelled = CANCELLED.get()
    if cancelled is None:
        time.sleep(seconds)
    elif cancelled.wait(seconds):
        raise TransferCancelled


class Throttle:
    """Limits the total rate of several threads to a number of bytes per second; None: no limit."""

    def __init__(self, rate: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        self.rate = rate
        self._clock = clock
        self._lock = threading.Lock()
        self._free = 0.0

    def took(self, count: int) -> None:
        """Wait until ``count`` more bytes are allowed. Raises :class:`TransferCancelled`."""
        if self.rate is None or count <= 0:
            return
        with self._lock:
            now = self._clock()
            self._free = max(self._free, now) + count / self.rate
            wait = self._free - now
        if wait > 0:
            pause(wait)
