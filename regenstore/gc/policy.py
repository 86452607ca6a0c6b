"""Which evictable contents go first when space is needed: pure, no I/O.

GDSF (Greedy-Dual-Size-Frequency) with the cost of regenerating: each candidate has the priority

    H = base + frequency * seconds / (size + 4096)

and the lowest go first. ``base`` is the *aging value* L at the candidate's last use; L rises to the
priorities that had to go, so what is no longer used is overtaken by what is, however dear it once was.

Guaranteed: what a later group protects goes only when nothing of the earlier groups is left (see ``group``);
a candidate whose inputs go before it is judged by what it costs to bring back together with them; the same
candidates give the same choice, in whatever order they come. Whether something may go at all is not decided
here: callers pass only what is evictable.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from regenstore.objects.ids import Digest

SUPERSEDED, TIP, WORKING = 1, 2, 3
"""The standings that make a difference here; DEAD, the lowest, is 0."""

_ENTRY_BYTES = 4096
"""What a file costs besides its bytes; also keeps tiny media from having boundless priorities."""
_LEAST_SECONDS = 0.1
"""Starting anything takes this long, so a recorded cost of nothing is not believed."""
_LOW_WATER = 0.9
_CLOSURE_LIMIT = 64
"""Evicted inputs that are counted for one candidate: bounds the work on very long chains of edits."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One evictable content."""

    digest: Digest
    size: int
    seconds: float
    """What it takes to bring it back as things are: regenerating it with every input that is missing now, or
    fetching it, whichever is less. Finite."""
    frequency: float
    base: float
    standing: int
    preview: bool = False

    def __post_init__(self) -> None:
        if not all(math.isfinite(value) and value >= 0 for value in (self.seconds, self.frequency, self.base)):
            raise ValueError(f"not a candidate for eviction: {self!r}")


@dataclass(frozen=True, slots=True)
class Choice:
    """What to evict, first to go first, and the aging value after it."""

    chosen: list[Candidate]
    aging: float

    @property
    def freed(self) -> int:
        return sum(candidate.size for candidate in self.chosen)


@dataclass(frozen=True, slots=True)
class Usage:
    """What is remembered of the uses of one content."""

    frequency: float
    base: float


def used(before: Usage | None, hits: int, aging: float) -> Usage:
    """Fold the hits since the last gc, during which the aging value was ``aging``, into what is remembered.

    A content without a past has been used once: when it was made.
    """
    if before is None:
        return Usage(1.0 + hits, aging)
    return Usage(before.frequency + hits, aging) if hits else before


def bytes_to_free(stored: int, cap: int) -> int:
    """Nothing up to the cap; above it, what leads back to 90 % of it, so that gc does not run after every put."""
    return 0 if stored <= cap else stored - int(cap * _LOW_WATER)


def group(candidate: Candidate) -> int:
    """0: what only the past needs, or stands in for something else; 1: what a ref's tip needs; 2: the working set."""
    if candidate.preview or candidate.standing <= SUPERSEDED:
        return 0
    return 1 if candidate.standing <= TIP else 2


def choose(
    candidates: Iterable[Candidate],
    bytes_to_free: int,
    *,
    inputs: Mapping[Digest, Collection[Digest]] | None = None,
    floor: float = 0.0,
) -> Choice:
    """The candidates to evict, until ``bytes_to_free`` are free or none is left.

    ``inputs`` says from what contents are made: of candidates, and of contents that are not in the store (through
    which an evicted input reaches candidates). ``floor`` is the aging value until now.
    """
    listed = list(candidates)
    queue = [(group(item), _priority(item, item.seconds), item.digest.raw, n) for n, item in enumerate(listed)]
    heapq.heapify(queue)
    closures = _Closures(listed, inputs) if inputs else None
    chosen: list[Candidate] = []
    aging = floor
    while queue and bytes_to_free > 0:
        rank, priority, raw, number = queue[0]
        candidate = listed[number]
        if closures is not None:
            # Only now, not when an input went: most dependents never come up.
            dearer = _priority(candidate, candidate.seconds + closures.evicted_inputs_of(number))
            if dearer > priority:
                heapq.heapreplace(queue, (rank, dearer, raw, number))
                continue
            closures.evicted(number)
        heapq.heappop(queue)
        chosen.append(candidate)
        bytes_to_free -= candidate.size
        aging = max(aging, priority)
    return Choice(chosen, aging)


def _priority(candidate: Candidate, seconds: float) -> float:
    worth = candidate.frequency * max(seconds, _LEAST_SECONDS)
    return candidate.base + worth / (candidate.size + _ENTRY_BYTES)


class _Closures:
    """What evicting inputs adds to the cost of what is made from them. Contents are numbers here, for speed."""

    def __init__(self, listed: Sequence[Candidate], inputs: Mapping[Digest, Collection[Digest]]) -> None:
        names = {item.digest: number for number, item in enumerate(listed)}
        self._seconds = [item.seconds for item in listed]
        self._gone = [False] * len(listed)
        for digest in inputs:
            if digest not in names:  # not in the store
                names[digest] = len(names)
                self._seconds.append(0.0)
                self._gone.append(True)
        self._needs: list[list[int]] = [[] for _ in names]
        for digest, needed in inputs.items():
            # In the order of digests, so that also where counting stops does not depend on the order given.
            self._needs[names[digest]] = [names[one] for one in sorted(needed) if one in names]

    def evicted(self, number: int) -> None:
        self._gone[number] = True

    def evicted_inputs_of(self, number: int) -> float:
        """Seconds for all evicted inputs that making this would need, each counted once."""
        seen = {number}
        todo = [number]
        while todo and len(seen) <= _CLOSURE_LIMIT:
            for needed in self._needs[todo.pop()]:
                if self._gone[needed] and needed not in seen:
                    seen.add(needed)
                    todo.append(needed)
        seen.discard(number)
        return math.fsum(self._seconds[needed] for needed in seen)
