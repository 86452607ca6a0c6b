"""The eviction policy: which evictable contents go first when space is needed. Pure, no I/O.

GDSF (Greedy-Dual-Size-Frequency) with the cost of regeneration. Each candidate has the priority

    H = base + weight * frequency * seconds / (size + 4096)

and the lowest go first. ``base`` is the *aging value* L at the candidate's last use; L rises to the priorities of
evicted contents, so contents in use overtake those no longer used, however expensive they once were. ``weight`` is 1
for what only history needs and for previews, 8 for what a ref's tip needs, 64 for the working set.

Guarantees: among otherwise equal candidates, history and previews go first and the working set last; a candidate whose
inputs are evicted before it is rated at the cost of bringing it back together with them; the same candidates give the
same choice, in any order. Callers pass only what is evictable: this module does not decide whether something may go.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from regenstore.objects.ids import Digest

DEAD, SUPERSEDED, TIP, WORKING = range(4)
"""The standings of a content: how firmly a root holds it."""

_WEIGHTS = (1.0, 1.0, 8.0, 64.0)
"""By standing. Weights, not groups emptied one after the other: under a tight cap, groups evict everything just
superseded, however expensive, before anything old and cheap, and save less (benchmarks/README.md, "Eviction")."""
_ENTRY_BYTES = 4096
"""The overhead of a file; also keeps tiny media from having unbounded priorities."""
_LEAST_SECONDS = 0.1
"""Starting anything takes this long, so lower recorded costs are not believed."""
_LOW_WATER = 0.9
_CLOSURE_LIMIT = 64
"""The number of evicted inputs counted per candidate: bounds the work on very long chains of edits."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One evictable content."""

    digest: Digest
    size: int
    seconds: float
    """The cost of bringing it back now: regenerating it with every missing input, or fetching it, whichever is less.
    Finite."""
    frequency: float
    base: float
    standing: int
    preview: bool = False
    """It merely stands in for another medium."""

    def __post_init__(self) -> None:
        if not (0 <= self.seconds < math.inf and 0 <= self.frequency < math.inf and 0 <= self.base < math.inf):
            raise ValueError(f"not a candidate for eviction: {self!r}")


@dataclass(frozen=True, slots=True)
class Choice:
    """What to evict, in order, and the aging value afterwards."""

    chosen: list[Candidate]
    aging: float

    @property
    def freed(self) -> int:
        return sum(candidate.size for candidate in self.chosen)


@dataclass(frozen=True, slots=True)
class UseRecord:
    """The use statistics of one content."""

    frequency: float
    base: float


def used(before: UseRecord | None, hits: int, aging: float) -> UseRecord:
    """Add the hits since the last gc, during which the aging value was ``aging``, to a content's statistics.

    A content without statistics has been used once: when it was made.
    """
    if before is None:
        return UseRecord(1.0 + hits, aging)
    return UseRecord(before.frequency + hits, aging) if hits else before


def faded(usage: UseRecord) -> UseRecord:
    """Return the statistics to keep of an evicted content: half. Keeping all or nothing both save less."""
    return UseRecord(usage.frequency / 2, usage.base)


def bytes_to_free(stored: int, cap: int) -> int:
    """Return 0 up to the cap; above it, the excess over 90 % of the cap, so that gc does not run after every put."""
    return 0 if stored <= cap else stored - int(cap * _LOW_WATER)


def choose(
    candidates: Iterable[Candidate],
    bytes_to_free: int,
    *,
    inputs: Mapping[Digest, Collection[Digest]] | None = None,
    floor: float = 0.0,
) -> Choice:
    """Choose the candidates to evict, until ``bytes_to_free`` are free or none is left.

    ``inputs`` gives the inputs of candidates, and of contents that are not in the store (through which an evicted
    input affects candidates). ``floor`` is the current aging value.
    """
    listed = list(candidates)
    queue = [(_priority(item, item.seconds), item.digest.raw, number) for number, item in enumerate(listed)]
    heapq.heapify(queue)
    closures = _Closures(listed, inputs) if inputs else None
    chosen: list[Candidate] = []
    aging = floor
    while queue and bytes_to_free > 0:
        priority, raw, number = queue[0]
        candidate = listed[number]
        if closures is not None:
            # Updated lazily, not when an input is evicted: most dependents never reach the head of the queue.
            dearer = _priority(candidate, candidate.seconds + closures.evicted_inputs_of(number))
            if dearer > priority:
                heapq.heapreplace(queue, (dearer, raw, number))
                continue
            closures.evicted(number)
        heapq.heappop(queue)
        chosen.append(candidate)
        bytes_to_free -= candidate.size
        aging = max(aging, priority)
    # If everything went, nothing was kept for its priority, and no priority says what is worth keeping.
    return Choice(chosen, aging if queue else floor)


def _priority(candidate: Candidate, seconds: float) -> float:
    weight = _WEIGHTS[SUPERSEDED if candidate.preview else candidate.standing]
    worth = weight * candidate.frequency * max(seconds, _LEAST_SECONDS)
    return candidate.base + worth / (candidate.size + _ENTRY_BYTES)


class _Closures:
    """The cost that evicting inputs adds to what is made from them. Contents are numbers here, for speed."""

    def __init__(self, listed: Sequence[Candidate], inputs: Mapping[Digest, Collection[Digest]]) -> None:
        self._inputs = inputs
        self._seconds = [item.seconds for item in listed]
        self._digests = [item.digest for item in listed]
        self._numbers = {digest: number for number, digest in enumerate(self._digests)}
        self._gone = [False] * len(listed)
        self._needs: dict[int, list[int]] = {}

    def evicted(self, number: int) -> None:
        self._gone[number] = True

    def evicted_inputs_of(self, number: int) -> float:
        """Return the seconds for all evicted inputs that making this would need, each counted once."""
        seen = {number}
        todo = [number]
        while todo and len(seen) <= _CLOSURE_LIMIT:
            for needed in self._needed(todo.pop()):
                if self._gone[needed] and needed not in seen:
                    seen.add(needed)
                    todo.append(needed)
        seen.discard(number)
        return math.fsum(self._seconds[needed] for needed in seen)

    def _needed(self, number: int) -> list[int]:
        known = self._needs.get(number)
        if known is None:
            # Sorted, so that the point where counting stops does not depend on the order given.
            digests = sorted(self._inputs.get(self._digests[number], ()))
            known = self._needs[number] = [found for one in digests if (found := self._number(one)) is not None]
        return known

    def _number(self, digest: Digest) -> int | None:
        number = self._numbers.get(digest)
        if number is None and digest in self._inputs:  # not in the store, but made from contents that may be
            number = self._numbers[digest] = len(self._digests)
            self._digests.append(digest)
            self._seconds.append(0.0)
            self._gone.append(True)
        return number
