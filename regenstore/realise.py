"""Making media present: hit, else fetch, else generate, then record. The only place that knows this order.

:meth:`Planner.plan` looks everything up and runs nothing; :meth:`Realiser.run` executes the plan, dependencies first,
each key once, even across processes.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Protocol

from regenstore.errors import GenerationError, InternalError, NotFound, RegenstoreError, StorageError
from regenstore.fs import durable
from regenstore.jobs.local import Job, LocalExecutor, Slot
from regenstore.objects.content_store import ContentStore
from regenstore.objects.corrections import Corrections
from regenstore.objects.hashing import hash_own_file
from regenstore.objects.ids import Digest, RecipeKey
from regenstore.objects.result import Content, Proof, Result
from regenstore.objects.results.cache import ResultCache
from regenstore.planning import FindRecipes, Outcome, Planner, RunPlan, Source, Step, Want
from regenstore.refs.leases import lease
from regenstore.remotes.remote_set import Finder, nobody

if TYPE_CHECKING:  # importing the generator machinery is slow, and it is seldom needed
    from regenstore.generators.api import Declaration
    from regenstore.generators.registry import Registry


class Progress(Protocol):
    """Receives a run's progress. Called from several threads."""

    def started(self, label: str, seconds: float | None) -> None: ...

    def advanced(self, label: str, fraction: float, note: str) -> None: ...

    def finished(self, label: str, error: RegenstoreError | None) -> None: ...


class Realiser(Planner):
    """Makes media present. ``find`` finds the recipe that made a content."""

    def __init__(
        self,
        store: ContentStore,
        cache: ResultCache,
        registry: Registry,
        executor: LocalExecutor,
        find: FindRecipes,
        clock: Callable[[], float] = time.time,
        remotes: Finder = lambda: None,
    ) -> None:
        super().__init__(store, cache, registry, find, remotes)
        self.executor = executor
        self._clock = clock
        self._checked: dict[str, tuple[int, int, int]] = {}
        self.made: list[tuple[str, Result]] = []
        """What was generated rather than found: the label and the result of the run."""

    def run(self, plan: RunPlan, progress: Progress, limit: float | None = None) -> Iterator[Outcome]:
        """Execute the plan and yield each want's outcome as it is decided, present ones first.

        ``limit`` stops everything after that many seconds. Leaving the iterator early cancels what is running.
        """
        for outcome in plan.present:
            yield self._corrected(outcome)
        yield from plan.failed
        if plan.fetches:
            yield from self._fetch(plan, progress, limit)
        if not plan.steps:
            return
        self._store.prepare()
        deadline = None if limit is None else time.monotonic() + limit
        jobs = [self._job(step) for step in plan.steps.values()]
        by_id = {key.hex: key for key in plan.steps}
        failed: dict[RecipeKey, Step] = {}

        def perform(job: Job, slot: Slot) -> Result:
            step = plan.steps[by_id[job.id]]
            progress.started(step.label, step.seconds)
            error: RegenstoreError | None = None
            try:
                for key in step.depends & failed.keys():
                    raise NotFound("input-missing", f"its input {failed[key].label} could not be made")
                return self._make(step, slot, deadline, progress)
            except RegenstoreError as found:
                error = found
                failed[step.key] = step
                raise
            except Exception as found:
                failed[step.key] = step
                if isinstance(found, OSError):
                    error = durable.storage_error(found, found.filename or self._store.root)
                else:
                    error = InternalError("bug", f"{type(found).__name__}: {found}")
                raise error from found
            finally:
                progress.finished(step.label, error)

        for job, result in self.executor.run(jobs, perform):
            for want in plan.waiting.get(by_id[job.id], ()):
                outcome = self._outcome(want, result)
                # A second run is there to show what the generator gives.
                yield outcome if plan.steps[by_id[job.id]].again else self._corrected(outcome)

    def _fetch(self, plan: RunPlan, progress: Progress, limit: float | None) -> Iterator[Outcome]:
        """Fetch what the plan says. A want whose content cannot be fetched is made instead, if possible."""
        elsewhere = self._elsewhere()
        assert elsewhere is not None
        waiting: dict[Digest, list[tuple[Want, Source]]] = {digest: [] for digest in plan.fetches}
        for want, source in plan.fetched:
            waiting[source.content.digest].append((want, source))
        labels = {digest: met[0][0].label if met else f"an input, {digest}" for digest, met in waiting.items()}
        done = dict.fromkeys(plan.fetches, 0)

        def told(digest: Digest, count: int) -> None:
            done[digest] += count
            progress.advanced(labels[digest], min(1.0, done[digest] / max(1, plan.fetches[digest])), "fetching")

        for label in labels.values():
            progress.started(label, None)
        left: list[tuple[Want, RegenstoreError]] = []
        for moved in elsewhere.bring(plan.fetches, told):
            progress.finished(labels[moved.digest], moved.error)
            for want, source in waiting[moved.digest]:
                if moved.error is not None:
                    left.append((want, moved.error))
                    continue
                if source.result is not None:
                    with self._lock:
                        self._cache.record(want.recipe, source.result)
                yield Outcome(want, source.content, source.seconds)
        if left:
            errors = {want.label: error for want, error in left}
            instead = self.plan([want for want, _ in left], alone=True)
            for outcome in self.run(instead if plan.budget is None else instead.within(plan.budget), progress, limit):
                failed = outcome.error is not None
                yield outcome._replace(error=errors[outcome.want.label]) if failed else outcome

    @staticmethod
    def _outcome(want: Want, result: Result | Exception) -> Outcome:
        if isinstance(result, RegenstoreError):
            return Outcome(want, error=result)
        assert isinstance(result, Result)
        content = result.outputs.get(want.recipe.output.name)
        if content is None:
            made = ", ".join(sorted(result.outputs))
            error = GenerationError(
                "output-missing", f"the run gave no output '{want.recipe.output.name}' (it gave: {made})"
            )
            return Outcome(want, error=error)
        return Outcome(want, content, result.seconds, result.fingerprint)

    def _corrected(self, outcome: Outcome) -> Outcome:
        """Return the take itself, if a correction yields it from the generator's output."""
        recipe = outcome.want.recipe
        take = recipe.output.take
        try:
            if take is None or not outcome.drifted:
                return outcome
            if self.restore(take.digest) is None and not self._brought(take.digest):
                return outcome
        except RegenstoreError as error:
            return Outcome(outcome.want, error=error)
        return outcome._replace(content=Content(take.digest, take.size, recipe.output.media_type))

    def _brought(self, digest: Digest) -> bool:
        """Return whether a content was fetched from a remote."""
        elsewhere = self._elsewhere()
        if not elsewhere or digest not in elsewhere.having([digest]):
            return False
        return all(moved.error is None for moved in elsewhere.bring([digest], nobody))

    def can_bring(self, digest: Digest) -> bool:
        """Return whether a content is in the store or can be copied into it, without making it."""
        if self._store.use(digest) is not None:
            return True
        elsewhere = self._elsewhere()
        return elsewhere is not None and digest in elsewhere.having([digest])

    def restore(self, digest: Digest) -> str | None:
        """Return the path of a take's bytes, recovered by a correction if they are not in the store; None if no
        correction can do that from what is there."""
        if next(Corrections(self._store.root).of(digest), None) is None:
            return self._store.use(digest)
        from regenstore.objects.corrector import Corrector  # slow to import, and seldom needed

        return Corrector(self._store).restore(digest)

    def corrects(self, proof: Proof) -> bool:
        """Return whether a correction turns the output of a proof's second run into the take, here and now."""
        if Corrections(self._store.root).find(proof.take, proof.second) is None:
            return False
        from regenstore.objects.corrector import Corrector  # slow to import, and seldom needed

        return Corrector(self._store).gives(proof)

    def _job(self, step: Step) -> Job:
        declaration = self._registry.find(step.recipe.generator or "").declaration
        group = f"{declaration.implementation} {declaration.model_key(step.recipe.model, step.recipe.params)}"
        return Job(step.key.hex, group, frozenset(key.hex for key in step.depends))

    def _make(self, step: Step, slot: Slot, deadline: float | None, progress: Progress) -> Result:
        """Make one key: wait for any other process making it, look again, run it, record it."""

        def waiting() -> None:
            if slot.cancelled.is_set():
                raise GenerationError("cancelled", "cancelled")
            if deadline is not None and time.monotonic() > deadline:
                raise GenerationError("generator-timeout", "another process is still making it")
            progress.advanced(step.label, 0.0, "another process is making it")

        with lease(f"{self._store.root}/leases", step.key.hex, waiting):
            with self._lock:
                results = self._cache.results(step.key)
                due = [self.expected(step.key, take) for take in step.takes]
            for result in () if step.again else results:
                fits = step.outputs <= result.outputs.keys() and all(not d or d & result.digests for d in due)
                if fits and self._complete(result.outputs):
                    return result
            step.takes.update(*(result.digests for result in results))
            assert step.recipe.generator is not None
            declaration = self._registry.runnable(step.recipe.generator, step.recipe.version)
            inputs = {name: self._input(name, given.digest, given.path) for name, given in step.recipe.inputs.items()}
            outdir = self._store.temp_path("run")
            with durable.storage_errors(outdir):
                durable.make_folder(outdir)
            with self._lock:
                run = self._cache.start_run(step.key, step.recipe, self._clock())
            try:
                result = self._generate(step, declaration, inputs, outdir, slot, deadline, progress)
            except Exception as error:
                cancelled = isinstance(error, RegenstoreError) and error.kind == "cancelled"
                with self._lock:
                    self._cache.end_run(run, "cancelled" if cancelled else "failed", str(error))
                raise
            finally:
                shutil.rmtree(outdir, ignore_errors=True)
            with self._lock:
                self._cache.end_run(run, "done")
                self.made.append((step.label, result))
            return result

    def _generate(
        self,
        step: Step,
        declaration: Declaration,
        inputs: Mapping[str, str],
        outdir: str,
        slot: Slot,
        deadline: float | None,
        progress: Progress,
    ) -> Result:
        recipe = step.recipe
        params = declaration.params.check(recipe.params)
        from regenstore.generators.api import Item

        item = Item(step.key.hex, params, inputs, recipe.output.media_type, outdir, dict(recipe.model))

        def tell(done: float, total: float, note: str) -> None:
            progress.advanced(step.label, done / total if total else 0.0, note)

        made = slot.run(declaration, declaration.model_key(recipe.model, recipe.params), item, deadline, tell)
        outputs = {}
        for name, (path, media_type) in made.outputs.items():
            digest, size = self._store.adopt(path)
            outputs[name] = Content(digest, size, media_type)
        result = Result(step.key, outputs, made.seconds, self._clock(), made.fingerprint)
        with self._lock:
            self._cache.record(recipe, result, self._proofs(step, result))
        return result

    def _proofs(self, step: Step, result: Result) -> Iterator[Proof]:
        """Record what a run proves about the known takes of its key: that it gave one again, or repeated an output
        that was compared with one before."""
        now = (result.seconds, result.created, result.fingerprint)
        for take in step.takes:
            if take in result.digests:
                yield Proof.again(step.key, take, *now)
            known = {proof.second: proof for proof in self._cache.proofs(step.key, take) if not proof.exact}
            for proof in known.values():
                if proof.second in result.digests:
                    yield proof._replace(seconds=now[0], created=now[1], fingerprint=now[2])

    def _input(self, name: str, digest: Digest, path: str | None) -> str:
        found = self._store.use(digest) or self.restore(digest)
        if found is None:
            where = f" ({path})" if path else ""
            raise GenerationError(
                "input-changed", f"its input '{name}'{where} was made again with other bytes than {digest}"
            )
        self._check_bytes(found, digest)
        return found

    def _check_bytes(self, path: str, digest: Digest) -> None:
        """Raise StorageError (``store-damaged``) for a stored file whose bytes do not match its name, so that nothing
        is made, and recorded, from damaged inputs. Each file is read once per state."""
        with durable.storage_errors(path):
            found = os.stat(path)
            state = (found.st_ino, found.st_size, found.st_mtime_ns)
            if self._checked.get(path) != state:
                if hash_own_file(path)[0] != digest:
                    raise StorageError("store-damaged", f"{path} does not hold the bytes of {digest}")
                self._checked[path] = state
