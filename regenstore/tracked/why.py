"""Why a medium is kept, or may be evicted: the rule that decides, and everything it rests on.

Nothing is deleted here, and nothing is run except to ask a generator for its environment fingerprint.
A medium is evictable only if a second run proved that its take comes back in this very environment, by a
generator that can run now, from inputs that are in the store or are covered by the same rule; and only if
nobody pinned it and every other live recipe of the same bytes says the same.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain

from regenstore.errors import RegenstoreError
from regenstore.objects import toml
from regenstore.objects.ids import Digest, RecipeKey
from regenstore.objects.recipe import Recipe
from regenstore.proof.environments import Environments
from regenstore.proof.rules import EVICTABLE, RULES, Finding
from regenstore.refs.blobs import RecipeBlobs
from regenstore.refs.pins import Pin, Pins, pin_name
from regenstore.refs.recipes import ATTRIBUTE, RecipeFinder
from regenstore.tracked.pinning import roots_of
from regenstore.tracked.workbench import Workbench


@dataclass(frozen=True)
class Cost:
    """Seconds to make a take again, alone and with everything that it is made from; None where nothing
    tells."""

    own: float | None
    everything: float | None
    recipes: int
    """How many recipes that would run."""


@dataclass(frozen=True)
class Why:
    """All that is known about the medium at a path."""

    path: bytes
    recipe: Recipe
    stored: bool
    finding: Finding
    cost: Cost | None
    """None for what nothing can make: imported media."""
    dependents: tuple[bytes, ...]
    """Paths in Git's index whose recipes have it as an input."""
    roots: tuple[str, ...]
    pin: Pin | None


def why(bench: Workbench, path: bytes) -> Why:
    """The medium that the recipe at a path records. Raises NotFound where there is none."""
    recipe = bench.current(path)
    take = recipe.output.take
    roots = roots_of(bench)
    live = roots.recipes(bench.cache, remember=os.path.isdir(bench.store.root))
    pins = {pin.name: pin for pin in Pins(bench.git).all()}
    with Environments(bench.registry, bench.realiser.executor) as here:
        finding = Judge(bench, here, pins, live).finding(recipe)
    names: dict[str, None] = {}
    if take is not None:
        holders = [record.oid for record in live.records.values() if record.digest == take.digest]
        names = dict.fromkeys(chain.from_iterable(roots.names(holders).values()))
    return Why(
        path,
        recipe,
        take is not None and bench.store.stored(take.digest, take.size) is not None,
        finding,
        None if recipe.imported else _cost(bench, recipe),
        () if take is None else tuple(_dependents(bench, take.digest)),
        tuple(names),
        None if recipe.imported and take is None else pins.get(pin_name(recipe)),
    )


class Judge:
    """Applies the rules to takes of this repository."""

    def __init__(self, bench: Workbench, here: Environments, pins: Mapping[str, Pin], live: RecipeBlobs) -> None:
        self._bench = bench
        self._here = here
        self._pins = pins
        self._live = live

    def finding(self, recipe: Recipe) -> Finding:
        """The rule for a recipe's take, also in view of other live recipes of the same bytes."""
        found = self._alone(recipe)
        if found.state != EVICTABLE:
            return found
        assert recipe.output.take is not None
        digest, seen = recipe.output.take.digest, {recipe.key}
        for oid, record in self._live.records.items():
            if record.digest == digest and record.key not in seen:
                seen.add(record.key)
                text = self._bench.blobs.read(oid.hex().encode(), toml.MAX_BYTES)
                other = toml.decode_or_none(text)
                reason = self._alone(other) if other is not None else Finding("shared", "it cannot be read")
                if reason.state != EVICTABLE:
                    name = "imported media" if record.key is None else f"key:{record.key.short}…"
                    return replace(found, rule="shared", detail=f"{name}: {reason.detail or RULES[reason.rule]}")
        if any(digest in mentioned for mentioned in self._live.unreadable.values()):
            return replace(found, rule="shared", detail="a recipe in Git that cannot be read here mentions them")
        return found

    def _alone(self, recipe: Recipe) -> Finding:
        if recipe.output.take is None:
            return Finding("wanted")
        pin = self._pins.get(pin_name(recipe))
        found = self._own(recipe, recipe.output.take.digest)
        if pin is not None:
            return replace(found, rule="pinned", detail=pin.reason)
        return found if found.state != EVICTABLE else self._inputs(recipe, found)

    def _own(self, recipe: Recipe, digest: Digest) -> Finding:
        """The rule for a take in view of itself alone."""
        if recipe.key is None:
            return Finding("imported")
        proofs = self._bench.cache.proofs(recipe.key, digest)
        newest = proofs[0] if proofs else None
        try:
            assert recipe.generator is not None
            here = self._here.of(recipe.generator, recipe.version)
        except RegenstoreError as error:
            return Finding("generator", error.message, newest)
        if newest is None:
            return Finding("unproven")
        valid = next((proof for proof in proofs if proof.fingerprint == here), None)
        if valid is None:
            names = sorted({*newest.fingerprint, *here})
            differs = {name: (newest.fingerprint.get(name), here.get(name)) for name in names}
            return Finding("lapsed", "", newest, {n: pair for n, pair in differs.items() if pair[0] != pair[1]})
        return Finding("proven" if valid.proves else "different", proof=valid, holds=True)

    def _inputs(self, recipe: Recipe, found: Finding) -> Finding:
        """The same finding if every input is in the store or covered by the same rule, down to the last."""
        needs: dict[Digest, set[Digest]] = {}
        todo = list(recipe.inputs.items())
        while todo:
            name, given = todo.pop()
            if given.digest in needs or self._bench.store.stored(given.digest) is not None:
                continue
            shown = given.path or name
            reason = f"{shown}: no recipe is known for it"
            for producer in _producers(self._bench, given.digest, given.path):
                own = self._own(producer, given.digest)
                if own.state == EVICTABLE:
                    needs[given.digest] = {item.digest for item in producer.inputs.values()}
                    todo += producer.inputs.items()
                    break
                reason = f"{shown}: {own.detail or RULES[own.rule]}"
            else:
                return replace(found, rule="inputs", detail=reason)
        while ready := [digest for digest, inputs in needs.items() if not inputs & needs.keys()]:
            for digest in ready:
                del needs[digest]
        return replace(found, rule="inputs", detail="they need each other") if needs else found


def _producers(bench: Workbench, digest: Digest, hint: str | None) -> Iterator[Recipe]:
    """The recipes known to have made a content: by the result cache, then by Git."""
    for made in bench.cache.known_outputs(digest):
        recipe = toml.decode_or_none(made.recipe)
        if recipe is not None:
            yield recipe
    yield from RecipeFinder(bench.git, bench.blobs, bench.index.oids).find(digest, hint)


def _cost(bench: Workbench, recipe: Recipe) -> Cost:
    """What it takes when nothing is there any more but imported media."""
    own = _seconds(bench, recipe)
    costs = {recipe.key: own}
    todo = list(recipe.inputs.values())
    looked: set[Digest] = set()
    while todo:
        given = todo.pop()
        if given.digest in looked:
            continue
        looked.add(given.digest)
        producer = next(_producers(bench, given.digest, given.path), None)
        if producer is not None and producer.key is not None and producer.key not in costs:
            costs[producer.key] = _seconds(bench, producer)
            todo += producer.inputs.values()
    return Cost(own, None if None in costs.values() else _sum(costs.values()), len(costs))


def _sum(costs: Iterable[float | None]) -> float:
    return sum(cost for cost in costs if cost is not None)


def _seconds(bench: Workbench, recipe: Recipe) -> float | None:
    """What a recipe's run cost: by its blob, by its last run here, else by other runs of its generator."""
    if recipe.output.seconds is not None:
        return float(recipe.output.seconds)
    key: RecipeKey | None = recipe.key
    results = [] if key is None else bench.cache.results(key)
    if results:
        return results[0].seconds
    return bench.cache.typical_seconds(recipe.generator or "", recipe.version)


def _dependents(bench: Workbench, digest: Digest) -> Iterator[bytes]:
    listing = bench.git.output("grep", "--cached", "-z", "-l", "-F", "-e", str(digest), "--", ATTRIBUTE, check=False)
    for path in filter(None, listing.split(b"\0")):
        recipe = toml.decode_or_none(bench.index_text(path))
        if recipe is not None and any(given.digest == digest for given in recipe.inputs.values()):
            yield path
