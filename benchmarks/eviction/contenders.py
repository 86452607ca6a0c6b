"""Stores of a limited size that a trace is played against: regenstore's own policy and its peers.

A contender is told of every put and every hit, and asked to ``trim`` after each request. Only then does it have to
be within its capacity: what a run needs is held until it is over.
"""

from __future__ import annotations

import heapq
import math
from collections import OrderedDict, deque
from collections.abc import Callable

from benchmarks.eviction.traces import Trace
from regenstore.gc.policy import (
    DEAD,
    SUPERSEDED,
    TIP,
    WORKING,
    Candidate,
    Choice,
    UseRecord,
    bytes_to_free,
    choose,
    faded,
    used,
)
from regenstore.objects.ids import Digest


class Contender:
    """What every contender has: the objects it holds, and their bytes."""

    def __init__(self, trace: Trace, capacity: int) -> None:
        self.trace, self.capacity = trace, capacity
        self.held: set[int] = set()
        self.bytes = 0

    def put(self, item: int) -> None:
        self.held.add(item)
        self.bytes += self.trace.sizes[item]

    def lose(self, item: int) -> None:
        self.held.remove(item)
        self.bytes -= self.trace.sizes[item]

    def hit(self, item: int) -> None: ...

    def trim(self, step: int) -> None:
        """Be within the capacity; ``step`` requests were served."""
        while self.bytes > self.capacity:
            self.lose(self.victim())

    def victim(self) -> int:
        """What goes next. Not of those that trim by themselves."""
        raise NotImplementedError


class Lru(Contender):
    """Least recently used."""

    def __init__(self, trace: Trace, capacity: int) -> None:
        super().__init__(trace, capacity)
        self._order: OrderedDict[int, None] = OrderedDict()

    def put(self, item: int) -> None:
        super().put(item)
        self._order[item] = None

    def hit(self, item: int) -> None:
        self._order.move_to_end(item)

    def victim(self) -> int:
        return self._order.popitem(last=False)[0]


class _Ranked(Contender):
    """The lowest rank goes first; a rank is fixed at each use."""

    def __init__(self, trace: Trace, capacity: int) -> None:
        super().__init__(trace, capacity)
        self._frequency: dict[int, int] = {}
        self._rank: dict[int, tuple[float, int]] = {}
        self._queue: list[tuple[tuple[float, int], int]] = []
        self._clock = 0

    def rank(self, item: int, frequency: int) -> float:
        """What an item is worth; each kind says its own, the least goes first."""
        raise NotImplementedError

    def put(self, item: int) -> None:
        super().put(item)
        self._frequency[item] = 0
        self.hit(item)

    def hit(self, item: int) -> None:
        self._frequency[item] += 1
        self._clock += 1
        self._rank[item] = self.rank(item, self._frequency[item]), self._clock
        heapq.heappush(self._queue, (self._rank[item], item))

    def victim(self) -> int:
        while True:
            rank, item = heapq.heappop(self._queue)
            if self._rank.get(item) == rank:
                del self._rank[item]
                self.gone(rank[0])
                return item

    def gone(self, rank: float) -> None:
        """Something of this rank was evicted."""


class Lfu(_Ranked):
    """Least frequently used while in the store; among equals the least recently used."""

    def rank(self, item: int, frequency: int) -> float:
        return frequency


class Gdsf(_Ranked):
    """The formula of regenstore's policy, evicting one at a time, all alike: what batches cost."""

    _aging = 0.0

    def rank(self, item: int, frequency: int) -> float:
        return self._aging + frequency * max(self.trace.seconds[item], 0.1) / (self.trace.sizes[item] + 4096)

    def gone(self, rank: float) -> None:
        self._aging = max(self._aging, rank)


class S3Fifo(Contender):
    """S3-FIFO: a small queue of a tenth that filters one-hit wonders, a main queue with second chances, a ghost."""

    def __init__(self, trace: Trace, capacity: int) -> None:
        super().__init__(trace, capacity)
        self._small: deque[int] = deque()
        self._main: deque[int] = deque()
        self._small_bytes = 0
        self._ghost: OrderedDict[int, None] = OrderedDict()
        self._ghost_bytes = 0
        self._uses: dict[int, int] = {}

    def put(self, item: int) -> None:
        super().put(item)
        self._uses[item] = 0
        if item in self._ghost:
            del self._ghost[item]
            self._ghost_bytes -= self.trace.sizes[item]
            self._main.append(item)
        else:
            self._small.append(item)
            self._small_bytes += self.trace.sizes[item]

    def hit(self, item: int) -> None:
        self._uses[item] = min(self._uses[item] + 1, 3)

    def victim(self) -> int:
        while True:
            if self._small and (self._small_bytes > self.capacity // 10 or not self._main):
                item = self._small.popleft()
                self._small_bytes -= self.trace.sizes[item]
                if self._uses[item] > 1:
                    self._uses[item] = 0
                    self._main.append(item)
                    continue
                self._remember(item)
                return item
            item = self._main.popleft()
            if not self._uses[item]:
                return item
            self._uses[item] -= 1
            self._main.append(item)

    def _remember(self, item: int) -> None:
        self._ghost[item] = None
        self._ghost_bytes += self.trace.sizes[item]
        while self._ghost_bytes > self.capacity * 9 // 10:
            self._ghost_bytes -= self.trace.sizes[self._ghost.popitem(last=False)[0]]


class Regenstore(Contender):
    """``regenstore.gc.policy`` itself, as gc uses it: above the cap a batch goes, with the hits folded just then."""

    def __init__(self, trace: Trace, capacity: int) -> None:
        super().__init__(trace, capacity)
        self._standing: dict[int, int] = {}
        self._told = 0
        self._hits: dict[int, int] = {}
        self._usage: dict[int, UseRecord] = {}
        self._candidates: dict[int, Candidate] = {}
        self._aging = 0.0
        self._digests = [Digest(item.to_bytes(32)) for item in range(len(trace.sizes))]
        self._inputs = {
            self._digests[item]: [self._digests[one] for one in made_from]
            for item, made_from in enumerate(trace.inputs)
            if made_from
        }

    def put(self, item: int) -> None:
        super().put(item)
        self._hits[item] = 1 if item in self._usage else 0  # coming back is a use; being new is no hit

    def hit(self, item: int) -> None:
        self._hits[item] = self._hits.get(item, 0) + 1

    def trim(self, step: int) -> None:
        if to_free := bytes_to_free(self.bytes, self.capacity):
            self._fold(step)
            choice = self.choice(self._listed(), to_free)
            self._aging = choice.aging
            for candidate in choice.chosen:
                item = int.from_bytes(candidate.digest.raw)
                self.lose(item)
                self._usage[item] = faded(self._usage[item])
                del self._candidates[item]

    def choice(self, candidates: list[Candidate], to_free: int) -> Choice:
        return choose(candidates, to_free, inputs=self._inputs, floor=self._aging)

    def standing(self, item: int) -> int:
        return self._standing.get(item, DEAD)

    def _fold(self, step: int) -> None:
        for item, hits in self._hits.items():
            self._usage[item] = used(self._usage.get(item), hits, self._aging)
            self._candidates.pop(item, None)
        self._hits.clear()
        standings = self.trace.standings
        while self._told < len(standings) and standings[self._told][0] <= step:
            _, item, self._standing[item] = standings[self._told]
            self._candidates.pop(item, None)
            self._told += 1

    def _listed(self) -> list[Candidate]:
        """What is held; made anew where something changed, as inputs come and go also what is made from others."""
        for item in self.held:
            seconds = missing_seconds(self.trace, self.held, item)
            known = self._candidates.get(item)
            if known is None or known.seconds != seconds:
                usage, size = self._usage[item], self.trace.sizes[item]
                self._candidates[item] = Candidate(
                    self._digests[item], size, seconds, usage.frequency, usage.base, self.standing(item)
                )
        return list(self._candidates.values())


class Alike(Regenstore):
    """The same without regard for standing."""

    def standing(self, item: int) -> int:
        return TIP


class Strict(Regenstore):
    """The same, but what tips need goes only when nothing else is left, and the working set after that."""

    def choice(self, candidates: list[Candidate], to_free: int) -> Choice:
        chosen: list[Candidate] = []
        aging = self._aging
        for standings in ((DEAD, SUPERSEDED), (TIP,), (WORKING,)):
            group = [one for one in candidates if one.standing in standings]
            step = choose(group, to_free, inputs=self._inputs, floor=self._aging)
            chosen += step.chosen
            to_free -= step.freed
            aging = max(aging, step.aging)
        return Choice(chosen, aging)


def missing_seconds(trace: Trace, held: set[int], item: int) -> float:
    """To make an object as things are: alone, and every input that is missing."""
    if not trace.inputs[item]:
        return trace.seconds[item]
    seen, todo = {item}, [item]
    while todo:
        for needed in trace.inputs[todo.pop()]:
            if needed not in held and needed not in seen:
                seen.add(needed)
                todo.append(needed)
    return math.fsum(trace.seconds[one] for one in seen)


def play(trace: Trace, contender: Contender) -> float:
    """The seconds spent on generating when every request is served."""
    spent = 0.0

    def bring(item: int) -> None:
        nonlocal spent
        if item in contender.held:
            contender.hit(item)
            return
        for needed in trace.inputs[item]:
            bring(needed)
        spent += trace.seconds[item]
        contender.put(item)

    for step, item in enumerate(trace.requests, 1):
        bring(item)
        contender.trim(step)
    return spent


def seconds_of_requests(trace: Trace) -> float:
    """The seconds spent if every request ran its recipe, with all inputs at hand."""
    return sum(trace.seconds[item] for item in trace.requests)


CONTENDERS: dict[str, Callable[[Trace, int], Contender]] = {
    "regenstore": Regenstore,
    "strict order": Strict,
    "all alike": Alike,
    "one at a time": Gdsf,
    "LRU": Lru,
    "LFU": Lfu,
    "S3-FIFO": S3Fifo,
}
