"""Executes a plan: each content is checked again under the lock, moved to the trash, and checked once more.

Only one gc at a time works on a store. It may be killed at any point: everything is then in a tree or in the trash,
from which :meth:`ContentStore.find` retrieves it, and the next gc or undo finishes the work.

The order of steps guarantees that a referrer created concurrently is never missed. Its creator holds the content,
changes its identity, checks that it is still there, and releases it only once a root reaches it. gc reads identities
first, then holds, then roots; and both before *and* after the move to the trash it checks whether the content is held
or has another identity. No clocks are compared.

Evictions by proofs of generators that are not built in require that probes of them passed in this run. Probes run
before the lock is taken, each in a given environment; every later survey must find that same environment.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from typing import TypeVar

from regenstore.errors import Conflict
from regenstore.fs import durable
from regenstore.gc import manifest, trash
from regenstore.gc.manifest import Producers
from regenstore.gc.plan import Eviction, EvictionPlan, GcWish, Names, is_unreachable, make_plan, may_be_purged
from regenstore.gc.probing import PlannedProbe, ProbeNeeds
from regenstore.gc.trash import Copy, Trash
from regenstore.gc.use_counts import load, save
from regenstore.objects import evicted, store_format, toml
from regenstore.objects.content_store import CACHE, VAULT, ContentStore, identity
from regenstore.objects.hashing import hash_own_file
from regenstore.objects.holds import is_held
from regenstore.objects.ids import Digest, RecipeKey
from regenstore.objects.recipe import Take
from regenstore.objects.result import Proof
from regenstore.objects.results.cache import ResultCache
from regenstore.proof.probe import ProbeOrder, Prober, ProbeResult
from regenstore.proof.survey import JudgedContent, Survey
from regenstore.realise import Progress
from regenstore.refs.leases import lease

T = TypeVar("T")
BATCH = 64
"""Contents moved per transaction: other writers wait no longer than one batch takes."""
LOCK = "gc"
_IN_USE, _CHANGED, _PINNED, _KEPT, _UNKNOWN, _UNPROBED = (
    "in use by a running program",
    "used or put again meanwhile",
    "pinned meanwhile",
    "now kept",
    "its recipe is not available",
    "a take of its generator did not come back in a probe just now",
)


@dataclass
class GcReport:
    """What a gc did."""

    run: str = ""
    evicted: list[Eviction] = field(default_factory=list)
    discarded: list[Eviction] = field(default_factory=list)
    restored: list[Copy] = field(default_factory=list)
    purged: list[Copy] = field(default_factory=list)
    moved: int = 0
    """Contents moved between the trees: proven ones into ``cache/``, lapsed ones out of it."""
    probes: list[ProbeResult] = field(default_factory=list)
    """The results of the probes."""
    skipped: Counter[str] = field(default_factory=Counter)
    """Reason -> number of planned items that were skipped for it."""

    @property
    def freed(self) -> int:
        return sum(copy.size for copy in self.purged)

    def fields(self) -> dict[str, object]:
        """Return the machine-readable form, :class:`GcDone`."""
        from regenstore.schemas.events import GcDone
        from regenstore.schemas.parts import Amount

        return GcDone(
            run=self.run or None,
            evicted=Amount(contents=len(self.evicted), bytes=sum(item.size for item in self.evicted)),
            unreachable=Amount(contents=len(self.discarded), bytes=sum(item.size for item in self.discarded)),
            restored=Amount(contents=len(self.restored), bytes=sum(copy.size for copy in self.restored)),
            purged=Amount(contents=len(self.purged), bytes=self.freed),
            skipped=dict(self.skipped),
            probes=[probe.record() for probe in self.probes],
        ).model_dump()


@contextmanager
def alone(root: str) -> Iterator[None]:
    """Exclude any other gc or undo of the store. Raises Conflict (``store-busy``) if one is running."""

    def busy() -> None:
        raise Conflict("store-busy", "another gc works on this store", hint="Wait until it has ended.")

    with lease(f"{root}/leases", LOCK, busy):
        yield


@dataclass(frozen=True)
class Collector:
    """The parts that gc works with. ``survey``, ``pins`` and ``names`` are evaluated anew at each call. Without
    ``prober``, every generator counts as built in."""

    store: ContentStore
    cache: ResultCache
    survey: Callable[[], Survey]
    pins: Callable[[], Set[str]]
    producers: Producers
    names: Names = dict
    clock: Callable[[], float] = time.time
    prober: Prober | None = None

    def plan(self, wish: GcWish) -> EvictionPlan:
        """Plan what would be done now. Changes nothing, and runs no generator."""
        store_format.check(self.store.root, "gc")
        files = list(trash.copies(self.store))
        uses = load(self.store, self.cache)
        built_in, budget = (None, 0.0) if self.prober is None else (self.prober.built_in, self.prober.budget)
        return make_plan(self.survey(), files, uses, wish, self.clock(), self.names(), built_in, budget)

    def execute(self, plan: EvictionPlan, progress: Progress | None = None) -> GcReport:
        """Execute the plan, its probes first, as far as it still applies. Raises Conflict while another gc is running.
        Probes run before anything is locked; what depends on a probe that did not run stays."""
        self.store.prepare()
        with alone(self.store.root):
            pass  # fail before any probe runs
        probes, made = self._probe(plan, progress)
        with alone(self.store.root):
            return _Run(self, plan, probes, made).run()

    def _probe(self, plan: EvictionPlan, progress: Progress | None) -> tuple[list[ProbeResult], set[Digest]]:
        """Run the plan's probes; returns their results, and the contents that are in the trees because of them: those
        they made, and the inputs they brought back from the trash."""
        if self.prober is None or not plan.probes:
            return [], set()
        copies = list(trash.copies(self.store))
        waiting = {copy.digest for copy in copies if copy.run is not None}
        results, made = self.prober.run([self._order(probe) for probe in plan.probes], progress)
        here = {copy.digest for copy in trash.copies(self.store) if copy.run is None}
        return results, (made | waiting & here) - {copy.digest for copy in copies if copy.run is None}

    def _order(self, probe: PlannedProbe) -> ProbeOrder:
        maker, recipe = probe.referrer, None
        assert maker.key is not None
        text = manifest.recipe_text(self.cache, self.producers, maker.key, maker.digest)
        if text is not None and (known := toml.decode_or_none(text)) is not None:
            # The outputs of one run share the text of their key.
            output = known.output._replace(name=maker.output, take=Take(maker.digest, maker.size))
            recipe = replace(known, output=output)
        return ProbeOrder(probe.definition, recipe, maker.digest, probe.label, probe.weakness)


class _Run:
    """One execution of a plan."""

    def __init__(self, parts: Collector, plan: EvictionPlan, probes: Sequence[ProbeResult], made: Set[Digest]) -> None:
        self._parts = parts
        self._store, self._cache = parts.store, parts.cache
        self._plan = plan
        self._trash = Trash(parts.store)
        self._name = trash.new_run(parts.clock())
        self._report = GcReport(probes=list(probes))
        self._made = made
        self._passed = {probe.definition: probe for probe in probes if probe.passed}
        self._pins: Set[str] = frozenset()
        self._proofs: dict[tuple[RecipeKey, Digest], list[Proof]] = {}

    def run(self) -> GcReport:
        report = self._report
        uses = load(self._store, self._cache)
        files, survey = self._look()
        self._go_back(survey, files)
        evict, discard = self._still(survey)
        self._merge(files)
        self._move(survey)
        records = self._describe(evict)
        evict = [item for item in evict if item.digest in records]
        if evict or discard:
            report.run = self._name
            listed = [*records.values(), *(manifest.describe(item, None) for item in discard)]
            listed += manifest.supports(survey, self._parts.producers, list(records.values()))
            evicted.write(self._store.root, self._name, listed)
            self._take(evict, CACHE, report.evicted)
            self._take(discard, VAULT, report.discarded)
        self._purge()
        present = [digest for digest, entry in survey.entries.items() if entry.evictable]
        gone = [item.digest for item in report.evicted]
        save(self._cache, uses, present, gone, max(self._plan.aging, uses.aging), self._parts.clock())
        self._trash.tidy()
        return report

    def _look(self) -> tuple[list[Copy], Survey]:
        """List the files and survey the store. Pins and proofs are read first, for comparison under the lock."""
        self._pins = self._parts.pins()
        self._proofs = {}
        for proof in self._cache.every_proof():
            self._proofs.setdefault((proof.key, proof.take), []).append(proof)
        files = list(trash.copies(self._store))
        return files, self._parts.survey()

    def _still(self, survey: Survey) -> tuple[list[Eviction], list[Eviction]]:
        """Return the part of the plan that a new survey still permits, with the entries of that survey."""

        made_again = {probe.take for probe in self._report.probes}
        needs = self._needs(survey)

        def fresh(items: Sequence[Eviction], allowed: Callable[[JudgedContent], bool]) -> Iterator[Eviction]:
            for item in items:
                entry = survey.entries.get(item.digest)
                if entry is None or not allowed(entry):
                    self._report.skipped[_KEPT] += 1
                elif entry.evictable and not self._vouched(survey, needs, item.digest):
                    self._report.skipped[_UNPROBED] += 1
                elif entry.stored.identity != item.entry.stored.identity and item.digest not in made_again:
                    self._report.skipped[_CHANGED] += 1
                else:
                    yield Eviction(entry, item.names)

        evict = list(fresh(self._plan.evict, lambda entry: entry.evictable))
        evict += [
            Eviction(entry, ())  # made by a probe: it did not exist, or only in the trash
            for digest in sorted(self._made)
            if (entry := survey.entries.get(digest)) and entry.evictable and self._vouched(survey, needs, digest)
        ]
        return evict, list(fresh(self._plan.discard, lambda entry: is_unreachable(survey, entry)))

    def _needs(self, survey: Survey) -> ProbeNeeds:
        return ProbeNeeds(survey, None if self._parts.prober is None else self._parts.prober.built_in)

    def _vouched(self, survey: Survey, needs: ProbeNeeds, digest: Digest) -> bool:
        """Return whether every definition needed to bring a content back passed a probe in this run, in the environment
        that this survey found."""
        return all(
            definition in self._passed
            and self._passed[definition].fingerprint == survey.environments.get(definition)
            for definition in needs.definitions(digest)
        )  # fmt: skip

    def _describe(self, items: Iterable[Eviction]) -> dict[Digest, evicted.Evicted]:
        """Return the manifest's records of the evictions; contents without a known recipe are left out and stay."""
        found = {}
        for item in items:
            key, text = item.entry.recipe_key, None
            if key is not None:
                text = manifest.recipe_text(self._cache, self._parts.producers, key, item.digest)
            if text is None and item.entry.finding.rule != "confirmed":
                self._report.skipped[_UNKNOWN] += 1
            else:
                found[item.digest] = manifest.describe(item, text)
        return found

    # -------------------------------------------------------------------------------- out of the trash

    def _go_back(self, survey: Survey, files: Sequence[Copy]) -> None:
        """Bring back contents of the trash that are kept now; bringing something back needs no lock."""
        in_trees = {(copy.digest, copy.size) for copy in files if copy.run is None}
        for copy in files:
            if copy.run is not None and not may_be_purged(survey, copy, (copy.digest, copy.size) in in_trees):
                self._restore(survey, copy)

    def _restore(self, survey: Survey, copy: Copy) -> None:
        """Bring back a content that is kept now. If the survey is incomplete, it stays in the trash, where any process
        that needs it will find it."""
        assert copy.run is not None
        if survey.complete and self._trash.put_back(copy.digest, copy.run, copy.tree, VAULT):
            self._report.restored.append(copy)

    def _purge(self) -> None:
        """Delete what the plan says, and this run's evictions if space was asked for. Surveys once more: what is kept
        now is brought back instead."""
        due = {(copy.digest, copy.run) for copy in self._plan.purge}
        due |= {(digest, self._name) for digest in self._made & {digest for digest, _ in due}}
        if self._plan.wish.now:
            due |= {(item.digest, self._name) for item in self._report.evicted}
        if not due:
            return
        files, survey = self._look()
        in_trees = {(copy.digest, copy.size) for copy in files if copy.run is None}
        gone: list[Copy] = []
        needs = self._needs(survey)
        for copy in files:
            if (copy.digest, copy.run) not in due:
                continue
            twice = (copy.digest, copy.size) in in_trees
            if not may_be_purged(survey, copy, twice):
                self._restore(survey, copy)
            elif not twice and copy.tree == CACHE and not self._vouched(survey, needs, copy.digest):
                self._report.skipped[_UNPROBED] += 1
            elif not twice or self._sound(copy):
                gone.append(copy)
        for batch in _batches(gone):
            pins = self._parts.pins()
            self._cache.exclusively(partial(self._purge_batch, survey, batch, pins))

    def _purge_batch(self, survey: Survey, batch: Sequence[Copy], pins: Set[str]) -> None:
        counted = {copy.digest for copy in self._report.purged} & self._made
        with durable.storage_errors(self._store.root):
            for copy in batch:
                entry = survey.entries.get(copy.digest)
                twice = self._store.stored(copy.digest, copy.size) is not None
                why = None if twice or entry is None else self._reason(entry, pins)
                if why is not None:
                    self._report.skipped[why] += 1
                elif self._trash.purge(copy) and copy.digest not in counted:
                    self._report.purged.append(copy)
                    counted |= {copy.digest} & self._made  # what a probe made and gc removed again frees nothing

    def _sound(self, copy: Copy) -> bool:
        """Return whether the other file of a content has the bytes that its name promises."""
        path = self._store.stored(copy.digest, copy.size)
        return path is not None and hash_own_file(path)[0] == copy.digest

    # -------------------------------------------------------------------------------- into the trash

    def _take(self, items: Sequence[Eviction], tree: str, taken: list[Eviction]) -> None:
        """Move contents to the trash in batches, checking each under the lock before and after."""
        for batch in _batches(items):
            for item in batch:
                self._trash.prepare(self._name, tree, item.digest)
            pins = self._parts.pins()
            self._cache.exclusively(partial(self._take_batch, batch, tree, pins, taken))

    def _take_batch(self, batch: Sequence[Eviction], tree: str, pins: Set[str], taken: list[Eviction]) -> None:
        with durable.storage_errors(self._store.root):
            for item in batch:
                why = self._reason(item.entry, pins) or self._taken(item, tree)
                if why is None:
                    taken.append(item)
                else:
                    self._report.skipped[why] += 1

    def _reason(self, entry: JudgedContent, pins: Set[str]) -> str | None:
        """Return why a content stays after all, from what happened since the survey; None if it can go."""
        digest = entry.stored.digest
        if is_held(self._store.root, digest):
            return _IN_USE
        new = pins - self._pins
        if new and (f"imported-{digest.hex}" in new or any(r.key and r.key.hex in new for r in entry.referrers)):
            return _PINNED
        if entry.recipe_key is not None and entry.evictable:
            name = entry.recipe_key, digest
            if _by_time(self._cache.proofs(*name)) != _by_time(self._proofs.get(name, [])):
                return _KEPT
        return None

    def _taken(self, item: Eviction, tree: str) -> str | None:
        """Move one content to the trash, and back if a process relies on it; returns why it stays, or None."""
        wanted, run = item.entry.stored.identity, self._name
        try:
            if identity(self._store.object_path(item.digest, tree)) != wanted:
                return _CHANGED
            found = (self._trash.evict if tree == CACHE else self._trash.discard)(item.digest, run)
        except FileNotFoundError:
            return _CHANGED
        # Check again: a process that came in between held it before its lookup, or changed it before the move.
        if found == wanted and not is_held(self._store.root, item.digest):
            return None
        self._trash.put_back(item.digest, run, tree)
        return _IN_USE

    # -------------------------------------------------------------------------------- between the trees

    def _merge(self, files: Sequence[Copy]) -> None:
        """Move the ``cache/`` copy of contents that lie in both trees to the trash, if the other copy has the bytes
        that its name promises."""
        in_vault = {(copy.digest, copy.size) for copy in files if copy.run is None and copy.tree == VAULT}
        for copy in files:
            if copy.run is not None or copy.tree != CACHE or (copy.digest, copy.size) not in in_vault:
                continue
            path = self._store.object_path(copy.digest, VAULT)
            with durable.storage_errors(path):
                if not is_held(self._store.root, copy.digest) and hash_own_file(path)[0] == copy.digest:
                    self._trash.prepare(self._name, CACHE, copy.digest)
                    self._trash.evict(copy.digest, self._name)
                    if is_held(self._store.root, copy.digest):  # by a process that found it at this path
                        self._trash.put_back(copy.digest, self._name, CACHE)

    def _move(self, survey: Survey) -> None:
        """Move proven contents into ``cache/`` and others out of it: the tree records what may be evicted."""
        wrong = [
            entry
            for entry in survey.entries.values()
            if entry.stored.tree == (VAULT if entry.evictable else CACHE)
        ]  # fmt: skip
        for batch in _batches(wrong):
            self._cache.exclusively(partial(self._move_batch, batch))

    def _move_batch(self, batch: Sequence[JudgedContent]) -> None:
        for entry in batch:
            digest, source, wanted = entry.stored.digest, entry.stored.tree, entry.stored.identity
            target = CACHE if source == VAULT else VAULT
            try:
                if (
                    is_held(self._store.root, digest)
                    or identity(self._store.object_path(digest, source)) != wanted
                ):  # fmt: skip
                    continue
                self._trash.move(digest, source, target)
                self._report.moved += 1
                if is_held(self._store.root, digest):  # by a process that found it at its old path or its new one
                    self._trash.share(digest, target, source)
            except (FileNotFoundError, FileExistsError):
                continue
            except OSError as error:
                raise durable.storage_error(error, self._store.root) from error


def _by_time(proofs: Iterable[Proof]) -> list[Proof]:
    return sorted(proofs, key=lambda proof: (proof.created, proof.second))


def _batches(items: Iterable[T]) -> Iterator[list[T]]:
    rest = iter(items)
    while batch := list(islice(rest, BATCH)):
        yield batch
