"""Why the medium at a path is kept, or may be evicted: the deciding rule, and everything it is based on.

Deletes nothing, and runs nothing except to ask a generator for its environment fingerprint.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from regenstore.errors import RegenstoreError
from regenstore.objects import toml
from regenstore.objects.ids import Digest
from regenstore.objects.recipe import Recipe
from regenstore.objects.result import LAPSED, UNPINNED
from regenstore.proof.rules import Judgement
from regenstore.proof.survey import JudgedContent
from regenstore.refs.pins import Pin, Pins, pin_name
from regenstore.refs.recipes import ATTRIBUTE
from regenstore.tracked.pinning import roots_of
from regenstore.tracked.workbench import Workbench

_FILES = 6
_WORDS = {
    "definition": "its definition, with {files}",
    "programs": "the programs that its command names, and their interpreters",
    "locks": "the lock files beside it",
    "installed": "what it is installed with: {value}",
    "packages": "{value}",
    "python": "Python {value}",
    "processors": "machine, processors, graphics driver",
}
_PARTS_OF_OTHERS = {"program", "machine", "processor", "graphics"}
NOT_COVERED = (
    "files that it reads elsewhere",
    "programs that it starts by itself",
    "services behind a network",
    "drivers beyond their version",
    "the time",
)
"""What an environment fingerprint cannot cover for a generator that is not built in."""


@dataclass(frozen=True)
class Unchanged:
    """What must be unchanged for a proof to hold, and what of it is unknown."""

    covers: tuple[str, ...]
    probed: bool
    """Whether gc makes a take once more before it relies on the proofs: the generator is not built in."""


@dataclass(frozen=True)
class Why:
    """Everything known about the medium at a path."""

    path: bytes
    recipe: Recipe
    finding: Judgement
    entry: JudgedContent | None
    """None if there is no take."""
    stored: bool
    dependents: tuple[bytes, ...]
    """Paths in Git's index whose recipes have it as an input."""
    roots: tuple[str, ...]
    pin: Pin | None
    unchanged: Unchanged | None = None
    """None for imported media, and if its generator is not known here."""


def why(bench: Workbench, path: bytes) -> Why:
    """Explain the medium that the recipe at a path records. Raises NotFound if there is none."""
    recipe = bench.current(path)
    take = recipe.output.take
    if take is None:
        detail = "" if recipe.output.outdated is None else "the take that it names was made with other parameters"
        pin = None if recipe.imported else _pin(bench, recipe)
        return Why(path, recipe, Judgement("wanted", detail), None, False, (), (), pin)
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
        _unchanged(bench, recipe, entry.finding),
    )


def _unchanged(bench: Workbench, recipe: Recipe, finding: Judgement) -> Unchanged | None:
    """In words: what the fingerprint of the finding's proof holds."""
    if recipe.generator is None:
        return None
    try:
        known = bench.registry.find(recipe.generator)
    except RegenstoreError:
        return None
    fingerprint = {} if finding.proof is None else dict(finding.proof.fingerprint)
    names = [path for path, _ in known.declared.files] if known.declared is not None else []
    shown = ", ".join(names[:_FILES]) + (f" and {len(names) - _FILES} more" if len(names) > _FILES else "")
    covers = [
        _WORDS[name].format(files=shown or "no files", value=value) if name in _WORDS else f"{name} {value}"
        for name, value in sorted(fingerprint.items(), key=lambda pair: (pair[0] not in _WORDS, pair[0]))
        if name not in (LAPSED, UNPINNED) and not (known.declared is not None and name in _PARTS_OF_OTHERS)
    ]
    return Unchanged(tuple(covers), known.source != "built-in")


def _named(finding: Judgement, recipe: Recipe, pin: Pin | None) -> Judgement:
    """The finding in words of this path: its inputs by their names, its pin by its reason."""
    if finding.rule == "pinned" and pin is not None:
        return finding._replace(detail=pin.reason)
    if finding.blocked is None:
        return finding
    names = [given.path or name for name, given in recipe.inputs.items() if given.digest == finding.blocked]
    return finding._replace(detail=f"{names[0] if names else finding.blocked.short}: {finding.detail}")


def _pin(bench: Workbench, recipe: Recipe) -> Pin | None:
    name = pin_name(recipe)
    return next((pin for pin in Pins(bench.git).all() if pin.name == name), None)


def _roots(bench: Workbench, digest: Digest) -> Iterator[str]:
    """Return the names of the roots that reach a recipe of this content."""
    here = next(bench.holders.holders())
    blobs = [oid for oid, record in here.records.items() if record.digest == digest]
    yield from dict.fromkeys(chain.from_iterable(roots_of(bench).names(blobs).values()))


def _dependents(bench: Workbench, digest: Digest) -> Iterator[bytes]:
    for path in bench.git.grep_index(str(digest), ATTRIBUTE):
        recipe = toml.decode_or_none(bench.index_text(path))
        if recipe is not None and any(given.digest == digest for given in recipe.inputs.values()):
            yield path
