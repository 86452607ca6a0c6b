"""Making media present: hit, else generate, then record. The only place that knows this order.

:meth:`Realiser.plan` looks everything up and runs nothing; :meth:`Realiser.run` does what the plan says,
dependencies first, each key once, also across processes.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field, replace
from typing import Protocol

from regenstore.errors import (
    GenerationError,
    InternalError,
    InvalidInput,
    NotFound,
    RegenstoreError,
    StorageError,
    TrustRequired,
)
from regenstore.generators.api import Declaration, Item
from regenstore.generators.registry import Registry
from regenstore.jobs.local import Job, LocalExecutor, Slot
from regenstore.objects import durable, toml
from regenstore.objects.content_store import ContentStore
from regenstore.objects.corrections import Corrections
from regenstore.objects.evicted import Manifests
from regenstore.objects.hashing import hash_own_file
from regenstore.objects.ids import Digest, RecipeKey
from regenstore.objects.recipe import Input, Recipe
from regenstore.objects.result import Content, Proof, Result
from regenstore.objects.result_cache import ResultCache
from regenstore.refs.leases import lease
from regenstore.worktree.paths import check_relative

FindRecipes = Callable[[Digest, str | None], Iterator[Recipe]]


@dataclass(frozen=True)
class Want:
    """A medium to make present. ``label`` names it for people: its path."""

    label: str
    recipe: Recipe


@dataclass(frozen=True)
class Outcome:
    """A want that is present now, or the error why not."""

    want: Want
    content: Content | None = None
    seconds: float | int | None = None
    """What the content cost to make, when it was made."""
    fingerprint: Mapping[str, str] = field(default_factory=dict)
    """Of the environment in which it was made just now; empty for what was present."""
    error: RegenstoreError | None = None

    @property
    def drifted(self) -> bool:
        """The generator gave other bytes than the take."""
        take = self.want.recipe.output.take
        return self.content is not None and take is not None and take.digest != self.content.digest


@dataclass
class Step:
    """One key to generate."""

    key: RecipeKey
    recipe: Recipe
    label: str
    depends: set[RecipeKey] = field(default_factory=set)
    seconds: float | None = None
    """Estimated; None when nothing tells."""
    again: bool = False
    """Run it although there are results: a second run, beside the take."""
    outputs: set[str] = field(default_factory=set)
    """Names of the outputs that are needed: a recorded result that has not all of them is no hit."""


@dataclass
class Plan:
    """What there is, and what to do for the rest. A value: building it changes nothing."""

    present: list[Outcome] = field(default_factory=list)
    failed: list[Outcome] = field(default_factory=list)
    steps: dict[RecipeKey, Step] = field(default_factory=dict)
    """In an order in which each comes after what it depends on."""
    waiting: dict[RecipeKey, list[Want]] = field(default_factory=dict)

    @property
    def seconds(self) -> float | None:
        """Estimated work of all steps; None when one of them is unknown."""
        costs = [step.seconds for step in self.steps.values()]
        return None if None in costs else sum(cost for cost in costs if cost is not None)

    def closure(self, key: RecipeKey) -> set[RecipeKey]:
        """A step and all that it depends on."""
        found: set[RecipeKey] = set()
        todo = [key]
        while todo:
            current = todo.pop()
            if current not in found and current in self.steps:
                found.add(current)
                todo += self.steps[current].depends
        return found

    def within(self, budget: float) -> Plan:
        """The part of the plan whose estimated work fits the budget, first come first served; what does
        not fit fails with ``over-budget``. An unknown cost counts as over any budget."""
        chosen: set[RecipeKey] = set()
        kept = Plan(self.present, list(self.failed))
        left = budget
        for key, wants in self.waiting.items():
            more = self.closure(key) - chosen
            costs = [self.steps[k].seconds for k in more]
            if None not in costs and (total := sum(c for c in costs if c is not None)) <= left:
                left -= total
                chosen |= more
                kept.waiting[key] = wants
            else:
                why = "how long it takes is not known" if None in costs else "it takes longer than the budget leaves"
                kept.failed += [Outcome(want, error=TrustRequired("over-budget", why)) for want in wants]
        kept.steps = {key: step for key, step in self.steps.items() if key in chosen}
        return kept


class Progress(Protocol):
    """What a run tells while it works. Called from several threads."""

    def started(self, label: str, seconds: float | None) -> None: ...

    def advanced(self, label: str, fraction: float, note: str) -> None: ...

    def finished(self, label: str, error: RegenstoreError | None) -> None: ...


class Realiser:
    """Brings media back. ``find`` looks for the recipe that made a content."""

    def __init__(
        self,
        store: ContentStore,
        cache: ResultCache,
        registry: Registry,
        executor: LocalExecutor,
        find: FindRecipes,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._cache = cache
        self._registry = registry
        self.executor = executor
        self._find = find
        self._clock = clock
        self._lock = threading.Lock()
        self._manifests = Manifests(store.root)
        self._checked: dict[str, tuple[int, int, int]] = {}

    # -------------------------------------------------------------------------------- looking up

    def lookup(self, recipe: Recipe) -> tuple[Content, float | int | None] | None:
        """The content of a recipe and its cost, if the store has it: its take, else the newest complete
        result."""
        output = recipe.output
        if output.take is not None and self._store.use(output.take.digest, output.take.size) is not None:
            return Content(output.take.digest, output.take.size, output.media_type), output.seconds
        if recipe.key is None:
            return None
        with self._lock:
            results = self._cache.results(recipe.key)
        for result in results:
            content = result.outputs.get(output.name)
            if content is not None and self._complete(result.outputs):
                return content, result.seconds
        return None

    def _complete(self, outputs: Mapping[str, Content]) -> bool:
        return all(self._store.use(c.digest, c.size) is not None for c in outputs.values())

    def plan(self, wants: Iterable[Want], *, again: bool = False) -> Plan:
        """What is present, what has to be generated and in which order, and what cannot be had.

        With ``again``, every want is run, also one whose take is present.
        """
        plan = Plan()
        for want in wants:
            found = None if again else self.lookup(want.recipe)
            if found is not None:
                plan.present.append(Outcome(want, *found))
                continue
            try:
                key = self._add(want, plan)
            except RegenstoreError as error:
                plan.failed.append(Outcome(want, error=error))
                continue
            plan.waiting.setdefault(key, []).append(want)
            plan.steps[key].again |= again
            plan.steps[key].outputs.add(want.recipe.output.name)
        return plan

    def _add(self, want: Want, plan: Plan) -> RecipeKey:
        """Put a recipe and what it needs into the plan, inputs first; raises what makes it impossible, and
        then adds nothing."""
        root = want.recipe.key
        if root is None:
            raise NotFound("content-missing", "it is imported media, and its bytes are not in the store")
        if root in plan.steps:
            return root
        added: dict[RecipeKey, Step] = {}
        # A stack of its own: a film whose every shot goes on from the last one is a deep tree.
        path = [(self._step(want.label, want.recipe, root), iter(want.recipe.inputs.items()))]
        above = {root}
        while path:
            step, inputs = path[-1]
            for name, given in inputs:
                if self._store.use(given.digest) is not None:
                    continue
                key, producer = self._needed(name, given, above)
                step.depends.add(key)
                if key not in plan.steps and key not in added:
                    path.append((self._step(given.path or name, producer, key), iter(producer.inputs.items())))
                    above.add(key)
                    break
            else:
                path.pop()
                above.discard(step.key)
                added[step.key] = step
        plan.steps.update(added)
        return root

    def _needed(self, name: str, given: Input, above: Set[RecipeKey]) -> tuple[RecipeKey, Recipe]:
        """The recipe that makes an input that is not in the store, and does not need what is ``above`` it;
        raises NotFound (``input-missing``), or InvalidInput (``dependency-cycle``)."""
        why = "no recipe is known for it"
        circular = False
        for producer in self.producers(given.digest, given.path):
            if producer.key is None:
                why = "it is imported media"
            elif producer.key in above:
                circular = True
            else:
                return producer.key, producer
        if circular:
            raise InvalidInput("dependency-cycle", "its inputs lead back to itself")
        where = f" ({given.path})" if given.path else ""
        raise NotFound("input-missing", f"its input '{name}'{where} is not in the store, and {why}")

    def _step(self, label: str, recipe: Recipe, key: RecipeKey) -> Step:
        assert recipe.generator is not None
        declaration = self._registry.runnable(recipe.generator, recipe.version)
        params = declaration.params.check(recipe.params)
        if recipe.output.media_type not in declaration.media_types:
            raise InvalidInput("bad-media-type", f"'{declaration.name}' does not make {recipe.output.media_type}")
        estimate = self._estimate(recipe, declaration, params)
        return Step(key, recipe, label, seconds=estimate, outputs={recipe.output.name})

    def producers(self, digest: Digest, hint: str | None) -> Iterator[Recipe]:
        """The recipes known to have made a content: by the database, by the manifests of what gc took, then by
        Git, which only claims it and takes the longest to search."""
        with self._lock:
            known = self._cache.known_outputs(digest) + self._manifests.known_outputs(digest)
        for made in known:
            recipe = toml.decode_or_none(made.recipe)
            if recipe is not None:
                yield recipe
        try:
            if hint is not None:
                check_relative(hint.encode(errors="surrogateescape"))
        except InvalidInput:
            hint = None  # a path hint that leaves the worktree is never looked at
        yield from self._find(digest, hint)

    def _estimate(self, recipe: Recipe, declaration: Declaration, params: Mapping[str, object]) -> float | None:
        """The larger of what the blob and the generator say, so that a blob cannot talk its cost down."""
        told = [] if recipe.output.seconds is None else [float(recipe.output.seconds)]
        if declaration.estimate is not None:
            told.append(declaration.estimate(params).seconds)
        if told:
            return max(told)
        with self._lock:
            return self._cache.typical_seconds(declaration.name, declaration.version)

    # -------------------------------------------------------------------------------- making

    def run(self, plan: Plan, progress: Progress, limit: float | None = None) -> Iterator[Outcome]:
        """Do what the plan says and give each want's outcome as it is decided, what is present first.

        ``limit`` stops everything after that many seconds. Leaving the iterator early cancels what runs.
        """
        for outcome in plan.present:
            yield self._corrected(outcome)
        yield from plan.failed
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
                error = InternalError("bug", f"{type(found).__name__}: {found}")
                raise error from found
            finally:
                progress.finished(step.label, error)

        for job, result in self.executor.run(jobs, perform):
            for want in plan.waiting.get(by_id[job.id], ()):
                outcome = self._outcome(want, result)
                # A second run beside the take is there to show what the generator gives.
                yield outcome if plan.steps[by_id[job.id]].again else self._corrected(outcome)

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
        """The take itself, where a correction gives it from what the generator gave."""
        recipe = outcome.want.recipe
        take = recipe.output.take
        if take is None or not outcome.drifted or self.restore(take.digest) is None:
            return outcome
        return replace(outcome, content=Content(take.digest, take.size, recipe.output.media_type))

    def restore(self, digest: Digest) -> str | None:
        """The path of a take's bytes, brought back by a correction where they are not in the store; None
        where no correction does that from what is there."""
        if next(Corrections(self._store.root).of(digest), None) is None:
            return self._store.use(digest)
        from regenstore.media.correction.corrector import Corrector  # slow to import, and seldom needed

        return Corrector(self._store).restore(digest)

    def corrects(self, proof: Proof) -> bool:
        """Whether a correction turns what a proof's second run gave into the take, here and now."""
        if Corrections(self._store.root).find(proof.take, proof.second) is None:
            return False
        from regenstore.media.correction.corrector import Corrector  # slow to import, and seldom needed

        return Corrector(self._store).gives(proof)

    def _job(self, step: Step) -> Job:
        declaration = self._registry.find(step.recipe.generator or "").declaration
        group = f"{declaration.implementation} {declaration.model_key(step.recipe.model, step.recipe.params)}"
        return Job(step.key.hex, group, frozenset(key.hex for key in step.depends))

    def _make(self, step: Step, slot: Slot, deadline: float | None, progress: Progress) -> Result:
        """One key: wait for whoever makes it now, look again, run it, record it."""

        def waiting() -> None:
            if slot.cancelled.is_set():
                raise GenerationError("cancelled", "cancelled")
            if deadline is not None and time.monotonic() > deadline:
                raise GenerationError("generator-timeout", "another process is still making it")
            progress.advanced(step.label, 0.0, "another process is making it")

        with lease(f"{self._store.root}/leases", step.key.hex, waiting):
            with self._lock:
                results = self._cache.results(step.key)
            for result in results:
                if not step.again and step.outputs <= result.outputs.keys() and self._complete(result.outputs):
                    return result
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
            self._cache.record(recipe, result)
        return result

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
        """Raise StorageError (``store-damaged``) for a stored file that is not what its name says: nothing is
        made, and recorded, from damaged inputs. Each file is read once per state."""
        with durable.storage_errors(path):
            found = os.stat(path)
            state = (found.st_ino, found.st_size, found.st_mtime_ns)
            if self._checked.get(path) != state:
                if hash_own_file(path)[0] != digest:
                    raise StorageError("store-damaged", f"{path} does not hold the bytes of {digest}")
                self._checked[path] = state
