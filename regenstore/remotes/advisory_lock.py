"""Whose turn it is to clear up a remote: one object that says so, taken over once it is old.

It keeps two jobs from doing the work twice. Nothing rests on it being exclusive, which needs conditional writes that
most servers do not have (where two have it, tombstones outlive what both may delete); that it is there while somebody
deletes tells clients to look again at what they sent.
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
"""Seconds after which whoever had the turn is taken to be dead."""
_AGAIN = 300.0
_PAUSE = 1.0
_LONGEST = 1 << 16


class AdvisoryLock:
    """Taken by ``with``; raises Conflict (``remote-busy``) where somebody else has it."""

    def __init__(self, backend: Backend, pause: float = _PAUSE) -> None:
        self._backend = backend
        self._pause = pause
        self._mark = json.dumps({"process": os.getpid(), "turn": os.urandom(16).hex()}).encode()
        self._kept = 0.0

    def __enter__(self) -> AdvisoryLock:
        head = self._backend.head(layout.TURN)
        if head is not None and (head.modified is None or clock(self._backend) - head.modified < STALE):
            raise Conflict("remote-busy", f"another gc is at work on {self._backend.url}, or was until lately")
        self._write()
        time.sleep(self._pause)  # of two that found nobody, the one that wrote last has it
        self._require()
        return self

    def keep(self) -> None:
        """Say now and then that it is still taken. Raises Conflict (``remote-busy``) where it was taken over."""
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
            raise Conflict("remote-busy", f"another gc has begun to work on {self._backend.url}")

    def _mine(self) -> bool:
        try:
            return read_small(self._backend, layout.TURN, _LONGEST) == self._mark
        except Absent:
            return False
