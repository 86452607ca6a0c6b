"""Machine-readable progress: with ``--json``, one JSON record per line on standard error. Standard output contains
only the result."""

from __future__ import annotations

import time
from collections.abc import Callable

from regenstore.cli.console import print_json
from regenstore.cli.context import ConsoleProgress
from regenstore.errors import RegenstoreError
from regenstore.fs.path_text import path_text

PAUSE = 0.5
"""Seconds between two progress lines of one item."""


class ProgressLines(ConsoleProgress):
    """Progress as JSON lines: the start of each item, its progress from time to time, its end. Methods may be called
    from any thread."""

    def __init__(self, total: int = 1) -> None:
        super().__init__(total)
        self._done = 0
        self._told: dict[str, float] = {}

    def __enter__(self) -> ProgressLines:
        return self

    def counts(self, what: str, total: int) -> Callable[[bytes], None]:
        return lambda path: None

    def started(self, label: str, seconds: float | None) -> None:
        with self._lock:
            self._told[label] = time.monotonic()
            self._tell("started", label, seconds=seconds)

    def advanced(self, label: str, fraction: float, note: str) -> None:
        with self._lock:
            now = time.monotonic()
            if now - self._told.get(label, 0.0) >= PAUSE:
                self._told[label] = now
                self._tell("advanced", label, fraction=round(fraction, 4), note=note)

    def finished(self, label: str, error: RegenstoreError | None) -> None:
        with self._lock:
            self._done += 1
            self._tell("finished", label, error=None if error is None else error.kind)

    def _tell(self, what: str, label: str, **more: object) -> None:
        fields = {"type": "regenstore.progress", "version": 1, "what": what, "item": path_text(label)}
        counts = {"done": self._done, "total": max(self._total, self._done)}
        print_json({**fields, **counts, **more}, err=True)


def progress_for(as_json: bool, total: int) -> ConsoleProgress:
    """Progress bars for people, JSON lines for scripts."""
    return ProgressLines(total) if as_json else ConsoleProgress(total)
