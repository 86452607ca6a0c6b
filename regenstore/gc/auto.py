"""gc by itself, when the contents pass ``regenstore.maxSize``; and what to suggest when the disk runs low."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from regenstore.gc.policy import bytes_to_free
from regenstore.objects.content_store import ContentStore
from regenstore.objects.result_cache import ResultCache

if TYPE_CHECKING:  # slow to import, and seldom needed
    from regenstore.gc.collect import Collector, GcReport

_STUCK = "stuck at "
_MORE = 1.02
"""After a run that could not free enough, the contents have to grow by this before another one tries."""
LOW_SHARE, LOW_BYTES = 0.1, 10 * 10**9
"""A disk runs low under the lesser of these: a share of its capacity, and bytes."""
RECENT_DAYS = 7
"""What was used within them is recent work: no suggestion touches it."""


def due(store: ContentStore, cache: ResultCache, cap: int) -> bool:
    """Whether there is anything to do: quickly, without a survey."""
    total = _content_bytes(store)
    if total <= cap:
        return False
    stuck = cache.read("SELECT value FROM gc_value WHERE name = ?", (f"{_STUCK}{cap}",))
    return not stuck or total > stuck[0][0] * _MORE


def collect(collector: Collector, cap: int, grace: float) -> GcReport | None:
    """Bring the contents back to 90 % of the cap, if they are above it. Raises Conflict where another gc is at
    work. None when nothing was done."""
    store, cache = collector.store, collector.cache
    if not due(store, cache, cap):
        return None
    from regenstore.gc.plan import GcWish

    free = bytes_to_free(_content_bytes(store), cap)
    plan = collector.plan(GcWish(free=free, grace=grace))
    report = None if plan.empty else collector.execute(plan)
    left = float(_content_bytes(store))

    def work(db: sqlite3.Connection) -> None:
        db.execute("DELETE FROM gc_value WHERE name LIKE ?", (f"{_STUCK}%",))
        if left > cap:
            db.execute("INSERT INTO gc_value VALUES (?, ?)", (f"{_STUCK}{cap}", left))

    cache.write(work)
    return report


def _content_bytes(store: ContentStore) -> int:
    from regenstore.gc.usage import content_bytes

    return content_bytes(store)


class Suggestion(NamedTuple):
    """What could be freed where space runs low, with nothing that was used lately: exactly what its command
    would do now."""

    disk_free: int
    """Bytes that the disk has left."""
    lacking: int
    """Bytes that should become free."""
    contents: int
    bytes: int
    """What can become free of them; 0 where all that may go is recent work."""
    seconds: float
    """What it would take to make all of that again."""

    @property
    def command(self) -> str | None:
        if not self.bytes:
            return None
        return f"regenstore gc --free {min(self.lacking, self.bytes)} --older-than {RECENT_DAYS}d"

    def fields(self) -> dict[str, object]:
        """For scripts."""
        return {
            "disk_free_bytes": self.disk_free,
            "lacking_bytes": self.lacking,
            "contents": self.contents,
            "bytes": self.bytes,
            "seconds": self.seconds,
            "command": self.command,
        }


def lacking(free: int, capacity: int) -> int:
    """How many bytes more a disk should have free; 0 where it does not run low."""
    return max(0, int(min(LOW_SHARE * capacity, LOW_BYTES)) - free)


def suggest(store: ContentStore, cap: int | None, collector: Callable[[], Collector]) -> Suggestion | None:
    """What could be freed, where the store's disk runs low or its contents are above the cap; None where neither
    is so. Surveys only then. Changes nothing."""
    try:
        disk = shutil.disk_usage(store.root)
    except OSError:
        return None  # there is no store yet, or nobody can tell
    wanted = lacking(disk.free, disk.total)
    if cap is not None:
        wanted = max(wanted, bytes_to_free(_content_bytes(store), cap))
    if not wanted:
        return None
    from regenstore.gc.plan import GcWish

    plan = collector().plan(GcWish(free=wanted, older_than=RECENT_DAYS * 86400.0))
    return Suggestion(disk.free, wanted, len(plan.evict) + len(plan.purge), plan.freed, plan.seconds)
