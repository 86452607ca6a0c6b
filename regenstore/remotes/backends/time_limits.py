"""Limits on how slow a remote may be: it is given up on when it delivers less than the lowest rate for as long as
patience lasts.

Only time spent waiting for the remote counts, never pauses for a bandwidth limit or a full local disk. A wait without
visible progress (one answer, one block) may take as long as it would at the lowest rate.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from queue import Empty, SimpleQueue
from typing import TypeVar

from regenstore.errors import StorageError
from regenstore.remotes.settings import Pace

T = TypeVar("T")


class TooSlow(StorageError):
    """A remote that delivers nothing, or next to nothing."""

    def __init__(self, url: str, pace: Pace) -> None:
        super().__init__(
            "remote-unreachable",
            f"{url} is too slow: it delivered less than {pace.lowest} bytes/s for {pace.patience:g} s",
            hint="Try again later. The limits are regenstore.remote.NAME.lowest and regenstore.remote.NAME.patience.",
        )


class Meter:
    """Adds up the waits of one transfer and the bytes received."""

    def __init__(self, url: str, pace: Pace) -> None:
        self._url, self._pace = url, pace
        self._seconds = 0.0
        self._count = 0

    def waited(self, seconds: float, count: int) -> None:
        """Record a wait and the bytes it brought. Raises :class:`TooSlow`."""
        self._seconds += seconds
        self._count += count
        if self._seconds >= self._pace.patience:
            if self._count < self._pace.lowest * self._seconds:
                raise TooSlow(self._url, self._pace)
            self._seconds, self._count = 0.0, 0

    def blocks(self, source: Iterator[bytes]) -> Iterator[bytes]:
        """Pass on blocks as long as they come fast enough."""
        while True:
            began = time.monotonic()
            block = next(source, None)
            if block is None:
                return
            self.waited(time.monotonic() - began, len(block))
            yield block


def within(seconds: float, work: Callable[[], T], late: Callable[[], StorageError]) -> T:
    """Run ``work`` and return its result; raise ``late`` if it takes too long, and drop the result. For library
    calls that cannot be interrupted."""
    answer: SimpleQueue[tuple[T | None, BaseException | None]] = SimpleQueue()

    def run() -> None:
        try:
            answer.put((work(), None))
        except BaseException as error:
            answer.put((None, error))

    threading.Thread(target=run, name="remote-call", daemon=True).start()
    try:
        given, error = answer.get(timeout=seconds)
    except Empty:
        raise late() from None
    if error is not None:
        raise error
    return given  # type: ignore[return-value]
