"""Delivery of events: to a command and to a webhook, at least once, one process at a time.

An event stays in the outbox until both have accepted it. A receiver that keeps failing is tried less and less often, or
when it asks to be (Retry-After), so that it does not delay every command; but at least every ten minutes.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from regenstore import __version__
from regenstore.addresses import shown
from regenstore.errors import RegenstoreError, StorageError
from regenstore.events.declaration import Notify
from regenstore.events.outbox import Outbox
from regenstore.fs import durable, file_lock, sharing
from regenstore.remotes.backends.time_limits import TooSlow
from regenstore.remotes.settings import Pace, Proxies

_RETRY = "retry"
_PATIENT_AFTER, _LONGEST = 3, 600.0
"""Consecutive failures after which the next command does not try at once; the longest pause, in seconds."""
_HEARD = 2000


@dataclass(frozen=True)
class Delivery:
    """The outcome of a delivery."""

    delivered: int
    waiting: int
    error: RegenstoreError | None = None
    """Why it stopped before all were delivered."""


class Courier:
    """Delivers the events of an outbox to the receivers of a trusted definition. ``top``: the folder that the command
    runs in; ``environment``: the only variables that it sees."""

    def __init__(
        self,
        outbox: Outbox,
        notify: Notify,
        top: str,
        environment: Mapping[str, str],
        clock: Callable[[], float] = time.time,
        proxies: Proxies | None = None,
    ) -> None:
        self._outbox = outbox
        self._notify = notify
        self._top = top
        self._environment = dict(environment)
        self._clock = clock
        self._proxies = proxies

    def deliver(self, *, now: bool = False) -> Delivery:
        """Deliver waiting events, oldest first, as far as possible. ``now``: even if the receiver has just failed.
        Does nothing while another process delivers. Raises StorageError if the outbox fails."""
        self._outbox.settle()
        if self._outbox.empty or (not now and self._clock() < self._pause()[1]):
            return Delivery(0, len(self._outbox.waiting()))
        held = sharing.create(os.path.join(self._outbox.folder, "lock"), os.O_RDWR)
        try:
            if not file_lock.take(held):
                return Delivery(0, len(self._outbox.waiting()))
            done, error = self._outbox.deliver(self._tell)
            self._remember(error)
        finally:
            os.close(held)
        return Delivery(done, len(self._outbox.waiting()), error)

    def _tell(self, data: bytes) -> None:
        event = json.loads(data)
        if event["event"] not in self._notify.events:
            return  # the definition has changed since
        if self._notify.argv:
            self._run(data)
        if self._notify.webhook:
            self._post(self._notify.webhook, data, event)

    # ------------------------------------------------------------------------------------------- receivers

    def _run(self, data: bytes) -> None:
        """Run the command with the event on its standard input, without a shell; exit code 0 means accepted."""
        argv, timeout = self._notify.argv, self._notify.timeout
        with tempfile.TemporaryFile() as said:
            try:
                process = subprocess.Popen(
                    argv,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=said,
                    cwd=self._top,
                    env=self._environment,
                    start_new_session=True,
                )
            except OSError as error:
                raise _failed(f"'{argv[0]}' cannot be started: {error.strerror}") from None
            try:
                process.communicate(data, timeout)
            except subprocess.TimeoutExpired:
                raise _failed(f"'{os.path.basename(argv[0])}' took over {timeout:g} s") from None
            finally:
                if process.poll() is None:
                    _end(process)
            if process.returncode:
                said.seek(max(0, said.seek(0, os.SEEK_END) - _HEARD))
                heard = said.read().decode(errors="replace").strip() or "it said nothing"
                raise _failed(f"'{os.path.basename(argv[0])}' ended with {process.returncode}: {heard}")

    def _post(self, address: str, data: bytes, event: Mapping[str, object]) -> None:
        """Post to the webhook; 2xx means accepted. A redirect is a failure: the approval covers one address."""
        from regenstore.remotes.backends.http_client import Body, HttpClient, safe_target

        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"regenstore/{__version__}",
            "Regenstore-Event": str(event["event"]),
            "Regenstore-Delivery": str(event["id"]),
        }
        parts, timeout = urlsplit(address), self._notify.timeout
        place = f"{parts.scheme}://{parts.netloc}"
        client = HttpClient(place, lambda url: None, timeout, Pace(1, timeout), self._proxies)
        target = safe_target(parts.path, parts.query)
        try:
            with client.ask("POST", target, headers, Body.of(data)) as answer:
                pass
        except TooSlow:
            raise _failed(f"{shown(address)} did not answer within {timeout:g} s") from None
        except StorageError as error:
            raise _failed(error.message) from None
        finally:
            client.close()
        if not 200 <= answer.status < 300:
            raise _Refused(f"{shown(address)} answered {answer.status}", answer.retry_after)

    # ------------------------------------------------------------------------------------------- back-off

    def _pause(self) -> tuple[int, float]:
        """Return the number of consecutive failures, and when to try again."""
        try:
            with open(os.path.join(self._outbox.folder, _RETRY), encoding="ascii") as file:
                failures, after = file.read().split()
            # If the clock was set back, no pause can be trusted.
            return int(failures), float(after) if float(after) <= self._clock() + _LONGEST else 0.0
        except (OSError, ValueError):
            return 0, 0.0

    def _remember(self, error: RegenstoreError | None) -> None:
        path = os.path.join(self._outbox.folder, _RETRY)
        if error is None:
            durable.unlink(path)
            return
        failures = self._pause()[0] + 1
        pause = 0.0 if failures < _PATIENT_AFTER else min(_LONGEST, 2.0 ** min(failures - _PATIENT_AFTER + 1, 10))
        if isinstance(error, _Refused):
            pause = max(pause, min(_LONGEST, error.retry_after))
        durable.write_file(path, f"{failures} {self._clock() + pause}\n".encode())


class _Refused(StorageError):
    """The receiver answered, but did not accept the event."""

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__("notify-failed", message)
        self.retry_after = retry_after
        """The seconds after which it wants to be tried again."""


def _failed(message: str) -> StorageError:
    return StorageError("notify-failed", message)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill a command and its child processes."""
    try:
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    except ProcessLookupError:
        pass
    process.wait()
