"""What gc keeps in the result database: how often contents were used, and a few values. All of it may be lost."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import NamedTuple

from regenstore.objects.ids import Digest
from regenstore.objects.results.cache import ResultCache

_AGING = "aging"
_STUCK = "stuck at "


class UseRow(NamedTuple):
    """What is known of the uses of one content."""

    digest: Digest
    frequency: float
    base: float
    last: float
    """Seconds since the epoch."""


def uses(cache: ResultCache) -> list[UseRow]:
    """Every row, in no order."""
    rows = cache.database.rows("SELECT digest, frequency, base, used FROM usage", ())
    return [UseRow(Digest(raw), frequency, base, last) for raw, frequency, base, last in rows]


def aging(cache: ResultCache) -> float:
    """The policy's value L; 0 before the first gc."""
    return _value(cache, _AGING) or 0.0


def replace_uses(cache: ResultCache, rows: Iterable[UseRow], aging: float) -> None:
    """Write all uses anew, with the value L, in one transaction."""
    written = [(row.digest.raw, row.frequency, row.base, row.last) for row in rows]

    def work(db: sqlite3.Connection) -> None:
        db.execute("DELETE FROM usage")
        db.executemany("INSERT INTO usage VALUES (?, ?, ?, ?)", written)
        db.execute("INSERT OR REPLACE INTO gc_value VALUES (?, ?)", (_AGING, aging))

    cache.database.write(work)


def stuck_at(cache: ResultCache, cap: int) -> float | None:
    """The bytes that the last run could not bring under this cap; None where it could."""
    return _value(cache, f"{_STUCK}{cap}")


def note_stuck(cache: ResultCache, cap: int, left: float | None) -> None:
    """Note that so many bytes are left above a cap, or with None that a run got under it. Other caps are forgotten."""

    def work(db: sqlite3.Connection) -> None:
        db.execute("DELETE FROM gc_value WHERE name LIKE ?", (f"{_STUCK}%",))
        if left is not None:
            db.execute("INSERT INTO gc_value VALUES (?, ?)", (f"{_STUCK}{cap}", left))

    cache.database.write(work)


def _value(cache: ResultCache, name: str) -> float | None:
    rows = cache.database.rows("SELECT value FROM gc_value WHERE name = ?", (name,))
    return float(rows[0][0]) if rows else None
