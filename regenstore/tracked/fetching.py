"""Fetching: what others pushed comes into the store, nothing is made or placed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from regenstore.objects import toml
from regenstore.objects.ids import Digest
from regenstore.objects.recipe import Recipe
from regenstore.remotes.together import Elsewhere
from regenstore.tracked.workbench import Workbench, select


@dataclass
class FetchPlan:
    """What to bring, and what no remote has. A value: making it changes nothing."""

    there: int = 0
    """Contents that the store has."""
    bring: dict[Digest, int] = field(default_factory=dict)
    names: dict[Digest, str] = field(default_factory=dict)
    """A path, or what else names a content for people."""
    nowhere: list[Digest] = field(default_factory=list)


def recipes_here(bench: Workbench, paths: Sequence[bytes]) -> Iterator[tuple[str, Recipe]]:
    """The recipes of the index at and below paths (all, without any), as the worktree has them where it differs."""
    tracked = bench.tracked()
    for path in select([*tracked, *bench.untracked()], paths) if paths else [*tracked, *bench.untracked()]:
        held = bench.held(path, digest=False)
        text = held.text if held is not None and held.text is not None else bench.index_text(path)
        recipe = toml.decode_or_none(text) if text is not None else None
        if recipe is not None:
            yield os.fsdecode(path), recipe


def plan(bench: Workbench, elsewhere: Elsewhere, named: Iterable[tuple[str, Recipe]], *, inputs: bool) -> FetchPlan:
    """What of the takes of some recipes (and with ``inputs`` of what they are made from) is not here, and who has
    it. New records are brought first: a recipe without a take is met by what others made for it."""
    found = FetchPlan()
    wanted: dict[Digest, str] = {}
    elsewhere.refresh()
    for name, recipe in named:
        digests: list[Digest] = [given.digest for given in recipe.inputs.values()] if inputs else []
        if recipe.output.take is not None:
            digests.append(recipe.output.take.digest)
        elif recipe.key is not None:
            shared = [s.result.outputs.get(recipe.output.name) for s in elsewhere.results(recipe.key)]
            digests += [content.digest for content in shared[:1] if content is not None]
        for digest in digests:
            wanted.setdefault(digest, name)
    missing = {digest: name for digest, name in wanted.items() if bench.store.use(digest) is None}
    found.there = len(wanted) - len(missing)
    found.names = missing
    found.bring = elsewhere.having(missing)
    found.nowhere = [digest for digest in missing if digest not in found.bring]
    return found
