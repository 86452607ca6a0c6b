"""Which contents could all be evicted at once and still all come back: a least fixpoint over their dependencies.

A content that could be made again depends on its inputs. It is *founded* when all of them are kept or founded
themselves; contents that are founded only on each other are not, and one of them is kept.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)
Ways = Mapping[T, Sequence[Collection[T]]]


@dataclass(frozen=True)
class Foundation(Generic[T]):
    """The solution. ``founded``: what can come back, with the index of the way that brings it. ``kept``: what has to
    stay because it could not come back, with one of the inputs it would lack, or None if it is part of a cycle. What is
    in neither is lost for good."""

    founded: dict[T, int]
    kept: dict[T, T | None]


def solve(base: Iterable[T], ways: Ways[T], weights: Mapping[T, int], similar: Set[T] = frozenset()) -> Foundation[T]:
    """Find what can come back if everything outside ``base`` is evicted.

    ``base`` is kept in any case. ``ways`` gives, for everything else, the sets of inputs that it can be made from;
    ``weights`` the sizes of items that are present and could be kept instead. Items in ``similar`` come back only
    approximately: nothing can be made from them.
    """
    solver = _Solver(base, ways, weights, similar)
    while undecided := solver.cycles():
        here = sorted((item for item in undecided if item in weights), key=lambda item: weights[item])
        for item in here:
            solver.keep(item)
        if not here:
            solver.lose(undecided)
    return Foundation(solver.founded, solver.kept)


class _Solver(Generic[T]):
    """The decisions so far. Each way is visited once per input."""

    def __init__(self, base: Iterable[T], ways: Ways[T], weights: Mapping[T, int], similar: Set[T]) -> None:
        self.founded: dict[T, int] = {}
        self.kept: dict[T, T | None] = {}
        self._ways = ways
        self._weights = weights
        self._similar = similar
        self._lost: set[T] = set()
        self._needs = {(item, n): set(needs) for item, choices in ways.items() for n, needs in enumerate(choices)}
        """The ways that are still possible -> their inputs that are not certain yet."""
        self._possible = {item: len(choices) for item, choices in ways.items()}
        self._users: dict[T, list[tuple[T, int]]] = {}
        for way, needs in self._needs.items():
            for need in needs:
                self._users.setdefault(need, []).append(way)
        sure = set(base)
        self.lose([need for need in self._users if need not in sure and (need not in ways or need in similar)])
        self._rely(sure)
        for (item, n), needs in list(self._needs.items()):
            if not needs and self._found(item, n):
                self._rely([item])

    def _open(self, item: T) -> bool:
        return item not in self.founded and item not in self.kept and item not in self._lost

    def _found(self, item: T, n: int) -> bool:
        """Record that an undecided item comes back by its nth way; returns whether others can depend on it."""
        if not self._open(item):
            return False
        self.founded[item] = n
        return item not in self._similar

    def _rely(self, items: Iterable[T]) -> None:
        """These are kept or come back: found everything that now has all its inputs."""
        todo = list(items)
        while todo:
            sure = todo.pop()
            for user, n in self._users.get(sure, ()):
                left = self._needs.get((user, n))
                if left is not None and sure in left:
                    left.remove(sure)
                    if not left and self._found(user, n):
                        todo.append(user)

    def keep(self, item: T, without: T | None = None) -> None:
        """Keep an item that is present, unless it is decided already."""
        if self._open(item):
            self.kept[item] = without
            self._rely([item])

    def lose(self, items: Iterable[T]) -> None:
        """Nothing can be made from these items. An item left without a way is kept if it is present, else lost too."""
        todo = list(items)
        self._lost.update(item for item in todo if item in self._ways and item not in self._weights)
        while todo:
            gone = todo.pop()
            for way in self._users.get(gone, ()):
                if self._needs.pop(way, None) is None:
                    continue
                user = way[0]
                self._possible[user] -= 1
                if self._possible[user] or not self._open(user):
                    continue
                if user in self._weights:
                    self.keep(user, gone)
                else:
                    self._lost.add(user)
                    todo.append(user)

    def cycles(self) -> list[T]:
        """Return the undecided items that do not merely depend on undecided ones: some of these need each other."""
        needs: dict[T, set[T]] = {item: set() for item in self._ways if self._open(item)}
        uses: dict[T, int] = dict.fromkeys(needs, 0)
        for (item, _), left in self._needs.items():
            if item in needs:
                needs[item] |= left
        for left in needs.values():
            for need in left:
                uses[need] += 1
        ends = [item for item, count in uses.items() if not count]
        while ends:
            for need in needs.pop(ends.pop()):
                uses[need] -= 1
                if not uses[need]:
                    ends.append(need)
        return list(needs)
