"""The Git filter's messages: a short summary, and progress when work takes more than a second."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import Counter
from types import TracebackType
from typing import TYPE_CHECKING

from regenstore.cli.console import rewrite, say, shortened, visible, width_of
from regenstore.errors import RegenstoreError

if TYPE_CHECKING:
    from regenstore.refs.moved_media import Origin

SHOWN = 3
LEFT_FILE = "REGENSTORE_LEFT_FILE"
"""Environment variable of the filter: a file to create if media stay recipes because something failed. It tells the
program that started git."""


class FilterTally:
    """Collects what happened to paths; ``summary`` prints at most a few lines."""

    def __init__(self) -> None:
        self._placed = 0
        self._left: dict[bytes, str] = {}
        self._lost = 0
        self._problems: dict[str, str] = {}
        self._failed = False
        self._guessed: dict[bytes, Origin] = {}

    def placed(self, count: int) -> None:
        self._placed += count

    def left(self, path: bytes, reason: str, *, lost: bool = False) -> None:
        self._left[path] = reason
        self._lost += lost

    def failed(self) -> None:
        """Record that an attempt failed, as opposed to work that was not allowed or not attempted."""
        self._failed = True

    def remote_failed(self, name: str, message: str) -> None:
        self._problems[name] = message
        self._failed = True

    def guessed(self, path: bytes, origin: Origin) -> None:
        self._guessed[path] = origin

    def summary(self) -> None:
        """Print which paths stay recipes and how to get them, and which recipe was chosen for a moved medium if
        there were several; nothing if all is well."""
        self._tell_guessed()
        if not self._left:
            return
        if self._failed:
            self._tell_starter()
        reasons = Counter(self._left.values())
        say(f"regenstore: {self._kept()}", err=True)
        for reason, number in reasons.most_common(SHOWN):
            first = next(path for path, why in self._left.items() if why == reason)
            more = f" and {number - 1} more" if number > 1 else ""
            say(f"regenstore:   '{os.fsdecode(first)}'{more}: {reason}", err=True)
        for name, message in self._problems.items():
            say(f"regenstore:   remote {name}: {message}", err=True)

    def _kept(self) -> str:
        """How many media stay recipes, and which command helps: a remote that did not answer may have the lost ones."""
        count, lost = len(self._left), 0 if self._problems else self._lost
        kept, them = ("1 medium stays a recipe", "it") if count == 1 else (f"{count} media stay recipes", "them")
        if not lost:
            return f"{kept}; 'regenstore get' brings {them}"
        if lost == count:
            return f"{kept}; 'regenstore fsck' looks for other copies of {them}"
        return f"{kept}; 'regenstore get' brings {count - lost} of them, 'regenstore fsck' looks for copies of the rest"

    def _tell_starter(self) -> None:
        """Tell the program that started git, which cannot see this from git's exit code."""
        path = os.environ.get(LEFT_FILE)
        if path:
            try:
                os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
            except OSError:
                pass  # the program that started git is no longer waiting

    def _tell_guessed(self) -> None:
        if not self._guessed:
            return
        path, origin = next(iter(self._guessed.items()))
        more = f" (and {len(self._guessed) - 1} more like it)" if len(self._guessed) > 1 else ""
        others = f"'{os.fsdecode(origin.others[0])}'" + (", …" if len(origin.others) > 1 else "")
        say(
            f"regenstore: '{os.fsdecode(path)}' has the bytes of several media; it got the recipe of "
            f"'{os.fsdecode(origin.path)}', not of {others}{more}",
            err=True,
        )


class FilterProgress:
    """Progress: one line, rewritten, on a terminal; a line every few seconds elsewhere; nothing for quick work."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._done = 0
        self._running: dict[str, float] = {}
        self._begun = time.monotonic()
        self._last = self._begun
        self._terminal = sys.stderr is not None and sys.stderr.isatty()
        self._shown = False
        self._lock = threading.Lock()

    def __enter__(self) -> FilterProgress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._shown and self._terminal:
            rewrite("")

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
        lead = f"regenstore: regenerating, {self._done} done of about {self._total}; "
        if self._terminal:  # a line that the terminal wraps would stay on the screen
            room = width_of(sys.stderr) - 1
            rewrite((lead + shortened(visible(running), max(1, room - len(lead))))[:room])
        else:
            say(lead + running, err=True)
