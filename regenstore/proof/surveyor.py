"""The surveyor: gathers what is known of a store, and has it judged."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator, Set
from contextlib import contextmanager

from regenstore.errors import RegenstoreError
from regenstore.objects.content_store import ContentStore
from regenstore.objects.ids import Digest
from regenstore.objects.recipe import Recipe
from regenstore.objects.result import Proof
from regenstore.objects.result_cache import ResultCache
from regenstore.proof.environments import Environments
from regenstore.proof.judge import Judge
from regenstore.proof.survey import Confirm, JudgedContent, Standing, StoredContent, Survey
from regenstore.proof.survey_inputs import ProofFacts, gather, referrer
from regenstore.refs.blobs import blob_record
from regenstore.refs.store_repositories import Holder


class Surveyor:
    """Judges the contents of a store. ``environments``, ``holders`` and ``held`` (what running processes rely
    on) are asked anew each time, after the store was looked at. ``others`` gives proofs made elsewhere that count
    like those made here: for the same environment, and no other."""

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
        """Every content. Nothing is deleted, moved or made; generators are only asked for fingerprints."""
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
        """Those of these contents that the store has; no remote is asked."""
        with _all_kept(), self._environments() as here:
            return Judge(self._gather(), here.of, self._corrected, {}).entries(digests)

    def judge(self, recipe: Recipe) -> JudgedContent:
        """The take of one recipe, as if the store had it, and seen from this recipe: what keeps it is its own
        rule if that does, and else another's."""
        with _all_kept():
            facts = self._gather()
        said = blob_record(b"", recipe)
        assert said.digest is not None
        known = facts.referrers.get(said.digest, [])
        mine = [r for r in known if (r.key, r.output) == (said.key, said.output)]
        if not mine or mine[0].standing == Standing.DEAD:
            mine = [referrer(said, said.digest, Standing.WORKING, "worktree")]
        others = [r for r in known if (r.key, r.output) != (said.key, said.output)]
        facts.referrers[said.digest] = [*mine, *others]
        facts.inputs.update(said.inputs)
        with self._environments() as here:
            judge = Judge(facts, here.of, self._corrected, {})
            stored = facts.stored.get(said.digest, StoredContent(said.digest, said.size, "", (0, 0)))
            return judge.entry(stored, judge.findings([said.digest])[said.digest])

    def _gather(self) -> ProofFacts:
        return gather(self._store, self._cache, self._held, self._holders, self._others)


@contextmanager
def _all_kept() -> Iterator[None]:
    """No search for garbage meanwhile: of the many small objects that a survey makes, it keeps nearly all,
    and looking through them again and again takes as long as everything else."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
