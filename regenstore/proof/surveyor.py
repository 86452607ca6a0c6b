"""Gathers the facts about a store and judges them."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator, Set
from contextlib import contextmanager

from regenstore.errors import RegenstoreError
from regenstore.objects.content_store import ContentStore
from regenstore.objects.ids import Digest
from regenstore.objects.recipe import Recipe
from regenstore.objects.result import Proof
from regenstore.objects.results.cache import ResultCache
from regenstore.proof.environments import Environments
from regenstore.proof.judge import Judge
from regenstore.proof.survey import Confirm, JudgedContent, Standing, StoredContent, Survey
from regenstore.proof.survey_inputs import ProofFacts, gather, referrer
from regenstore.refs.blobs import blob_record
from regenstore.refs.store_repositories import Holder


class Surveyor:
    """Judges the contents of a store. ``environments``, ``holders`` and ``held`` (what running processes rely on) are
    called anew each time, after the store was read. ``others`` returns proofs made elsewhere; they count like local
    ones, for the same environment only."""

    def __init__(
        self,
        store: ContentStore,
        cache: ResultCache,
        environments: Callable[[], Environments],
        holders: Callable[[], Iterable[Holder]],
        held: Callable[[], Set[Digest]] = frozenset,
        corrected: Callable[[Proof], bool] = lambda proof: False,
        confirm: Confirm | None = None,
        others: Callable[[], Iterable[Proof]] = tuple,
    ) -> None:
        self._store = store
        self._cache = cache
        self._environments = environments
        self._holders = holders
        self._held = held
        self._corrected = corrected
        self._confirm = confirm
        self._others = others

    def survey(self) -> Survey:
        """Judge every content. Deletes, moves and makes nothing; generators are only asked for fingerprints."""
        with _all_kept(), self._environments() as here:
            facts = self._gather()
            survey = Judge(facts, here.of, self._corrected, {}).survey()
            if self._confirm is None:
                return survey
            asked = [d for d, entry in survey.entries.items() if not entry.evictable]
            try:
                confirmed = self._confirm(asked)
            except RegenstoreError as error:
                problem = f"no remote could be asked: {error.message}"
                return survey._replace(problems=(*survey.problems, problem))
            return Judge(facts, here.of, self._corrected, confirmed).survey() if confirmed else survey

    def entries(self, digests: Iterable[Digest]) -> dict[Digest, JudgedContent]:
        """Judge those of these contents that are in the store; no remote is asked."""
        with _all_kept(), self._environments() as here:
            return Judge(self._gather(), here.of, self._corrected, {}).entries(digests)

    def judge(self, recipe: Recipe) -> JudgedContent:
        """Judge the take of one recipe, as if it were in the store, from this recipe's view: if the recipe's own rule
        keeps it, that is the reason given, else another's."""
        with _all_kept():
            facts = self._gather()
        record = blob_record(b"", recipe)
        assert record.digest is not None
        known = facts.referrers.get(record.digest, [])
        mine = [r for r in known if (r.key, r.output) == (record.key, record.output)]
        if not mine or mine[0].standing == Standing.DEAD:
            mine = [referrer(record, record.digest, Standing.WORKING, "worktree")]
        others = [r for r in known if (r.key, r.output) != (record.key, record.output)]
        facts.referrers[record.digest] = [*mine, *others]
        facts.inputs.update(record.inputs)
        with self._environments() as here:
            judge = Judge(facts, here.of, self._corrected, {})
            stored = facts.stored.get(record.digest, StoredContent(record.digest, record.size, "", (0, 0)))
            return judge.entry(stored, judge.findings([record.digest])[record.digest])

    def _gather(self) -> ProofFacts:
        return gather(self._store, self._cache, self._held, self._holders, self._others)


@contextmanager
def _all_kept() -> Iterator[None]:
    """Suspend Python's garbage collector: a survey keeps nearly all of the many small objects it makes, and scanning
    them over and over would take as long as everything else."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
