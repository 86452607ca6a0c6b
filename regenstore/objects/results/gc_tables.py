"""gc's tables in the result database: how often contents were used, and a few values. All of it is expendable."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import NamedTuple

from regenstore.objects.ids import Digest
from regenstore.objects.results.cache import ResultCache

_AGING = "aging"
_STUCK = "stuck at "


class UseRow(NamedTuple):
    """The use statistics of one content."""

    digest: Digest
    frequency: float
    base: float
    last: float
    """Seconds since the epoch."""


def uses(cache: ResultCache) -> list[UseRow]:
    """Return every row, in no particular order."""
    rows = cache.database.rows("SELECT digest, frequency, base, used FROM usage", ())
    return [UseRow(Digest(raw), frequency, base, last) for raw, frequency, base, last in rows]


def aging(cache: ResultCache) -> float:
    """Return the policy's value L; 0 before the first gc."""
    return _value(cache, _AGING) or 0.0


def replace_uses(cache: ResultCache, rows: Iterable[UseRow], aging: float) -> None:
    """Replace all uses, and the value L, in one transaction."""
    written = [(row.digest.raw, row.frequency, row.base, row.last) for row in rows]

    def work(db: sqlite3.Connection) -> None:
        db.execute("DELETE FROM usage")
        db.executemany("INSERT INTO usage VALUES (?, ?, ?, ?)", written)
        db.execute("INSERT OR REPLACE INTO gc_value VALUES (?, ?)", (_AGING, aging))

    cache.database.write(work)


def stuck_at(cache: ResultCache, cap: int) -> float | None:
    """Return the bytes by which the last run missed this cap; None if it reached it."""
    return _value(cache, f"{_STUCK}{cap}")


def note_stuck(cache: ResultCache, cap: int, left: float | None) -> None:
    """Record the bytes left above a cap, or with None that a run reached it. Other caps are forgotten."""

    def work(db: sqlite3.Connection) -> None:
        db.execute("DELETE FROM gc_value WHERE name LIKE ?", (f"{_STUCK}%",))
        if left is not None:
            db.execute("INSERT INTO gc_value VALUES (?, ?)", (f"{_STUCK}{cap}", left))

    cache.database.write(work)


def _value(cache: ResultCache, name: str) -> float | None:
    rows = cache.database.rows("SELECT value FROM gc_value WHERE name = ?", (name,))
    return float(rows[0][0]) if rows else None
