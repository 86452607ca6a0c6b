"""The plan of a gc: what to evict, why, and the cost of bringing it back. A value: making it changes nothing.

The survey decides what may be evicted; the plan decides how much of it, and in which order.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from regenstore.fs.path_text import path_text
from regenstore.gc import policy, trash
from regenstore.gc.probing import BuiltIn, PlannedProbe, ProbeNeeds, Probing
from regenstore.gc.trash import Copy
from regenstore.gc.use_counts import Uses
from regenstore.objects.content_store import CACHE, VAULT
from regenstore.objects.ids import Digest
from regenstore.proof.survey import JudgedContent, Referrer, Standing, Survey

if TYPE_CHECKING:
    from regenstore.schemas.printed_store import PlannedContent

UNREACHABLE_AGE = 14 * 86400.0
"""The minimum age of a file for '--unreachable' to list it, unless the user says otherwise."""
UNREACHABLE_GRACE = 30 * 86400.0
"""How long unreachable contents stay in the trash."""
_PREVIEWS = {"preview", "proxy", "thumbnail"}
_BRINGS_NOTHING_BACK = {
    "unknown",
    "imported",
    "generator",
    "unproven",
    "lapsed",
    "different",
    "varies",
    "cost",
    "inputs",
    "unpinned",
}
"""The rules that say only that nothing brings a content back. The others mean that the content is wanted."""


@dataclass(frozen=True)
class GcWish:
    """What a user asked for. Without ``free`` and ``cap``, everything that only history needs is evicted."""

    free: int | None = None
    """Bytes to free."""
    cap: int | None = None
    """The limit for all contents together, in bytes."""
    older_than: float | None = None
    """Seconds since the last use: evict only what is older."""
    select: str | None = None
    """Evict only what has a path matching this pattern."""
    unreachable: bool = False
    purge: bool = False
    """Delete evictions, and the trash, at once."""
    grace: float = 86400.0
    """Seconds that proven contents otherwise stay in the trash."""

    @property
    def age(self) -> float:
        """How old unreachable contents must be to go, in seconds."""
        return UNREACHABLE_AGE if self.older_than is None else self.older_than

    @property
    def now(self) -> bool:
        """Whether the user wants space now, not just tidying."""
        return self.purge or self.free is not None or self.cap is not None


FETCH_RATE, FETCH_LATENCY = 20e6, 0.05
"""The assumed speed of a remote, in bytes per second and seconds per content: a team's server, not a disk."""


@dataclass(frozen=True)
class Eviction:
    """One content to evict."""

    entry: JudgedContent
    names: tuple[str, ...]
    """The paths that it has or had in this repository."""

    @property
    def digest(self) -> Digest:
        return self.entry.stored.digest

    @property
    def size(self) -> int:
        return self.entry.stored.size

    def record(self) -> PlannedContent:
        """Return the machine-readable form."""
        from regenstore.schemas.printed_store import PlannedContent

        finding, first = self.entry.finding, main_referrer(self.entry)
        return PlannedContent(
            digest=str(self.digest),
            size=self.size,
            paths=[path_text(name) for name in self.names],
            media_type=first.media_type if first else None,
            key=None if self.entry.recipe_key is None else str(self.entry.recipe_key),
            rule=finding.rule,
            standing=self.entry.standing.name.lower(),
            seconds=seconds_back(self.entry),
        )


@dataclass(frozen=True)
class EvictionPlan:
    """What a gc would do now."""

    wish: GcWish
    evict: tuple[Eviction, ...] = ()
    """Proven contents to move to the trash, in order."""
    discard: tuple[Eviction, ...] = ()
    """Contents to move to the trash that no root needs and nothing brings back."""
    restore: tuple[Copy, ...] = ()
    """Contents of the trash to bring back, since they are kept now."""
    purge: tuple[Copy, ...] = ()
    """Contents of the trash to delete."""
    waiting: tuple[Copy, ...] = ()
    """Contents that stay in the trash for now."""
    kept: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Rule -> (number, bytes) of contents that are not evictable."""
    evictable: tuple[int, int] = (0, 0)
    """(number, bytes) of evictable contents that stay anyway."""
    young: tuple[int, int] = (0, 0)
    """(number, bytes) of those among them that were used too recently for the wish."""
    fresh: tuple[int, int] = (0, 0)
    """(number, bytes) of unreachable contents that are younger than the wish asks for."""
    total: int = 0
    """Bytes of all contents, including the trash."""
    asked: int = 0
    """Bytes to free."""
    probes: tuple[PlannedProbe, ...] = ()
    """Takes to make once more first: what depends on a failing probe stays."""
    probe_budget: float = 0.0
    """The limit for the estimated seconds of all probes together."""
    aging: float = 0.0
    """The policy's aging value afterwards."""
    complete: bool = True
    problems: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        return not (self.evict or self.discard or self.restore or self.purge)

    @property
    def bytes(self) -> int:
        """The bytes that leave the trees."""
        return sum(item.size for item in (*self.evict, *self.discard))

    @property
    def seconds(self) -> float:
        """The cost of bringing all evictions back, each made once."""
        return sum((seconds_back(item.entry, alone=True) or 0.0) for item in self.evict)

    @property
    def freed(self) -> int:
        """The bytes freed at once."""
        gone = sum(copy.size for copy in self.purge)
        return gone + (sum(item.size for item in self.evict) if self.wish.now else 0)

    @property
    def short(self) -> int:
        """Bytes that were asked for and cannot be freed."""
        return max(0, self.asked - self.freed)

    def fields(self) -> dict[str, object]:
        """Return the machine-readable form, :class:`GcPlanFields`."""
        from regenstore.schemas.parts import Amount
        from regenstore.schemas.printed_store import GcPlanFields, TrashedCopy, TrashPlan

        def rows(copies: tuple[Copy, ...]) -> list[TrashedCopy]:
            return [TrashedCopy(digest=str(copy.digest), size=copy.size, run=copy.run) for copy in copies]

        return GcPlanFields(
            evict=[item.record() for item in self.evict],
            unreachable=[item.record() for item in self.discard],
            trash=TrashPlan(restore=rows(self.restore), purge=rows(self.purge), waiting=rows(self.waiting)),
            kept={rule: Amount(contents=count, bytes=size) for rule, (count, size) in self.kept.items()},
            probes=[probe.record() for probe in self.probes],
            probe_seconds=sum(probe.seconds for probe in self.probes),
            probe_budget=self.probe_budget,
            evictable_and_kept=Amount(contents=self.evictable[0], bytes=self.evictable[1]),
            bytes=self.bytes,
            seconds=self.seconds,
            total_bytes=self.total,
            freed_at_once=self.freed,
            asked=self.asked,
            short=self.short,
            complete=self.complete,
            problems=list(self.problems),
        ).model_dump()


Names = Callable[[], Mapping[Digest, Sequence[str]]]


def make_plan(
    survey: Survey,
    copies: Iterable[Copy],
    uses: Uses,
    wish: GcWish,
    now: float,
    names: Mapping[Digest, Sequence[str]],
    built_in: BuiltIn | None = None,
    budget: float = 0.0,
) -> EvictionPlan:
    """Make the plan. ``copies`` are all files of contents, listed before the survey was made. What depends on
    generators that are not ``built_in`` is evicted only if the probes that it needs fit into ``budget``; without
    ``built_in``, all generators count as built in."""
    files = list(copies)
    total = sum(copy.size for copy in files)
    restore, purge, waiting = _empty_trash(survey, files, wish, now)
    possible = {one.digest: one for one in _candidates(survey, uses, wish, now, names)}
    by_proof = _by_proof(files, purge)
    probing = Probing.over(ProbeNeeds(survey, built_in), budget, possible.keys() | by_proof)
    unprobed = {digest for digest in possible.keys() | by_proof if not probing.allows(digest)}
    waiting += [copy for copy in purge if copy.digest in unprobed & by_proof]
    purge = [copy for copy in purge if copy.digest not in unprobed & by_proof]
    asked = max(wish.free or 0, 0 if wish.cap is None else total - wish.cap)
    able = [one for one in possible.values() if one.digest not in unprobed]
    chosen, aging = _choose(survey, uses, wish, able, names, asked - sum(copy.size for copy in purge))
    discard = _unreachable(survey, wish, now, names) if wish.unreachable else []
    going = {item.digest for item in (*chosen, *discard)}
    kept: dict[str, tuple[int, int]] = {}
    left = young = fresh = (0, 0)
    for entry in survey.entries.values():
        if entry.stored.tree not in (CACHE, VAULT) or entry.stored.digest in going:
            continue
        if entry.evictable and entry.stored.digest not in unprobed:
            left = left[0] + 1, left[1] + entry.stored.size
            if wish.older_than is not None and now - _last_use(entry, uses) < wish.older_than:
                young = young[0] + 1, young[1] + entry.stored.size
        else:
            if wish.unreachable and is_unreachable(survey, entry) and now - entry.stored.identity[1] / 1e9 < wish.age:
                fresh = fresh[0] + 1, fresh[1] + entry.stored.size
            rule = "unprobed" if entry.evictable else entry.finding.rule
            count, size = kept.get(rule, (0, 0))
            kept[rule] = count + 1, size + entry.stored.size
    return EvictionPlan(
        wish,
        tuple(chosen),
        tuple(discard),
        tuple(restore),
        tuple(purge),
        tuple(waiting),
        dict(sorted(kept.items(), key=lambda row: -row[1][1])),
        left,
        young,
        fresh,
        total,
        max(0, asked),
        probing.chosen({item.digest for item in chosen} | _by_proof(files, purge), names),
        budget,
        aging,
        survey.complete,
        survey.problems,
    )


def _by_proof(files: Sequence[Copy], purge: Sequence[Copy]) -> set[Digest]:
    """Return the contents of the trash that would be deleted because of a proof: no tree has them."""
    in_trees = {(copy.digest, copy.size) for copy in files if copy.run is None}
    return {copy.digest for copy in purge if copy.tree == CACHE and (copy.digest, copy.size) not in in_trees}


def may_be_purged(survey: Survey, copy: Copy, elsewhere: bool) -> bool:
    """Return whether a content of the trash may be deleted: a tree has it too (``elsewhere``), or what permitted its
    eviction still holds."""
    if elsewhere:
        return True
    entry = survey.entries.get(copy.digest)
    if entry is None:
        return False
    return entry.evictable if copy.tree == CACHE else is_unreachable(survey, entry)


def is_unreachable(survey: Survey, entry: JudgedContent) -> bool:
    """Return whether no root needs a content, it is neither pinned nor held, and nothing brings it back."""
    return (
        survey.complete
        and entry.stored.digest not in survey.needed
        and entry.standing == Standing.DEAD
        and entry.finding.rule in _BRINGS_NOTHING_BACK
    )


def _empty_trash(
    survey: Survey, files: Sequence[Copy], wish: GcWish, now: float
) -> tuple[list[Copy], list[Copy], list[Copy]]:
    """Sort the trash into contents to bring back, to delete, and to leave."""
    in_trees = {(copy.digest, copy.size) for copy in files if copy.run is None}
    restore: list[Copy] = []
    purge: list[Copy] = []
    waiting: list[Copy] = []
    for copy in files:
        if copy.run is None:
            continue
        if not may_be_purged(survey, copy, (copy.digest, copy.size) in in_trees):
            # If the survey is incomplete, it stays in the trash, where any process that needs it will find it.
            (restore if survey.complete else waiting).append(copy)
            continue
        proven = copy.tree == CACHE
        grace = wish.grace if proven else UNREACHABLE_GRACE
        at_once = wish.now if proven else wish.unreachable and wish.purge
        (purge if at_once or trash.age(copy.run, now) >= grace else waiting).append(copy)
    return restore, purge, waiting


def _candidates(
    survey: Survey, uses: Uses, wish: GcWish, now: float, names: Mapping[Digest, Sequence[str]]
) -> Iterator[policy.Candidate]:
    """Yield what may be evicted and matches the wish."""
    past = wish.free is None and wish.cap is None
    for entry in survey.entries.values():
        cost = seconds_back(entry)
        if not entry.evictable or cost is None or entry.stored.tree not in (CACHE, VAULT):
            continue
        digest, first = entry.stored.digest, main_referrer(entry)
        if past and entry.standing > Standing.SUPERSEDED:
            continue
        if wish.select is not None and not _selected(wish.select, names.get(digest, ())):
            continue
        if wish.older_than is not None and now - _last_use(entry, uses) < wish.older_than:
            continue
        usage = uses.of(digest)
        preview = first is not None and first.output in _PREVIEWS
        yield policy.Candidate(digest, entry.stored.size, cost, usage.frequency, usage.base, entry.standing, preview)


def _choose(
    survey: Survey,
    uses: Uses,
    wish: GcWish,
    candidates: Sequence[policy.Candidate],
    names: Mapping[Digest, Sequence[str]],
    left_to_free: int,
) -> tuple[list[Eviction], float]:
    if wish.free is None and wish.cap is None:
        left_to_free = sum(one.size for one in candidates)
    inputs = _inputs(survey, {one.digest for one in candidates})
    choice = policy.choose(candidates, left_to_free, inputs=inputs, floor=uses.aging)
    entries = survey.entries
    # An eviction limited to some contents says nothing about the worth of all.
    partial = wish.select is not None or wish.older_than is not None
    aging = uses.aging if partial else choice.aging
    return [Eviction(entries[one.digest], tuple(names.get(one.digest, ()))) for one in choice.chosen], aging


def _unreachable(survey: Survey, wish: GcWish, now: float, names: Mapping[Digest, Sequence[str]]) -> list[Eviction]:
    """Return what no root needs and nothing brings back, oldest first."""
    found = []
    for entry in survey.entries.values():
        if entry.stored.tree not in (CACHE, VAULT) or not is_unreachable(survey, entry):
            continue
        known = names.get(entry.stored.digest, ())
        if now - entry.stored.identity[1] / 1e9 < wish.age or (wish.select and not _selected(wish.select, known)):
            continue
        found.append(Eviction(entry, tuple(known)))
    return sorted(found, key=lambda item: (item.entry.stored.identity[1], item.digest))


def _inputs(survey: Survey, candidates: Set[Digest]) -> dict[Digest, tuple[Digest, ...]]:
    """Return the inputs of candidates, and of contents that are not in the store. Contents that stay do not have to be
    made again, so their inputs do not matter."""
    found = dict(survey.absent)
    for digest in candidates:
        entry = survey.entries[digest]
        for referrer in entry.referrers:
            if referrer.key is not None and referrer.key == entry.recipe_key and referrer.inputs:
                found[digest] = referrer.inputs
    return found


def seconds_back(entry: JudgedContent, *, alone: bool = False) -> float | None:
    """Return the seconds to bring a content back: by making it with its missing inputs (or ``alone``), or from the
    remote that has just confirmed it, whichever is less. None if unknown."""
    made = entry.own if alone else entry.closure
    if entry.finding.rule != "confirmed":
        return made
    fetched = FETCH_LATENCY + entry.stored.size / FETCH_RATE
    return fetched if made is None else min(made, fetched)


def main_referrer(entry: JudgedContent) -> Referrer | None:
    """Return the referrer whose recipe brings a content back; else the firmest one."""
    return next((r for r in entry.referrers if r.key == entry.recipe_key), None) or next(iter(entry.referrers), None)


def _last_use(entry: JudgedContent, uses: Uses) -> float:
    return max(uses.last.get(entry.stored.digest, 0.0), entry.stored.identity[1] / 1e9)


def _selected(pattern: str, names: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for name in names)
