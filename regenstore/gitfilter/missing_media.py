"""The heavy half of a checkout: makes or fetches missing media, as far as the policy allows, and places them.

Imported only if something is missing. All media that one git command needs are known here together, so there is one
plan, one budget, one progress display, and batches by model.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence

from regenstore.errors import FormatError, GenerationError, RegenstoreError, StorageError, TrustRequired
from regenstore.gitfilter.smudge import FilterReport, MissingMedium, place
from regenstore.objects import toml
from regenstore.objects.content_store import ContentStore
from regenstore.planning import Outcome, Want
from regenstore.realise import Progress, Realiser
from regenstore.worktree.fill import Filler
from regenstore.worktree.place import Placement

BATCH_SECONDS = 1.0
_LOST = ("content-missing", "input-missing")


def bring(
    missing: Sequence[MissingMedium],
    *,
    realiser: Realiser,
    store: ContentStore,
    placer: Filler,
    generate: bool,
    fetch: bool,
    budget: float,
    report: FilterReport,
    progress: Progress,
) -> None:
    """Place the media that can be made or fetched. The report gets every path that stays a recipe, with the reason."""
    wants: list[Want] = []
    by_label: dict[str, MissingMedium] = {}
    for given in missing:
        label = os.fsdecode(given.path)
        try:
            wants.append(Want(label, toml.decode(given.text)))
            by_label[label] = given
        except FormatError as error:
            if error.kind == "newer-recipe":
                report.left(given.path, error.message)
    plan = realiser.plan(wants, alone=not fetch).within(budget if generate else -1.0)
    batch = _Batch(placer, report)
    for outcome in realiser.run(plan, progress, limit=2 * budget + 10):
        given = by_label[outcome.want.label]
        if outcome.content is None:
            if isinstance(outcome.error, (GenerationError, StorageError)):
                report.failed()
            report.left(given.path, _reason(outcome, generate), lost=fetch and _is_lost(outcome))
            continue
        source = store.find(outcome.content.digest, outcome.content.size)
        if source is not None:
            batch.add(Placement(given.path, source, given.text, given.oid))
    batch.flush()


def _reason(outcome: Outcome, generate: bool) -> str:
    error = outcome.error
    assert error is not None
    if isinstance(error, TrustRequired) and error.kind == "over-budget" and not generate:
        return "making it is left to 'regenstore get' by regenstore.smudge"
    return error.message


def _is_lost(outcome: Outcome) -> bool:
    return outcome.error is not None and outcome.error.kind in _LOST


class _Batch:
    """Places media about once a second, and the rest at the end, because each placement reads the index."""

    def __init__(self, placer: Filler, report: FilterReport, clock: Callable[[], float] = time.monotonic) -> None:
        self._placer, self._report, self._clock = placer, report, clock
        self._waiting: list[Placement] = []
        self._last = clock()

    def add(self, placement: Placement) -> None:
        self._waiting.append(placement)
        if self._clock() - self._last >= BATCH_SECONDS:
            self.flush()

    def flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        place(self._placer, waiting, self._report)
        self._last = self._clock()


def bring_one(
    path: bytes,
    text: bytes,
    realiser: Realiser,
    store: ContentStore,
    budget: float,
    report: FilterReport,
    *,
    fetch: bool,
) -> str | None:
    """Make or fetch one medium immediately, for checkouts that wait. Returns the path of its bytes, or None after
    telling the report why."""
    try:
        want = Want(os.fsdecode(path), toml.decode(text))
    except FormatError:
        return None
    plan = realiser.plan([want], alone=not fetch).within(budget)
    for outcome in realiser.run(plan, _Silent(), limit=2 * budget + 10):
        if outcome.content is not None:
            return store.find(outcome.content.digest, outcome.content.size)
        report.left(path, _reason(outcome, budget >= 0), lost=fetch and _is_lost(outcome))
    return None


class _Silent:
    def started(self, label: str, seconds: float | None) -> None: ...

    def advanced(self, label: str, fraction: float, note: str) -> None: ...

    def finished(self, label: str, error: RegenstoreError | None) -> None: ...
