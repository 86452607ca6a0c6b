"""Which contents could all go at once and still all come back: a least fixpoint over what needs what.

A content that could be made again stands on what it is made from. It is *founded* when everything it needs
is kept or founded itself; contents that would only found each other are not, and one of them is kept.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)
Ways = Mapping[T, Sequence[Collection[T]]]


@dataclass(frozen=True)
class Foundation(Generic[T]):
    """``founded``: what can come back, with the position of the way that brings it. ``kept``: what has to
    stay because it could not, with one of the things that it would miss, or None where some need each
    other. What is in neither can never be had again."""

    founded: dict[T, int]
    kept: dict[T, T | None]


def lay(base: Iterable[T], ways: Ways[T], weights: Mapping[T, int], similar: Set[T] = frozenset()) -> Foundation[T]:
    """``base`` is kept anyway. ``ways`` tell, for what is not, the sets of things that it can be made from;
    ``weights`` the sizes of those that are here, so that they can be kept instead. What is in ``similar``
    comes back only like it was: nothing can be made from it."""
    laying = _Laying(base, ways, weights, similar)
    while undecided := laying.knots():
        here = sorted((item for item in undecided if item in weights), key=lambda item: weights[item])
        for item in here:
            laying.keep(item)
        if not here:
            laying.lose(undecided)
    return Foundation(laying.founded, laying.kept)


class _Laying(Generic[T]):
    """What is decided so far. Each way is looked at once for each thing that it needs."""

    def __init__(self, base: Iterable[T], ways: Ways[T], weights: Mapping[T, int], similar: Set[T]) -> None:
        self.founded: dict[T, int] = {}
        self.kept: dict[T, T | None] = {}
        self._ways = ways
        self._weights = weights
        self._similar = similar
        self._lost: set[T] = set()
        self._needs = {(item, n): set(needs) for item, choices in ways.items() for n, needs in enumerate(choices)}
        """The ways that are still possible -> what is not sure yet of their needs."""
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
        """Note that an item comes back by its nth way, if it is open; says whether others can rely on that."""
        if not self._open(item):
            return False
        self.founded[item] = n
        return item not in self._similar

    def _rely(self, items: Iterable[T]) -> None:
        """These are kept or come back: found what needed nothing else any more."""
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
        """Let an item that is here stay, unless it is decided already."""
        if self._open(item):
            self.kept[item] = without
            self._rely([item])

    def lose(self, items: Iterable[T]) -> None:
        """Nothing can be made from these. What no way is left for stays if it is here, else it is lost too."""
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

    def knots(self) -> list[T]:
        """What is not decided and does not merely follow from what is not: some of these need each other."""
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
