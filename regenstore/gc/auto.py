"""Automatic gc when the contents exceed ``regenstore.maxSize``, and suggestions when the disk runs low."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from regenstore.gc.policy import bytes_to_free
from regenstore.objects.content_store import ContentStore
from regenstore.objects.results import gc_tables
from regenstore.objects.results.cache import ResultCache

if TYPE_CHECKING:  # slow to import, and seldom needed
    from regenstore.gc.collect import Collector, GcReport

_MORE = 1.02
"""After a run that could not free enough, the contents must grow by this factor before the next automatic run."""
LOW_SHARE, LOW_BYTES = 0.1, 10 * 10**9
"""A disk runs low below the lesser of these: a share of its capacity, and bytes."""
RECENT_DAYS = 7
"""What was used within this time is recent work: no suggestion touches it."""


def due(store: ContentStore, cache: ResultCache, cap: int) -> bool:
    """Return whether there is anything to do: quickly, without a survey."""
    total = _content_bytes(store)
    if total <= cap:
        return False
    stuck = gc_tables.stuck_at(cache, cap)
    return stuck is None or total > stuck * _MORE


def collect(collector: Collector, cap: int, grace: float) -> GcReport | None:
    """Bring the contents back to 90 % of the cap, if they exceed it. Raises Conflict if another gc is running. None if
    nothing was done."""
    store, cache = collector.store, collector.cache
    if not due(store, cache, cap):
        return None
    from regenstore.gc.plan import GcWish

    free = bytes_to_free(_content_bytes(store), cap)
    plan = collector.plan(GcWish(free=free, grace=grace))
    report = None if plan.empty else collector.execute(plan)
    left = _content_bytes(store)
    gc_tables.note_stuck(cache, cap, float(left) if left > cap else None)
    return report


def _content_bytes(store: ContentStore) -> int:
    from regenstore.gc.usage import content_bytes

    return content_bytes(store)


class Suggestion(NamedTuple):
    """What could be freed when space runs low, without anything used lately: exactly what its command would do now."""

    disk_free: int
    """The free space on the disk, in bytes."""
    lacking: int
    """The bytes to free."""
    contents: int
    bytes: int
    """The bytes of those that can be freed; 0 if everything evictable is recent work."""
    seconds: float
    """The cost of making all of that again."""

    @property
    def command(self) -> str | None:
        if not self.bytes:
            return None
        return f"regenstore gc --free {min(self.lacking, self.bytes)} --older-than {RECENT_DAYS}d"

    def fields(self) -> dict[str, object]:
        """Return the machine-readable form."""
        return {
            "disk_free_bytes": self.disk_free,
            "lacking_bytes": self.lacking,
            "contents": self.contents,
            "bytes": self.bytes,
            "seconds": self.seconds,
            "command": self.command,
        }


def lacking(free: int, capacity: int) -> int:
    """Return how many more bytes a disk should have free; 0 if it does not run low."""
    return max(0, int(min(LOW_SHARE * capacity, LOW_BYTES)) - free)


def suggest(store: ContentStore, cap: int | None, collector: Callable[[], Collector]) -> Suggestion | None:
    """Return what could be freed if the store's disk runs low or its contents exceed the cap; otherwise None, without a
    survey. Changes nothing."""
    try:
        disk = shutil.disk_usage(store.root)
    except OSError:
        return None  # there is no store yet, or its state is unknown
    wanted = lacking(disk.free, disk.total)
    if cap is not None:
        wanted = max(wanted, bytes_to_free(_content_bytes(store), cap))
    if not wanted:
        return None
    from regenstore.gc.plan import GcWish

    plan = collector().plan(GcWish(free=wanted, older_than=RECENT_DAYS * 86400.0))
    return Suggestion(disk.free, wanted, len(plan.evict) + len(plan.purge), plan.freed, plan.seconds)
