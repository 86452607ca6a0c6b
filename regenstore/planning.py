"""Planning: what is present, and what to run in which order to make the rest present.

Looks everything up and runs nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from regenstore.errors import InvalidInput, NotFound, RegenstoreError, TrustRequired
from regenstore.objects import toml
from regenstore.objects.content_store import ContentStore
from regenstore.objects.evicted import Manifests
from regenstore.objects.ids import Digest, RecipeKey
from regenstore.objects.mismatched_takes import judged
from regenstore.objects.recipe import Input, Recipe
from regenstore.objects.result import Content, Result
from regenstore.objects.results.cache import ResultCache
from regenstore.worktree.paths import check_relative

if TYPE_CHECKING:  # importing the generator machinery is slow, and it is seldom needed
    from regenstore.generators.api import Declaration
    from regenstore.generators.registry import Registry
    from regenstore.remotes.remote_set import Finder, RemoteSet

FindRecipes = Callable[[Digest, str | None], Iterator[Recipe]]
AUTO, FETCH, GENERATE = "auto", "fetch", "generate"
PREFERENCES = (AUTO, FETCH, GENERATE)
"""What to do if a remote has what could be made too: whichever is faster, or always the same."""


class Want(NamedTuple):
    """A medium to make present. ``label`` is its name in messages: the path."""

    label: str
    recipe: Recipe


class Outcome(NamedTuple):
    """A want that is now present, or the error why not."""

    want: Want
    content: Content | None = None
    seconds: float | int | None = None
    """The cost of making the content, if it was made."""
    fingerprint: Mapping[str, str] = {}
    """The environment in which it was just made; empty if it was present."""
    error: RegenstoreError | None = None

    @property
    def drifted(self) -> bool:
        """Whether the generator gave other bytes than the take."""
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
    """Estimated; None if unknown."""
    again: bool = False
    """Run it even if there are results: a second run, to compare with the take."""
    outputs: set[str] = field(default_factory=set)
    """The names of the outputs needed: a recorded result that lacks one of them is not a hit."""
    takes: set[Digest] = field(default_factory=set)
    """The contents that it gave before, according to recipes and inputs: a run that repeats one is a proof."""
    fetches: dict[Digest, int] = field(default_factory=dict)
    """Inputs to fetch from a remote first, with sizes."""


class Source(NamedTuple):
    """A content on a remote that satisfies a want."""

    content: Content
    seconds: float | int | None
    """The cost of making it."""
    result: Result | None = None
    """The recorded run that made it; None if the recipe itself names it as its take."""


@dataclass
class RunPlan:
    """What is present, and what to do for the rest. A value: building it changes nothing."""

    present: list[Outcome] = field(default_factory=list)
    failed: list[Outcome] = field(default_factory=list)
    steps: dict[RecipeKey, Step] = field(default_factory=dict)
    """In dependency order."""
    waiting: dict[RecipeKey, list[Want]] = field(default_factory=dict)
    fetches: dict[Digest, int] = field(default_factory=dict)
    """Contents to fetch from remotes first, with sizes: for wants, and as inputs of steps."""
    fetched: list[tuple[Want, Source]] = field(default_factory=list)
    """The wants satisfied by fetching."""
    sources: dict[str, Source] = field(default_factory=dict)
    """Label -> the remote source for a want that will be made."""
    budget: float | None = None
    """The limit for generation, if there was one."""

    def fetch(self, want: Want, source: Source) -> None:
        """Satisfy a want by fetching its content."""
        self.fetches[source.content.digest] = source.content.size
        self.fetched.append((want, source))

    @property
    def seconds(self) -> float | None:
        """Estimated work of all steps; None if one of them is unknown."""
        costs = [step.seconds for step in self.steps.values()]
        return None if None in costs else sum(cost for cost in costs if cost is not None)

    def closure(self, key: RecipeKey) -> set[RecipeKey]:
        """Return a step with all its dependencies."""
        found: set[RecipeKey] = set()
        todo = [key]
        while todo:
            current = todo.pop()
            if current not in found and current in self.steps:
                found.add(current)
                todo += self.steps[current].depends
        return found

    def within(self, budget: float) -> RunPlan:
        """Return the part of the plan whose estimated work fits the budget, first come first served; the rest fails
        with ``over-budget``. An unknown cost counts as over any budget."""
        chosen: set[RecipeKey] = set()
        kept = RunPlan(self.present, list(self.failed), budget=budget, sources=self.sources)
        for want, source in self.fetched:
            kept.fetch(want, source)
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
                for want in wants:
                    if (found := self.sources.get(want.label)) is not None:
                        kept.fetch(want, found)
                    else:
                        kept.failed.append(Outcome(want, error=TrustRequired("over-budget", why)))
        kept.steps = {key: step for key, step in self.steps.items() if key in chosen}
        for step in kept.steps.values():
            kept.fetches |= step.fetches
        return kept


class _Frame:
    """A recipe whose inputs are being resolved: those left, and the candidates that might make the current one."""

    def __init__(self, step: Step) -> None:
        self.step = step
        self.open = list(step.recipe.inputs.items())[::-1]
        self.missing: tuple[str, Input] | None = None
        self.producers: Iterator[Recipe] = iter(())

    def look_for(self, name: str, given: Input, producers: Iterator[Recipe]) -> None:
        self.missing = (name, given)
        self.producers = producers
        self.why = "no recipe is known for it"
        self.circular = False
        self.error: RegenstoreError | None = None

    @property
    def label(self) -> str:
        assert self.missing is not None
        return self.missing[1].path or self.missing[0]

    def take(self, maker: Step) -> None:
        """Use this step for the current input."""
        assert self.missing is not None
        self.step.depends.add(maker.key)
        maker.takes.add(self.missing[1].digest)
        self.missing = None

    def failure(self) -> RegenstoreError:
        """Why nothing makes the current input: the error of the first candidate."""
        assert self.missing is not None
        name, given = self.missing
        if self.error is not None:
            return self.error
        if self.circular:
            return InvalidInput("dependency-cycle", "its inputs lead back to itself")
        where = f" ({given.path})" if given.path else ""
        return NotFound("input-missing", f"its input '{name}'{where} is not in the store, and {self.why}")


def _nowhere(elsewhere: RemoteSet | None) -> str:
    names = elsewhere.answering if elsewhere is not None else []
    return f"neither in the store nor on {', '.join(names)}" if names else "not in the store"


class Planner:
    """Looks up what is present. ``find`` finds the recipe that made a content; ``remotes`` returns those to ask for
    what the store lacks, and ``prefer`` decides what to do if that could be made too."""

    def __init__(
        self,
        store: ContentStore,
        cache: ResultCache,
        registry: Registry,
        find: FindRecipes,
        remotes: Finder = lambda: None,
    ) -> None:
        self._store = store
        self._cache = cache
        self._registry = registry
        self._find = find
        self._manifests = Manifests(store.root)
        self._remotes = remotes
        self.prefer = AUTO
        self.local = False
        """Ask no remote, only other stores on this machine."""
        self._lock = threading.Lock()

    def lookup(self, recipe: Recipe) -> tuple[Content, float | int | None] | None:
        """Return a recipe's content and its cost, if it is in the store: its take, else the newest complete result."""
        output = recipe.output
        if output.take is not None and self._store.use(output.take.digest, output.take.size) is not None:
            return Content(output.take.digest, output.take.size, output.media_type), output.seconds
        if recipe.key is None:
            return None
        with self._lock:
            # Running it gives the take itself: no other result is acceptable.
            due = self.expected(recipe.key, output.take.digest) if output.take is not None else set()
            results = self._cache.results(recipe.key)
        for result in results:
            content = result.outputs.get(output.name)
            if content is not None and (not due or content.digest in due) and self._complete(result.outputs):
                return content, result.seconds
        return None

    def expected(self, key: RecipeKey, take: Digest) -> set[Digest]:
        """Return what a run of a key should give, by the latest evidence: the take byte for byte, or what a correction
        turns into it. Empty if nothing says that the take comes back. Later runs in other environments are no evidence:
        this environment may be the one that gives the take. The caller holds the lock."""
        from regenstore.objects.corrections import Corrections

        corrections = Corrections(self._store.root)
        proofs = [
            proof
            for proof in self._cache.proofs(key, take)
            if proof.exact or corrections.find(take, proof.second) is not None
        ]
        given = {proof.second for proof in proofs}
        newest = self._cache.results(key)[:1] if proofs else []
        for result in newest:
            newer = result.created > max(proof.created for proof in proofs)
            here = any(proof.fingerprint == result.fingerprint for proof in proofs)
            if newer and here and not given & result.digests:
                return set()
        return given

    def _complete(self, outputs: Mapping[str, Content]) -> bool:
        return all(self._store.use(c.digest, c.size) is not None for c in outputs.values())

    def _elsewhere(self) -> RemoteSet | None:
        """Return the places to ask, opened on first use."""
        together = self._remotes()
        return together.nearby if self.local and together is not None else together

    def plan(self, wants: Iterable[Want], *, again: bool = False, alone: bool = False) -> RunPlan:
        """Plan what to fetch from a remote, what to generate and in which order; lists what is present and what cannot
        be had.

        With ``again``, every want is run, even if its take is present. With ``alone``, nothing is asked
        elsewhere.
        """
        plan = RunPlan()
        missing = []
        asked = list(wants)
        with self._lock:
            recipes = judged(self._cache, [want.recipe for want in asked])
        for given, recipe in zip(asked, recipes):
            want = given if recipe is given.recipe else given._replace(recipe=recipe)
            found = None if again else self.lookup(want.recipe)
            if found is not None:
                plan.present.append(Outcome(want, *found))
            else:
                missing.append(want)
        elsewhere = self._elsewhere() if missing and not alone else None
        sources = self._sources(missing, elsewhere) if elsewhere and not again else {}
        for want in missing:
            source = sources.get(want.label)
            if source is not None and elsewhere and self._rather_fetched(want, source, elsewhere):
                plan.fetch(want, source)
                continue
            try:
                key = self._add(want, plan, elsewhere)
            except RegenstoreError as error:
                if source is not None:
                    plan.fetch(want, source)
                else:
                    plan.failed.append(Outcome(want, error=error))
                continue
            if source is not None and elsewhere and self._dearer(plan, key, source, elsewhere):
                plan.fetch(want, source)
                continue
            if source is not None:
                plan.sources[want.label] = source
            plan.waiting.setdefault(key, []).append(want)
            plan.steps[key].again |= again
            plan.steps[key].outputs.add(want.recipe.output.name)
            if want.recipe.output.take is not None:
                plan.steps[key].takes.add(want.recipe.output.take.digest)
        needed: set[RecipeKey] = set().union(*(plan.closure(key) for key in plan.waiting))
        plan.steps = {key: step for key, step in plan.steps.items() if key in needed}
        for step in plan.steps.values():
            plan.fetches |= step.fetches
        return plan

    def _sources(self, wants: Iterable[Want], elsewhere: RemoteSet) -> dict[str, Source]:
        """Return the wants that some remote can satisfy: label -> source. Also asks for their inputs."""
        candidates: dict[str, list[Source]] = {}
        asked: set[Digest] = set()
        for want in wants:
            output, key = want.recipe.output, want.recipe.key
            found = candidates.setdefault(want.label, [])
            if output.take is not None:
                content = Content(output.take.digest, output.take.size, output.media_type)
                found.append(Source(content, output.seconds))
            elif key is not None:
                elsewhere.refresh()
                for result, _ in elsewhere.results(key):
                    if output.name in result.outputs:
                        found.append(Source(result.outputs[output.name], result.seconds, result))
            asked |= {source.content.digest for source in found}
            asked |= {given.digest for given in want.recipe.inputs.values() if self._store.use(given.digest) is None}
        there = elsewhere.having(asked)
        return {
            label: next(source for source in found if there.get(source.content.digest) == source.content.size)
            for label, found in candidates.items()
            if any(there.get(source.content.digest) == source.content.size for source in found)
        }

    def _rather_fetched(self, want: Want, source: Source, elsewhere: RemoteSet) -> bool:
        """Return whether to fetch a want's content without considering how it would be made."""
        if self.prefer != AUTO:
            return self.prefer == FETCH
        cost = want.recipe.output.seconds if source.seconds is None else source.seconds
        return want.recipe.imported or cost is None or cost >= elsewhere.seconds(source.content.digest)

    def _dearer(self, plan: RunPlan, key: RecipeKey, source: Source, elsewhere: RemoteSet) -> bool:
        """Return whether making a content, with everything it needs, takes longer than fetching it."""
        if self.prefer != AUTO:
            return False
        costs = [plan.steps[each].seconds for each in plan.closure(key) if each not in plan.waiting]
        return None in costs or sum(cost or 0.0 for cost in costs) >= elsewhere.seconds(source.content.digest)

    def _add(self, want: Want, plan: RunPlan, elsewhere: RemoteSet | None) -> RecipeKey:
        """Add a recipe and its dependencies to the plan, inputs first; raises the error that makes it impossible, and
        then adds nothing."""
        root = want.recipe.key
        if root is None:
            raise NotFound("content-missing", f"it is imported media, and its bytes are {_nowhere(elsewhere)}")
        if root in plan.steps:
            return root
        tried = RunPlan(steps=dict(plan.steps))
        # An explicit stack: a film whose every shot continues from the last one is a deep tree.
        path = [_Frame(self._step(want.label, want.recipe, root))]
        while path:
            try:
                deeper = self._next(path[-1], tried, {frame.step.key for frame in path}, elsewhere)
            except RegenstoreError as error:
                path.pop()
                if not path:
                    raise
                path[-1].error = path[-1].error or error  # another recipe may make it
                continue
            if deeper is not None:
                path.append(deeper)
                continue
            done = path.pop().step
            tried.steps[done.key] = done
            if path:
                path[-1].take(done)
        needed = tried.closure(root)
        plan.steps.update((key, step) for key, step in tried.steps.items() if key in needed)
        return root

    def _next(self, frame: _Frame, tried: RunPlan, above: Set[RecipeKey], elsewhere: RemoteSet | None) -> _Frame | None:
        """Return what a recipe needs first that is not in the plan yet; None if it has everything. Raises NotFound
        (``input-missing``), InvalidInput (``dependency-cycle``), or the error why an input's recipe cannot run."""
        while frame.missing or frame.open:
            if not frame.missing:
                name, given = frame.open.pop()
                if self._store.use(given.digest) is not None:
                    continue
                if elsewhere and (size := elsewhere.having([given.digest]).get(given.digest)) is not None:
                    frame.step.fetches[given.digest] = size
                    continue
                frame.look_for(name, given, self.producers(given.digest, given.path))
            for producer in frame.producers:
                if producer.key is None:
                    frame.why = "it is imported media"
                elif producer.key in above:
                    frame.circular = True
                elif producer.key in tried.steps:
                    frame.take(tried.steps[producer.key])
                    break
                else:
                    try:
                        return _Frame(self._step(frame.label, producer, producer.key))
                    except RegenstoreError as error:
                        frame.error = frame.error or error
            else:
                raise frame.failure()
        return None

    def _step(self, label: str, recipe: Recipe, key: RecipeKey) -> Step:
        assert recipe.generator is not None
        declaration = self._registry.runnable(recipe.generator, recipe.version)
        params = declaration.params.check(recipe.params)
        if recipe.output.media_type not in declaration.media_types:
            raise InvalidInput("bad-media-type", f"'{declaration.name}' does not make {recipe.output.media_type}")
        estimate = self._estimate(recipe, declaration, params)
        return Step(key, recipe, label, seconds=estimate, outputs={recipe.output.name})

    def producers(self, digest: Digest, hint: str | None) -> Iterator[Recipe]:
        """Yield the recipes known to have made a content: from the database and gc's manifests, those proven to repeat
        it first; then from Git, which takes longest to search."""
        with self._lock:
            known = self._cache.known_outputs(digest) + self._manifests.known_outputs(digest)
            known.sort(key=lambda made: not self.expected(made.key, digest))
        if not known and (elsewhere := self._elsewhere()):
            known = elsewhere.known_outputs(digest)
        for made in known:
            recipe = toml.decode_or_none(made.recipe)
            if recipe is not None:
                yield recipe
        try:
            if hint is not None:
                check_relative(hint.encode(errors="surrogateescape"))
        except InvalidInput:
            hint = None  # never follow a path hint out of the worktree
        yield from self._find(digest, hint)

    def _estimate(self, recipe: Recipe, declaration: Declaration, params: Mapping[str, object]) -> float | None:
        """Return the larger of the blob's and the generator's estimate, so that a blob cannot understate its cost."""
        told = [] if recipe.output.seconds is None else [float(recipe.output.seconds)]
        if declaration.estimate is not None:
            told.append(declaration.estimate(params).seconds)
        if told:
            return max(told)
        with self._lock:
            return self._cache.typical_seconds(declaration.name, declaration.version)
