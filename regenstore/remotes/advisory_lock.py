"""An advisory lock on a remote, so that only one gc works there at a time: an object that its holder keeps rewriting.

No clock decides whether the holder is alive, because a server's clock and those of its clients may be wrong or jump.
Whoever finds the lock watches it for :data:`WATCHED` seconds: if it changes, its holder is alive; if not, the holder
was killed, and the lock is taken over.

Taking and removing a lock needs conditional writes to be exact, which most servers lack, so two jobs may hold it for a
moment. Nothing relies on it being exclusive. What is relied on is that the object exists for as long as any job may
still delete something, because clients then check again what they sent. Therefore a job acts only within a few seconds
of :meth:`AdvisoryLock.confirm`, and begins only after it has had the lock for longer than that.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable

from regenstore.errors import Conflict, StorageError
from regenstore.fs.boot import seconds_since_boot
from regenstore.remotes import layout
from regenstore.remotes.backends.contract import Absent, Backend, read_small

WATCHED = 60.0
"""Seconds without a change after which the holder is presumed dead. It rewrites the lock four times as often."""
_LOOKS = 20
"""How often the lock is read within that time."""
_LONGEST = 1 << 16


class AdvisoryLock:
    """A context manager that takes the lock. Raises Conflict (``remote-busy``) if another job holds it, and
    StorageError.

    ``within``: how many seconds a confirmation is good for. ``pause``: seconds between taking the lock and the start of
    the work. ``waits`` is called with the seconds that watching a lock may take.
    """

    def __init__(
        self,
        backend: Backend,
        within: float,
        pause: float,
        watched: float = WATCHED,
        waits: Callable[[float], None] = lambda seconds: None,
    ) -> None:
        self._backend = backend
        self._within, self._pause, self._watched = within, pause, watched
        self._waits = waits
        self._name = os.urandom(16).hex()
        self._turns = 0
        self._confirmed = 0.0
        self._ended = threading.Event()
        self._renewing = threading.Thread(target=self._renew, daemon=True)

    def __enter__(self) -> AdvisoryLock:
        self._watch()
        self._write()
        time.sleep(self._pause)  # if two jobs found it free, the last writer gets it
        self._confirm()
        self._renewing.start()
        return self

    def confirm(self) -> None:
        """Check that the lock is still this job's, unless that was checked a moment ago; call this before each change.
        Raises Conflict (``remote-busy``) if it was taken over, and StorageError."""
        if seconds_since_boot() - self._confirmed > self._within:
            self._confirm()

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._renewing.join()
        if self._mine():
            self._backend.delete(layout.TURN)

    def _watch(self) -> None:
        """Return when the lock can be taken. Raises Conflict (``remote-busy``) if its holder is alive."""
        first = self._read()
        if first is None:
            return
        self._waits(self._watched)
        # This clock stops while the machine sleeps, as a holder on the same machine does.
        end = time.monotonic() + self._watched
        while time.monotonic() < end:
            time.sleep(self._watched / _LOOKS)
            now = self._read()
            if now is None:
                return
            if now != first:
                raise Conflict("remote-busy", f"another gc is running on {self._backend.url}")

    def _renew(self) -> None:
        while not self._ended.wait(self._watched / 4):
            try:
                if not self._mine():
                    return  # the next confirm says so
                self._write()
            except StorageError:
                continue

    def _confirm(self) -> None:
        began = seconds_since_boot()
        if not self._mine():
            raise Conflict("remote-busy", f"another gc has started on {self._backend.url}")
        self._confirmed = began

    def _write(self) -> None:
        self._turns += 1
        told = {"process": os.getpid(), "turn": self._name, "renewed": self._turns}
        self._backend.write(layout.TURN, json.dumps(told).encode())

    def _mine(self) -> bool:
        return self._name.encode() in (self._read() or b"")

    def _read(self) -> bytes | None:
        try:
            return read_small(self._backend, layout.TURN, _LONGEST)
        except Absent:
            return None
