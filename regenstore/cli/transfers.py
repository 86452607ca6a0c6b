"""Progress of transfers: on a terminal a bar in bytes, shown after the first byte; JSON lines for scripts; else
silent."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

from regenstore.cli.console import bars, shows_progress
from regenstore.cli.progress_lines import ProgressLines
from regenstore.objects.ids import Digest


class Transfers:
    """Shows how many bytes of which contents were moved. Methods may be called from any thread."""

    def __init__(self, as_json: bool, what: str, sizes: Mapping[Digest, int], labels: Callable[[Digest], str]) -> None:
        self._what = what
        self._labels = labels
        self._sizes = sizes
        self._total = sum(sizes.values())
        self._moved: dict[Digest, int] = {}
        self._lock = threading.Lock()
        self._lines = ProgressLines(len(sizes)) if as_json else None
        self._show = self._lines is None and shows_progress()
        self._bars: Any = None

    def __enter__(self) -> Transfers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars is not None:
            self._bars.stop()

    def told(self, digest: Digest, count: int) -> None:
        if not count:
            return
        with self._lock:
            before = self._moved.get(digest)
            done = self._moved[digest] = (before or 0) + count
        if self._lines is not None:
            size, item = self._sizes.get(digest, 0), self._labels(digest)
            if before is None:
                self._lines.started(item, None)
            if done < size:
                self._lines.advanced(item, done / size, f"{done} of {size} bytes")
            else:
                self._lines.finished(item, None)
        elif self._show:
            with self._lock:
                self._advance(count)

    def skipped(self, size: int) -> None:
        """Count bytes that need not be moved."""
        with self._lock:
            self._total -= size
            if self._bars is not None:
                self._bars.update(self._bars.task_ids[0], total=self._total)

    def _advance(self, count: int) -> None:
        if self._bars is None:
            self._bars = bars(bytes_moved=True)
            self._bars.add_task(self._what, total=self._total)
            self._bars.start()
        self._bars.advance(self._bars.task_ids[0], count)
