"""Proofs: whether a take can be reproduced. A second run is compared with it; if they differ, both are kept."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from regenstore.errors import InvalidInput, NotFound, RegenstoreError
from regenstore.media.likeness import Likeness
from regenstore.objects import toml
from regenstore.objects.ids import Digest
from regenstore.objects.mismatched_takes import judged
from regenstore.objects.recipe import Recipe
from regenstore.objects.result import Proof, Result
from regenstore.planning import Outcome, RunPlan, Want
from regenstore.proof.compare import compare_run
from regenstore.proof.environments import Environments
from regenstore.realise import Progress
from regenstore.tracked.corrections import Correcting, correct
from regenstore.tracked.recipe_writing import Written, adopt_take, taking
from regenstore.tracked.workbench import Workbench, select


@dataclass(frozen=True)
class Verdict:
    """The outcome of verifying one path: a proof with the comparison, or the error why there is none."""

    path: bytes
    proof: Proof | None = None
    likeness: Likeness | None = None
    error: RegenstoreError | None = None
    gave: frozenset[Digest] = frozenset()
    """All contents that recorded runs of it gave in this environment: if more than one, it varies."""
    correction: Correcting | None = None
    """The outcome of the search for a correction, if the second run gave other bytes."""

    @property
    def comes_back(self) -> bool:
        """Whether the take comes back, exactly or close enough."""
        return self.proof is not None and (self.proof.proves or (self.correction is not None and self.correction.kept))


@dataclass(frozen=True)
class KnownTake:
    """A content that a recipe is known to have made. ``proof`` compares it with the recorded take."""

    digest: Digest
    size: int
    made: float | None
    """Seconds since the epoch; None for a take known only from the blob."""
    seconds: float | int | None
    recorded: bool
    stored: bool


def proofs_of(bench: Workbench, recipe: Recipe) -> list[Proof]:
    """Return all proofs of a recipe's take, from every environment, newest first."""
    take = recipe.output.take
    return [] if recipe.key is None or take is None else bench.cache.proofs(recipe.key, take.digest)


def candidates(bench: Workbench, paths: Sequence[bytes]) -> dict[bytes, Recipe]:
    """Return the recipes with a take to verify, in Git's index or new: all, or those at and below the given paths."""
    return {path: recipe for path, recipe in _recorded(bench, paths).items() if recipe.output.take is not None}


def outdated(bench: Workbench, paths: Sequence[bytes]) -> list[bytes]:
    """Return those of the same paths whose takes were made with other parameters: there is nothing to verify."""
    return [path for path, recipe in _recorded(bench, paths).items() if recipe.output.outdated is not None]


def _recorded(bench: Workbench, paths: Sequence[bytes]) -> dict[bytes, Recipe]:
    tracked = bench.tracked()
    everything = [*tracked, *bench.untracked()]
    texts = {
        path: toml.decode_or_none(bench.index_text(path) if path in tracked else _new_text(bench, path))
        for path in (select(everything, paths) if paths else everything)
    }
    recipes = {path: recipe for path, recipe in texts.items() if recipe is not None and recipe.key is not None}
    return dict(zip(recipes, judged(bench.cache, list(recipes.values()))))


def _new_text(bench: Workbench, path: bytes) -> bytes | None:
    try:
        return bench.new_text(path)
    except RegenstoreError:
        return None  # a symbolic link, for example; 'git add' will report it


def unreadable(bench: Workbench, recipes: Mapping[bytes, Recipe]) -> list[Verdict]:
    """Return verdicts for paths whose worktree file cannot be read: which recipe they mean is unknown."""
    found = []
    for path in recipes:
        try:
            bench.held(path, digest=False)
        except RegenstoreError as error:
            found.append(Verdict(path, error=error))
    return found


def unproven(bench: Workbench, recipes: Mapping[bytes, Recipe]) -> dict[bytes, Recipe]:
    """Return those without a proof that holds in this environment."""
    with Environments(bench.registry, bench.realiser.executor) as here:
        found = {}
        for path, recipe in recipes.items():
            try:
                assert recipe.generator is not None
                now = here.of(recipe.generator, recipe.version)
                if not any(proof.fingerprint == now for proof in proofs_of(bench, recipe)):
                    found[path] = recipe
            except RegenstoreError:
                found[path] = recipe  # verifying it reports what is wrong
        return found


def sample(recipes: Mapping[bytes, Recipe], count: int, seed: int | None = None) -> dict[bytes, Recipe]:
    """Return a random sample; the same for the same seed."""
    names = sorted(recipes)
    chosen = random.Random(seed).sample(names, min(count, len(names)))  # noqa: S311  nothing secret
    return {path: recipes[path] for path in sorted(chosen)}


def plan_verify(bench: Workbench, recipes: Mapping[bytes, Recipe]) -> RunPlan:
    """Plan a verification: run each key once more, missing inputs first."""
    return bench.realiser.plan([Want(os.fsdecode(path), recipe) for path, recipe in recipes.items()], again=True)


def verify(
    bench: Workbench, plan: RunPlan, progress: Progress, clock: Callable[[], float] = time.time
) -> Iterator[Verdict]:
    """Execute a plan and yield each path's verdict as it is decided. The take is never touched: the output of the
    second run is stored beside it, under its own digest. If it differs, a correction is sought, with a third run."""
    differing: dict[bytes, tuple[Want, Verdict]] = {}
    for outcome in bench.realiser.run(plan, progress):
        path = os.fsencode(outcome.want.label)
        if outcome.error is not None:
            yield Verdict(path, error=outcome.error)
            continue
        verdict = _judge(bench, path, outcome, clock())
        if verdict.proof is None or verdict.proof.second == verdict.proof.take:
            yield verdict
        else:
            differing[path] = outcome.want, verdict
    proofs = [(want, verdict.proof) for want, verdict in differing.values() if verdict.proof is not None]
    for want, correcting in correct(bench, proofs, progress):
        yield replace(differing[os.fsencode(want.label)][1], correction=correcting)


def _judge(bench: Workbench, path: bytes, outcome: Outcome, now: float) -> Verdict:
    try:
        proof, likeness = compare_run(bench.realiser, bench.store, bench.cache, outcome, now)
    except NotFound as error:
        return Verdict(path, error=error)
    return Verdict(path, proof, likeness, gave=_gave(bench, outcome.want.recipe, outcome))


def _gave(bench: Workbench, recipe: Recipe, outcome: Outcome) -> frozenset[Digest]:
    results = bench.cache.results(recipe.key) if recipe.key is not None else []
    here = [r.outputs.get(recipe.output.name) for r in results if r.fingerprint == outcome.fingerprint]
    return frozenset(content.digest for content in here if content is not None)


# ------------------------------------------------------------------------------------------- takes


def takes(bench: Workbench, path: bytes) -> list[KnownTake]:
    """Return every content that the recipe at a path is known to have made, the recorded take first."""
    recipe = bench.current(path)
    if recipe.key is None:
        raise InvalidInput("imported-media", f"{os.fsdecode(path)}: it is imported media; no recipe made it")
    found: dict[Digest, KnownTake] = {}
    take = recipe.output.take
    if take is not None:
        stored = bench.store.stored(take.digest, take.size) is not None
        found[take.digest] = KnownTake(take.digest, take.size, None, recipe.output.seconds, True, stored)
    for result in bench.cache.results(recipe.key):
        content = result.outputs.get(recipe.output.name)
        if content is not None:
            recorded = take is not None and take.digest == content.digest
            stored = bench.store.stored(content.digest, content.size) is not None
            known = KnownTake(content.digest, content.size, result.created, result.seconds, recorded, stored)
            found[content.digest] = known
    return sorted(found.values(), key=lambda known: (not known.recorded, -(known.made or 0.0)))


def accept(bench: Workbench, path: bytes, wanted: str | None, *, dry_run: bool = False) -> Written:
    """Accept another known content as the take: the one whose digest begins with ``wanted`` (hex digits), or the only
    other one. Changes recipe and medium in the worktree; stages nothing. A dry run only returns what would be
    written."""
    shown = os.fsdecode(path)
    was = bench.seen(path)
    recipe = bench.current(path)
    others = [known for known in takes(bench, path) if not known.recorded]
    prefix = (wanted or "").removeprefix(Digest.PREFIX).lower()
    matching = [known for known in others if known.digest.hex.startswith(prefix)]
    if len(matching) != 1:
        listed = ", ".join(known.digest.short for known in matching or others) or "none"
        why = "no other take is known" if not others else "it is not clear which take"
        raise InvalidInput("no-such-take", f"{shown}: {why} (others: {listed})")
    chosen = matching[0]
    result = (
        next((r for r in bench.cache.results(recipe.key) if _holds(r, recipe, chosen)), None) if recipe.key else None
    )
    if result is None:
        raise NotFound("content-missing", f"{shown}: {chosen.digest.short} is no longer a recorded result")
    content = result.outputs[recipe.output.name]
    if dry_run:
        return Written(path, taking(recipe, content, result.seconds), content)
    return adopt_take(bench, path, recipe, content, result.seconds, was)


def _holds(result: Result, recipe: Recipe, known: KnownTake) -> bool:
    content = result.outputs.get(recipe.output.name)
    return content is not None and content.digest == known.digest
