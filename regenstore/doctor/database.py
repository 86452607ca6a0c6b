"""Check the result database, and rebuild it from Git's recipes and the store's contents.

The old database is never deleted. A damaged one is moved aside; of an intact one a copy is set aside, and the results
from Git are added to it, since it also knows what Git does not (proofs, other takes, other repositories).
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field

from regenstore.doctor import git_recipes, salvage
from regenstore.doctor.salvage import Salvaged
from regenstore.fs import durable, presence, sharing
from regenstore.objects import evicted, toml
from regenstore.objects.content_store import ContentStore
from regenstore.objects.evicted import Evicted
from regenstore.objects.recipe import Recipe
from regenstore.objects.result import Content, Result
from regenstore.objects.results import database_file, examination
from regenstore.objects.results.cache import ResultCache
from regenstore.objects.results.database_file import FILE
from regenstore.refs.roots import Roots

SOUND, DAMAGED, NONE = "sound", "damaged", "none"


@dataclass(frozen=True)
class Examined:
    """``state`` is SOUND, DAMAGED or NONE (there is no database)."""

    state: str
    problems: tuple[str, ...] = ()
    incomplete: int = 0
    """Recorded outputs whose bytes the store lacks. This is no error: they are never returned."""

    def fields(self) -> dict[str, object]:
        return {"state": self.state, "problems": list(self.problems), "outputs_without_bytes": self.incomplete}


def examine(store: ContentStore, *, quick: bool = False) -> Examined:
    """Check the database: completely, or with ``quick`` only its structure. Raises FormatError (``newer-store``),
    Conflict (``store-busy``)."""
    path = f"{store.root}/{FILE}"
    if presence.found(path) is None:
        return Examined(NONE)
    found = examination.examine(path, quick=quick)
    if found.problems:
        return Examined(DAMAGED, found.problems)
    return Examined(SOUND, (), sum(store.stored(digest, size) is None for digest, size in found.outputs))


# ------------------------------------------------------------------------------------------- rebuilding


@dataclass(frozen=True)
class KnownResult:
    """A recipe blob, with its take and the take's age if the store has the bytes."""

    oid: bytes
    recipe: Recipe
    content: Content | None
    created: float


@dataclass
class RebuildPlan:
    """What a rebuild would record. Immutable."""

    examined: Examined
    known: list[KnownResult] = field(default_factory=list)
    salvaged: Salvaged = field(default_factory=Salvaged)
    """What was recovered from databases that were set aside, and from a damaged one that is about to be."""
    evicted: list[Evicted] = field(default_factory=list)
    """Contents that gc took, with their recipes and proofs from its manifests."""

    @property
    def results(self) -> list[KnownResult]:
        return [known for known in self.known if known.content is not None and known.recipe.key is not None]

    def fields(self) -> dict[str, object]:
        takes = [known for known in self.known if known.recipe.key is not None and not known.recipe.wanted]
        return {
            "database": self.examined.fields(),
            "recipe_blobs": len(self.known),
            "results": len(self.results),
            "takes_without_bytes": len(takes) - len(self.results),
            "evicted": len(self.evicted),
            "salvaged_results": len(self.salvaged.results),
            "salvaged_proofs": len(self.salvaged.proofs),
            "not_whole": self.salvaged.unread,
        }

    def lines(self) -> list[str]:
        """For display."""
        told = self.fields()
        old = {SOUND: "a copy is set aside", DAMAGED: "it is moved aside", NONE: "a new one is made"}
        return [
            f"database: {self.examined.state}; {old[self.examined.state]}",
            f"recipe blobs in Git: {told['recipe_blobs']}; results to record: {told['results']}; "
            f"takes whose bytes the store does not have: {told['takes_without_bytes']}",
            *([f"evicted by gc, with known recipes and proofs: {len(self.evicted)}"] if self.evicted else []),
            *self.salvaged.lines(),
        ]


def plan_rebuild(store: ContentStore, roots: Roots, examined: Examined | None = None) -> RebuildPlan:
    """Read every recipe blob reachable in Git, find its take in the store, and recover what damaged databases still
    hold."""
    plan = RebuildPlan(examined or examine(store))
    damaged = [FILE] if plan.examined.state == DAMAGED else []
    plan.salvaged = salvage.read(store, [*damaged, *salvage.asides(store.root)])
    plan.evicted = list(evicted.everything(store.root))
    reachable = list(git_recipes.reachable(roots))
    sure = {(recipe.output.take, recipe.key) for _, recipe in reachable if recipe.output.key is not None}
    told = {take for take, _ in sure}
    for oid, recipe in reachable:
        take = recipe.output.take
        if recipe.output.key is None and take in told and (take, recipe.key) not in sure:
            take = None  # another recipe says that its parameters made it
        path = None if take is None else store.stored(take.digest, take.size)
        if take is None or path is None:
            plan.known.append(KnownResult(oid, recipe, None, 0.0))
        else:
            content = Content(take.digest, take.size, recipe.output.media_type)
            plan.known.append(KnownResult(oid, recipe, content, os.stat(path).st_mtime))
    return plan


def rebuild(store: ContentStore, plan: RebuildPlan) -> str | None:
    """Carry out a plan; returns where the old database is now. Every step is safe beside other commands, and
    repeating it after an interruption gives the same result."""
    store.prepare()
    aside = set_aside(store, plan.examined.state)
    cache = ResultCache(store.root)
    try:
        salvage.take_over(plan.salvaged, cache)
        for known in plan.results:
            key, content, seconds = known.recipe.key, known.content, known.recipe.output.seconds
            assert key is not None and content is not None
            if not cache.made(key, content.digest, known.recipe.output.name):
                outputs = {known.recipe.output.name: content}
                cache.record(known.recipe, Result(key, outputs, float(seconds or 0.0), known.created))
        for one in plan.evicted:
            _recall(cache, one)
    finally:
        cache.close()
    return aside


def _recall(cache: ResultCache, one: Evicted) -> None:
    """Record how a content that gc took was made, and the proof that it comes back."""
    recipe = toml.decode_or_none(one.recipe)
    if recipe is None or recipe.key is None or recipe.key != one.key:
        return
    if not cache.made(recipe.key, one.digest, one.output):
        content = Content(one.digest, one.size, one.media_type)
        created = 0.0 if one.proof is None else one.proof.created
        cache.record(recipe, Result(recipe.key, {one.output: content}, one.seconds or 0.0, created))
    if one.proof is not None and one.proof not in cache.proofs(recipe.key, one.digest):
        cache.add_proof(one.proof)


def set_aside(store: ContentStore, state: str) -> str | None:
    """Keep the old database under another name: a damaged one is moved, an intact one copied. None if there is none,
    or if another process has replaced the damaged one meanwhile."""
    root = store.root
    path = f"{root}/{FILE}"
    with durable.storage_errors(path):
        if state == DAMAGED:
            with database_file.replacing(root):
                return database_file.move_aside(root) if examine(store).state == DAMAGED else None
        with database_file.working(root):
            if presence.found(path) is None:
                return None
            aside = f"{path}.before-{time.time_ns()}"
            examination.copy(path, aside)
            sharing.fit(aside, root)
            durable.fsync_file(aside)
            durable.fsync_folder(root)
            return aside
