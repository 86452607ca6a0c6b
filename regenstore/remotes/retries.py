"""Retry failed operations with tenacity, as long as the result is wanted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception, wait_exponential_jitter

from regenstore.errors import StorageError
from regenstore.remotes.backends.contract import Backend, Busy, Head, Told
from regenstore.remotes.backends.listing import whole
from regenstore.remotes.backends.time_limits import Meter, TooSlow
from regenstore.remotes.settings import Pace
from regenstore.remotes.throttle import pause

RETRIES, FIRST = 3, 0.2
"""Number of retries, and approximate seconds before the first; later pauses are longer."""
_GROWTH, _LONGEST = 4.5, 4.0
BUDGET = 30.0
"""Largest total of the pauses of one operation in seconds, even if the server asks for longer ones."""
USUAL = Pace()
T = TypeVar("T")


class RetryingBackend:
    """A backend that retries operations that failed with ``remote-unreachable``, except deletions.

    A read is resumed where it broke off. An operation that was too slow is not retried, except for a read that had been
    progressing well. Pauses grow, with random variation, and respect the server's Retry-After within :data:`BUDGET`.
    """

    def __init__(
        self,
        backend: Backend,
        retries: int = RETRIES,
        *,
        first: float = FIRST,
        pace: Pace = USUAL,
        waits: Callable[[str, float], None] = lambda reason, seconds: None,
    ) -> None:
        """``waits`` is called before each pause, with the reason and the seconds; from any thread."""
        self._backend, self._waits = backend, waits
        self._retries, self._pace = retries, pace
        self.url = backend.url
        self._usual = wait_exponential_jitter(multiplier=first, max=_LONGEST, exp_base=_GROWTH, jitter=first)
        self._retrying = Retrying(
            sleep=pause,
            wait=self._wait,
            stop=self._stop,
            before_sleep=self._tell,
            retry=retry_if_exception(_may_pass),
            reraise=True,
        )

    def _stop(self, state: RetryCallState) -> bool:
        return state.attempt_number > self._retries or state.idle_for + state.upcoming_sleep > BUDGET

    def _wait(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome is not None else None
        return max(self._usual(state), error.retry_after if isinstance(error, Busy) else 0.0)

    def _tell(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome is not None else None
        self._waits(getattr(error, "message", ""), state.upcoming_sleep)

    @property
    def lists(self) -> bool:
        return self._retrying(lambda: self._backend.lists)

    def head(self, name: str) -> Head | None:
        return self._retrying(self._backend.head, name)

    def read(self, name: str, start: int = 0) -> Iterator[bytes]:
        enough = self._pace.lowest * self._pace.patience
        blocks: Iterator[bytes] | None = None
        began = start

        def following() -> bytes | None:
            nonlocal blocks, began
            if blocks is None:
                began = start
                blocks = Meter(self.url, self._pace).blocks(self._backend.read(name, start))
            try:
                return next(blocks, None)
            except TooSlow as error:
                blocks = None
                if start - began >= enough:
                    raise StorageError("remote-unreachable", error.message, hint=error.hint) from error
                raise
            except StorageError:
                blocks = None
                raise

        while True:
            try:
                block = following()
            except StorageError as error:
                block = self._retrying(_failing_first(following, error))
            if block is None:
                return
            start += len(block)
            yield block

    def write_file(self, name: str, path: str, told: Told) -> None:
        sent = 0

        def count(more: int) -> None:
            nonlocal sent
            sent += more
            told(more)

        def attempt() -> None:
            nonlocal sent
            if sent:  # starts over
                told(-sent)
                sent = 0
            self._backend.write_file(name, path, count)

        self._retrying(attempt)

    def write(self, name: str, data: bytes) -> None:
        self._retrying(self._backend.write, name, data)

    def settle(self, *, everything: bool = False) -> None:
        self._retrying(lambda: self._backend.settle(everything=everything))

    def names(self, prefix: str) -> Iterator[tuple[str, Head]]:
        # Listings are retried from the start: nothing is yielded before the listing is complete.
        return iter(self._retrying(lambda: whole(self.url, prefix, self._backend.names(prefix))).items())

    def delete(self, name: str) -> None:
        # Not retried: deletion follows a check, which would have to be repeated.
        self._backend.delete(name)

    def close(self) -> None:
        self._backend.close()


def _failing_first(work: Callable[[], T], error: StorageError) -> Callable[[], T]:
    """``work`` with a first attempt that has already failed with ``error``."""
    made = [error]

    def attempt() -> T:
        if made:
            raise made.pop()
        return work()

    return attempt


def _may_pass(error: BaseException) -> bool:
    unreachable = isinstance(error, StorageError) and error.kind == "remote-unreachable"
    return unreachable and not isinstance(error, TooSlow)
