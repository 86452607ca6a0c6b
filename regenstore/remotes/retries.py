"""Trying again, and not faster than allowed: wrappers around any backend."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from regenstore.errors import StorageError
from regenstore.remotes.backends.contract import Backend, Head, Told
from regenstore.remotes.backends.listing import whole
from regenstore.remotes.backends.time_limits import Meter, TooSlow
from regenstore.remotes.setting import Pace

PAUSES = (0.2, 1.0, 4.0)
"""Seconds before the second, third and fourth attempt."""
USUAL = Pace()
T = TypeVar("T")


class Retrying:
    """Tries again what failed with ``remote-unreachable``, except to delete. A read goes on where it broke off. What
    is too slow is not tried again, but for a read that had got on well before."""

    def __init__(self, backend: Backend, pauses: tuple[float, ...] = PAUSES, pace: Pace = USUAL) -> None:
        self._backend = backend
        self._pauses = pauses
        self._pace = pace
        self.url = backend.url

    @property
    def lists(self) -> bool:
        return self._try(lambda: self._backend.lists)

    def head(self, name: str) -> Head | None:
        return self._try(lambda: self._backend.head(name))

    def read(self, name: str, start: int = 0) -> Iterator[bytes]:
        failures, enough = 0, self._pace.lowest * self._pace.patience
        while True:
            began = start
            try:
                meter = Meter(self.url, self._pace)
                for block in meter.blocks(self._backend.read(name, start)):
                    start += len(block)
                    failures = 0
                    yield block
                return
            except TooSlow as error:
                if start - began < enough:
                    raise
                self._pause(error, failures, again=True)
                failures += 1
            except StorageError as error:
                self._pause(error, failures)
                failures += 1

    def write_file(self, name: str, path: str, told: Told) -> None:
        sent = 0

        def count(more: int) -> None:
            nonlocal sent
            sent += more
            told(more)

        def attempt() -> None:
            nonlocal sent
            if sent:  # it begins anew
                told(-sent)
                sent = 0
            self._backend.write_file(name, path, count)

        self._try(attempt)

    def write(self, name: str, data: bytes) -> None:
        self._try(lambda: self._backend.write(name, data))

    def settle(self, *, everything: bool = False) -> None:
        self._try(lambda: self._backend.settle(everything=everything))

    def names(self, prefix: str) -> Iterator[tuple[str, Head]]:
        # A listing that breaks off begins anew: nothing of it is given before it is whole.
        return iter(self._try(lambda: whole(self.url, prefix, self._backend.names(prefix))).items())

    def delete(self, name: str) -> None:
        # Not tried again: whoever deletes has looked right before, and would have to look again.
        self._backend.delete(name)

    def close(self) -> None:
        self._backend.close()

    def _try(self, work: Callable[[], T]) -> T:
        failures = 0
        while True:
            try:
                return work()
            except StorageError as error:
                self._pause(error, failures)
                failures += 1

    def _pause(self, error: StorageError, failures: int, *, again: bool = False) -> None:
        hopeless = error.kind != "remote-unreachable" or (isinstance(error, TooSlow) and not again)
        if hopeless or failures >= len(self._pauses):
            raise error
        time.sleep(self._pauses[failures])


class Throttle:
    """Holds several threads together to a number of bytes per second; None: no limit."""

    def __init__(self, rate: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        self.rate = rate
        self._clock = clock
        self._lock = threading.Lock()
        self._free = 0.0

    def took(self, count: int) -> None:
        """Wait until that many more bytes were allowed."""
        if self.rate is None or count <= 0:
            return
        with self._lock:
            now = self._clock()
            self._free = max(self._free, now) + count / self.rate
            wait = self._free - now
        if wait > 0:
            time.sleep(wait)
