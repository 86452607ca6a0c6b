"""gc by itself, when the contents pass ``regenstore.maxSize``; and what to suggest when the disk runs low."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass

from regenstore.gc.collect import Collector, Report
from regenstore.gc.plan import Wish
from regenstore.gc.policy import bytes_to_free
from regenstore.gc.usage import content_bytes
from regenstore.objects.content_store import ContentStore
from regenstore.objects.result_cache import ResultCache
from regenstore.proof.survey import Standing, Survey

_STUCK = "stuck at "
_MORE = 1.02
"""After a run that could not free enough, the contents have to grow by this before another one tries."""
LOW_SHARE, LOW_BYTES = 0.1, 10 * 10**9


def due(store: ContentStore, cache: ResultCache, cap: int) -> bool:
    """Whether there is anything to do: quickly, without a survey."""
    total = content_bytes(store)
    if total <= cap:
        return False
    stuck = cache.read("SELECT value FROM gc_value WHERE name = ?", (f"{_STUCK}{cap}",))
    return not stuck or total > stuck[0][0] * _MORE


def collect(collector: Collector, cap: int, grace: float) -> Report | None:
    """Bring the contents back to 90 % of the cap, if they are above it. Raises Conflict where another gc is at
    work. None when nothing was done."""
    store, cache = collector.store, collector.cache
    if not due(store, cache, cap):
        return None
    free = bytes_to_free(content_bytes(store), cap)
    plan = collector.plan(Wish(free=free, grace=grace))
    report = None if plan.empty else collector.execute(plan)
    left = float(content_bytes(store))

    def work(db: sqlite3.Connection) -> None:
        db.execute("DELETE FROM gc_value WHERE name LIKE ?", (f"{_STUCK}%",))
        if left > cap:
            db.execute("INSERT INTO gc_value VALUES (?, ?)", (f"{_STUCK}{cap}", left))

    cache.write(work)
    return report


@dataclass(frozen=True)
class Suggestion:
    """What could be freed while the disk runs low."""

    free: int
    """Bytes that the disk has left."""
    bytes: int
    """What 'regenstore gc --free' could free of them without touching what a worktree has now."""
    seconds: float
    """What it would take to make all of that again."""


def low(free: int, capacity: int) -> bool:
    """Whether a disk runs low: under 10 % or under 10 GB, whichever is less."""
    return free < min(LOW_SHARE * capacity, LOW_BYTES)


def suggest(survey: Callable[[], Survey], free: int, capacity: int) -> Suggestion | None:
    """What could be freed, when the disk runs low; None when it does not, or nothing could. Surveys only then."""
    if not low(free, capacity):
        return None
    found = [e for e in survey().entries.values() if e.evictable and e.standing < Standing.WORKING]
    size = sum(entry.stored.size for entry in found)
    return Suggestion(free, size, sum(entry.own or 0.0 for entry in found)) if size else None
