"""What the Git filter tells people: one summary line, and progress when work takes over a second."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import Counter
from types import TracebackType
from typing import TYPE_CHECKING

from regenstore.errors import RegenstoreError

if TYPE_CHECKING:
    from regenstore.refs.moved import Origin

SHOWN = 3


class Report:
    """Collects what happened to paths; ``summary`` prints at most a few lines."""

    def __init__(self) -> None:
        self._placed = 0
        self._left: dict[bytes, str] = {}
        self._guessed: dict[bytes, Origin] = {}

    def placed(self, count: int) -> None:
        self._placed += count

    def left(self, path: bytes, reason: str) -> None:
        self._left[path] = reason

    def guessed(self, path: bytes, origin: Origin) -> None:
        self._guessed[path] = origin

    def summary(self) -> None:
        """Say which paths stay recipes, and how to get them, and which recipe a moved medium was given if there
        was a choice; nothing when all is well."""
        self._tell_guessed()
        if not self._left:
            return
        reasons = Counter(self._left.values())
        count = len(self._left)
        kept, them = ("1 medium stays a recipe", "it") if count == 1 else (f"{count} media stay recipes", "them")
        print(f"regenstore: {kept}; 'regenstore get' brings {them}", file=sys.stderr)
        for reason, number in reasons.most_common(SHOWN):
            first = next(path for path, why in self._left.items() if why == reason)
            more = f" and {number - 1} more" if number > 1 else ""
            print(f"regenstore:   {os.fsdecode(first)!r}{more}: {reason}", file=sys.stderr)

    def _tell_guessed(self) -> None:
        if not self._guessed:
            return
        path, origin = next(iter(self._guessed.items()))
        more = f" (and {len(self._guessed) - 1} more like it)" if len(self._guessed) > 1 else ""
        others = f"{os.fsdecode(origin.others[0])!r}" + (", …" if len(origin.others) > 1 else "")
        print(
            f"regenstore: {os.fsdecode(path)!r} has the bytes of several media; it was given the recipe of "
            f"{os.fsdecode(origin.path)!r}, not of {others}{more}",
            file=sys.stderr,
        )


class FilterProgress:
    """One line on a terminal, rewritten; a line every few seconds elsewhere; nothing for quick work."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._done = 0
        self._running: dict[str, float] = {}
        self._begun = time.monotonic()
        self._last = self._begun
        self._terminal = sys.stderr.isatty()
        self._shown = False
        self._lock = threading.Lock()

    def __enter__(self) -> FilterProgress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._shown and self._terminal:
            print("\r\x1b[K", end="", file=sys.stderr)

    def started(self, label: str, seconds: float | None) -> None:
        with self._lock:
            self._running[label] = 0.0
            self._show()

    def advanced(self, label: str, fraction: float, note: str) -> None:
        with self._lock:
            self._running[label] = fraction
            self._show()

    def finished(self, label: str, error: RegenstoreError | None) -> None:
        with self._lock:
            self._running.pop(label, None)
            self._done += 1
            self._show()

    def _show(self) -> None:
        now = time.monotonic()
        if now - self._begun < 1.0 or now - self._last < (0.1 if self._terminal else 5.0):
            return
        self._last, self._shown = now, True
        running = ", ".join(f"{label} {fraction:.0%}" for label, fraction in list(self._running.items())[:2])
        line = f"regenstore: regenerating, {self._done} done of about {self._total}; {running}"
        if self._terminal:
            print("\r\x1b[K" + line[:110], end="", file=sys.stderr, flush=True)
        else:
            print(line, file=sys.stderr, flush=True)
