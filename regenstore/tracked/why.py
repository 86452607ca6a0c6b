"""Why the medium at a path is kept, or may be evicted: the rule that decides, and everything it rests on.

Nothing is deleted here, and nothing is run except to ask a generator for its environment fingerprint.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain

from regenstore.objects import toml
from regenstore.objects.ids import Digest
from regenstore.objects.recipe import Recipe
from regenstore.proof.rules import Finding
from regenstore.proof.survey import Entry
from regenstore.refs.pins import Pin, Pins, pin_name
from regenstore.refs.recipes import ATTRIBUTE
from regenstore.tracked.pinning import roots_of
from regenstore.tracked.workbench import Workbench


@dataclass(frozen=True)
class Why:
    """All that is known about the medium at a path."""

    path: bytes
    recipe: Recipe
    finding: Finding
    entry: Entry | None
    """None where there is no take."""
    stored: bool
    dependents: tuple[bytes, ...]
    """Paths in Git's index whose recipes have it as an input."""
    roots: tuple[str, ...]
    pin: Pin | None


def why(bench: Workbench, path: bytes) -> Why:
    """The medium that the recipe at a path records. Raises NotFound where there is none."""
    recipe = bench.current(path)
    take = recipe.output.take
    if take is None:
        detail = "" if recipe.output.outdated is None else "what it names as its take was made with other parameters"
        pin = None if recipe.imported else _pin(bench, recipe)
        return Why(path, recipe, Finding("wanted", detail), None, False, (), (), pin)
    pin = _pin(bench, recipe)
    entry = bench.surveyor.judge(recipe)
    return Why(
        path,
        recipe,
        _named(entry.finding, recipe, pin),
        entry,
        bench.store.stored(take.digest, take.size) is not None,
        tuple(_dependents(bench, take.digest)),
        tuple(_roots(bench, take.digest)),
        pin,
    )


def _named(finding: Finding, recipe: Recipe, pin: Pin | None) -> Finding:
    """The finding in words of this path: its inputs by their names, its pin by its reason."""
    if finding.rule == "pinned" and pin is not None:
        return replace(finding, detail=pin.reason)
    if finding.blocked is None:
        return finding
    names = [given.path or name for name, given in recipe.inputs.items() if given.digest == finding.blocked]
    return replace(finding, detail=f"{names[0] if names else finding.blocked.short}: {finding.detail}")


def _pin(bench: Workbench, recipe: Recipe) -> Pin | None:
    name = pin_name(recipe)
    return next((pin for pin in Pins(bench.git).all() if pin.name == name), None)


def _roots(bench: Workbench, digest: Digest) -> Iterator[str]:
    """The names of the roots that reach a recipe of this content."""
    here = next(bench.holders.holders())
    blobs = [oid for oid, record in here.records.items() if record.digest == digest]
    yield from dict.fromkeys(chain.from_iterable(roots_of(bench).names(blobs).values()))


def _dependents(bench: Workbench, digest: Digest) -> Iterator[bytes]:
    listing = bench.git.output("grep", "--cached", "-z", "-l", "-F", "-e", str(digest), "--", ATTRIBUTE, check=False)
    for path in filter(None, listing.split(b"\0")):
        recipe = toml.decode_or_none(bench.index_text(path))
        if recipe is not None and any(given.digest == digest for given in recipe.inputs.values()):
            yield path
