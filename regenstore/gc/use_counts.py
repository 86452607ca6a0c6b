"""How often contents were used: the records that processes left in ``uses/``, added to the database at each gc.

This only determines the order of eviction. Losing it loses nothing else.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from regenstore.fs import durable
from regenstore.gc.policy import UseRecord, faded, used
from regenstore.objects import holds
from regenstore.objects.content_store import ContentStore
from regenstore.objects.ids import Digest
from regenstore.objects.results import gc_tables
from regenstore.objects.results.cache import ResultCache
from regenstore.objects.results.gc_tables import UseRow

MANY = 1e3
"""Above this frequency all frequencies are halved, so that old popularity fades."""
REMEMBERED = 30 * 86400.0
"""The seconds for which the uses of an evicted content are remembered."""


@dataclass
class Uses:
    """All known uses. ``aging`` is the policy's value L."""

    usage: dict[Digest, UseRecord] = field(default_factory=dict)
    last: dict[Digest, float] = field(default_factory=dict)
    """When a content was last used; seconds since the epoch."""
    aging: float = 0.0
    counted: list[str] = field(default_factory=list)
    """The files whose uses are counted here, and not yet in the database."""

    def of(self, digest: Digest) -> UseRecord:
        return self.usage.get(digest) or used(None, 0, self.aging)


def load(store: ContentStore, cache: ResultCache) -> Uses:
    """Return the uses from the database plus those recorded since. Changes nothing."""
    found = Uses(aging=gc_tables.aging(cache))
    for row in gc_tables.uses(cache):
        found.usage[row.digest] = UseRecord(row.frequency, row.base)
        found.last[row.digest] = row.last
    hits: Counter[Digest] = Counter()
    for path, digests in holds.finished(store.root):
        try:
            when = os.path.getmtime(path)
        except OSError:
            continue
        found.counted.append(path)
        hits.update(digests)
        found.last.update({digest: max(when, found.last.get(digest, 0.0)) for digest in digests})
    for digest, count in hits.items():
        found.usage[digest] = used(found.usage.get(digest), count, found.aging)
    if any(usage.frequency > MANY for usage in found.usage.values()):
        found.usage = {digest: UseRecord(usage.frequency / 2, usage.base) for digest, usage in found.usage.items()}
    return found


def save(
    cache: ResultCache, uses: Uses, present: Iterable[Digest], evicted: Iterable[Digest], aging: float, now: float
) -> None:
    """Store all uses, including present contents that were never used, and the new aging value; fade those of evicted
    contents, forget those long gone. The counted files are removed afterwards: if killed in between, they count twice
    at most."""
    for digest in evicted:
        uses.usage[digest] = faded(uses.of(digest))
    here = set(present)
    rows = []
    for digest in here | uses.usage.keys():
        last = uses.last.get(digest, now)
        if digest in here or now - last < REMEMBERED:
            usage = uses.of(digest)
            rows.append(UseRow(digest, usage.frequency, usage.base, last))
    gc_tables.replace_uses(cache, rows, aging)
    with durable.storage_errors(cache.path):
        for path in uses.counted:
            durable.unlink(path)
