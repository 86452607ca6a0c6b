"""Probes: gc relies on the proofs of a generator that is not built in only after making one of its takes once more.

What such a generator's bytes depend on is known only as far as its environment fingerprint goes; a module, service or
file that the fingerprint does not cover may have changed since the proof. So the generator is run afresh, without
recorded results or corrections, and its output is compared the way ``verify`` compares. The outcome is recorded:
either as a proof, or by letting every proof of that environment lapse.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache as memo
from typing import TYPE_CHECKING

from regenstore.errors import NotFound, RegenstoreError
from regenstore.objects.content_store import ContentStore
from regenstore.objects.ids import Digest
from regenstore.objects.recipe import Recipe
from regenstore.objects.result import LAPSED
from regenstore.objects.results.cache import ResultCache
from regenstore.planning import Outcome, Want
from regenstore.proof.compare import compare_run
from regenstore.proof.rules import Fingerprint, weakness_of
from regenstore.proof.survey import Definition
from regenstore.realise import Progress, Realiser

if TYPE_CHECKING:
    from regenstore.schemas.events import ProbedTake

_NOT_REACHED = "it was not reached"
STARTING = 30.0
"""Seconds beyond the budget after which probes are stopped: workers need time to start, and estimates can be off."""


@dataclass(frozen=True)
class ProbeOrder:
    """A take to make once more. ``weakness`` (:func:`weakness_of`) is that of the proof that permits eviction: the
    new output may not be further from the take."""

    definition: Definition
    recipe: Recipe | None
    """The recipe with its take; None if it is no longer available."""
    take: Digest
    label: str
    weakness: int


@dataclass(frozen=True)
class ProbeResult:
    """The outcome of a probe. Only ``passed`` permits evictions."""

    definition: Definition
    take: Digest
    label: str
    reason: str = ""
    """Why it did not pass, for messages."""
    differs: bool = False
    """The output was different, so the proofs lapsed."""
    fingerprint: Fingerprint = field(default_factory=dict)
    """The environment in which it passed."""

    @property
    def passed(self) -> bool:
        return not self.reason

    def record(self) -> ProbedTake:
        """Return the machine-readable form."""
        from regenstore.schemas.events import ProbedTake

        state = "passed" if self.passed else "different" if self.differs else "failed"
        generator, version = self.definition
        return ProbedTake(
            generator=generator,
            version=version,
            path=self.label.encode(errors="replace").decode(),
            take=str(self.take),
            state=state,
            reason=self.reason or None,
        )


class Silent:
    """Progress that is not shown."""

    def started(self, label: str, seconds: float | None) -> None: ...

    def advanced(self, label: str, fraction: float, note: str) -> None: ...

    def finished(self, label: str, error: RegenstoreError | None) -> None: ...


class Prober:
    """Runs probes. ``realiser`` creates one that knows the generators as they are now and uses no remote; ``budget``:
    the seconds of estimated work for all probes of one gc."""

    def __init__(
        self,
        root: str,
        cache: ResultCache,
        realiser: Callable[[ContentStore], Realiser],
        budget: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._root = root
        self._cache = cache
        self._realiser = realiser
        self.budget = budget
        self._clock = clock

    @staticmethod
    @memo
    def built_in(generator: str) -> bool:
        """Return whether a generator comes with regenstore: its version and its libraries' determine its bytes."""
        from regenstore.generators.registry import built_in

        return generator in built_in()

    def run(
        self, orders: Sequence[ProbeOrder], progress: Progress | None = None
    ) -> tuple[list[ProbeResult], set[Digest]]:
        """Make every take once more, now; returns the result of each, and all contents made. Any failure is a result
        that did not pass; only an interrupt is raised. Nothing is held on return."""
        if not orders:
            return [], set()
        found = {order.definition: _failed(order, _NOT_REACHED) for order in orders}
        made: set[Digest] = set()
        store = ContentStore(self._root)  # with its own holds, so that what it relied on can be evicted afterwards
        try:
            realiser = self._realiser(store)
            for result in self._run(store, realiser, orders, progress or Silent()):
                found[result.definition] = result
            made.update(*(result.digests for _, result in realiser.made))
        except RegenstoreError as error:
            for order in orders:
                if found[order.definition].reason == _NOT_REACHED:
                    found[order.definition] = _failed(order, error.message)
        finally:
            store.holds.release(used=False)
        return list(found.values()), made

    def _run(
        self, store: ContentStore, realiser: Realiser, orders: Sequence[ProbeOrder], progress: Progress
    ) -> Iterator[ProbeResult]:
        waiting: dict[int, ProbeOrder] = {}
        wants: list[Want] = []
        for order in orders:
            if order.recipe is None:
                yield _failed(order, "its recipe is not available")
                continue
            wants.append(Want(order.label, order.recipe))
            waiting[id(wants[-1])] = order
        plan = realiser.plan(wants, again=True, alone=True)
        for outcome in realiser.run(plan, progress, self.budget + STARTING):
            yield self._judge(store, realiser, waiting[id(outcome.want)], outcome)

    def _judge(self, store: ContentStore, realiser: Realiser, order: ProbeOrder, outcome: Outcome) -> ProbeResult:
        if outcome.error is not None:
            return _failed(order, outcome.error.message)
        words = "the bytes differ"
        try:
            proof, likeness = compare_run(realiser, store, self._cache, outcome, self._clock())
            if weakness_of(proof, realiser.corrects) <= order.weakness:
                return ProbeResult(order.definition, order.take, order.label, fingerprint=outcome.fingerprint)
            words = likeness.difference or words
        except NotFound:
            pass  # the take is not in the store, and no correction yields it from the new output
        except RegenstoreError as error:
            return _failed(order, error.message)
        day = time.strftime("%Y-%m-%d %H:%M", time.localtime(self._clock()))
        why = f"gc made {order.label} once more on {day}, and the generator gave a different output: {words}"
        self._cache.lapse(outcome.fingerprint, {**outcome.fingerprint, LAPSED: why})
        return ProbeResult(order.definition, order.take, order.label, why, differs=True)


def _failed(order: ProbeOrder, reason: str) -> ProbeResult:
    return ProbeResult(order.definition, order.take, order.label, reason)
