"""How slow a remote may be: who gives less than the lowest rate for as long as patience lasts is given up.

Only time counts in which a remote is waited for, never the pauses that a limit or a full disk here makes. Waits that
nothing can be seen of in between (one answer, one block) may take what they would take at the lowest rate.
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
    """A remote that gives nothing, or hardly anything."""

    def __init__(self, url: str, pace: Pace) -> None:
        super().__init__(
            "remote-unreachable",
            f"{url} is too slow: it gave less than {pace.lowest} bytes/s for {pace.patience:g} s, or nothing at all",
            hint="Try again later. How slow it may be is set by regenstore.remote.NAME.lowest and .patience.",
        )


class Meter:
    """Adds up one transfer's waits and what came of them."""

    def __init__(self, url: str, pace: Pace) -> None:
        self._url, self._pace = url, pace
        self._seconds = 0.0
        self._count = 0

    def waited(self, seconds: float, count: int) -> None:
        """So long for so many bytes. Raises :class:`TooSlow`."""
        self._seconds += seconds
        self._count += count
        if self._seconds >= self._pace.patience:
            if self._count < self._pace.lowest * self._seconds:
                raise TooSlow(self._url, self._pace)
            self._seconds, self._count = 0.0, 0

    def blocks(self, source: Iterator[bytes]) -> Iterator[bytes]:
        """The same blocks, as long as they come quickly enough."""
        while True:
            began = time.monotonic()
            block = next(source, None)
            if block is None:
                return
            self.waited(time.monotonic() - began, len(block))
            yield block


def within(seconds: float, work: Callable[[], T], late: Callable[[], StorageError]) -> T:
    """What some work gives, unless it takes too long: then ``late`` is raised, and whatever it still gives is
    dropped. For calls of libraries that cannot be interrupted."""
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
