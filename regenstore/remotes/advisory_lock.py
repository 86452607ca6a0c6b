"""An advisory lock on a remote, so that only one gc works there at a time: an object that is taken over once it is old.

The lock avoids duplicate work. Nothing relies on it being exclusive, as that needs conditional writes, which most
servers lack (if two jobs hold it, tombstones outlive what both may delete). Its presence during deletion tells clients
to check again what they sent.
"""

from __future__ import annotations

import json
import os
import time

from regenstore.errors import Conflict
from regenstore.remotes import layout
from regenstore.remotes.backends.contract import Absent, Backend, read_small
from regenstore.remotes.check import clock

STALE = 3600.0
"""Seconds after which the holder is presumed dead."""
_AGAIN = 300.0
_PAUSE = 1.0
_LONGEST = 1 << 16


class AdvisoryLock:
    """A context manager that takes the lock. Raises Conflict (``remote-busy``) if another job holds it."""

    def __init__(self, backend: Backend, pause: float = _PAUSE) -> None:
        self._backend = backend
        self._pause = pause
        self._mark = json.dumps({"process": os.getpid(), "turn": os.urandom(16).hex()}).encode()
        self._kept = 0.0

    def __enter__(self) -> AdvisoryLock:
        head = self._backend.head(layout.TURN)
        if head is not None and (head.modified is None or clock(self._backend) - head.modified < STALE):
            raise Conflict("remote-busy", f"another gc is running on {self._backend.url}, or was until recently")
        self._write()
        time.sleep(self._pause)  # if two jobs found it free, the last writer gets it
        self._require()
        return self

    def keep(self) -> None:
        """Refresh the lock; call this from time to time. Raises Conflict (``remote-busy``) if it was taken over."""
        if time.monotonic() - self._kept > _AGAIN:
            self._require()
            self._write()

    def __exit__(self, *_: object) -> None:
        if self._mine():
            self._backend.delete(layout.TURN)

    def _write(self) -> None:
        self._backend.write(layout.TURN, self._mark)
        self._kept = time.monotonic()

    def _require(self) -> None:
        if not self._mine():
            raise Conflict("remote-busy", f"another gc has started on {self._backend.url}")

    def _mine(self) -> bool:
        try:
            return read_small(self._backend, layout.TURN, _LONGEST) == self._mark
        except Absent:
            return False
