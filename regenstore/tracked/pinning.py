"""Pins the recipe at a path, or of a key: its takes are then kept unconditionally."""

from __future__ import annotations

import os

from regenstore.errors import NotFound
from regenstore.objects import toml
from regenstore.objects.attribution import rounded
from regenstore.objects.ids import Digest, RecipeKey
from regenstore.objects.recipe import Recipe
from regenstore.refs.pins import Pin, Pins, pin_name
from regenstore.refs.roots import Roots
from regenstore.tracked.recipe_writing import store_medium
from regenstore.tracked.workbench import Workbench

Target = bytes | RecipeKey | Digest
"""A path; a recipe key; the digest of imported media."""


def roots_of(bench: Workbench) -> Roots:
    """The roots of the repository."""
    where = bench.location
    return Roots(bench.git, where.git_dir, where.common_dir, where.index)


def pin(bench: Workbench, target: Target, reason: str, now: float) -> Pin:
    """Pin; an existing pin gets the new reason. Raises NotFound if no recipe is known."""
    recipe = pinnable(bench, target)
    if isinstance(target, bytes):
        held = bench.held(target)
        if held is not None and held.digest is not None:
            # A recipe never added may be in the worktree alone; a pin that keeps nothing would be worse than none.
            store_medium(bench, target, held.digest, held.size)
    return Pins(bench.git).add(pin_name(recipe), toml.encode(recipe), reason, now)


def pinnable(bench: Workbench, target: Target) -> Recipe:
    """Return the recipe that a pin of the target keeps. Raises NotFound if none is known."""
    return bench.current(target) if isinstance(target, bytes) else _known_recipe(bench, target)


def find_pin(bench: Workbench, target: Target) -> str:
    """Return the name of a target's pin. Raises NotFound (``not-pinned``) if there is none."""
    if isinstance(target, bytes):
        shown, name = os.fsdecode(target), pin_name(bench.current(target))
    else:
        shown, name = str(target), target.hex if isinstance(target, RecipeKey) else f"imported-{target.hex}"
    if not any(pinned.name == name for pinned in Pins(bench.git).all()):
        raise NotFound("not-pinned", f"{shown} is not pinned")
    return name


def unpin(bench: Workbench, target: Target) -> None:
    """Remove a pin. Raises NotFound (``not-pinned``) if there is none."""
    Pins(bench.git).remove(find_pin(bench, target))


def pins(bench: Workbench) -> list[tuple[Pin, list[bytes]]]:
    """Return every pin, with the paths in Git's index that have its key or are its imported medium."""
    found = Pins(bench.git).all()
    paths: dict[str, list[bytes]] = {}
    for path in bench.tracked() if found else ():
        recipe = toml.decode_or_none(bench.index_text(path))
        if recipe is not None:
            paths.setdefault(pin_name(recipe), []).append(path)
    return [(pinned, paths.get(pinned.name, [])) for pinned in found]


def _known_recipe(bench: Workbench, target: RecipeKey | Digest) -> Recipe:
    """Return a recipe of a key, or of imported media: from any root in Git, else from the result cache. Prefers one
    whose take is in the store."""
    recipes = roots_of(bench).recipes(bench.cache, remember=os.path.isdir(bench.store.root))
    matching = [
        record for record in recipes.records.values()
        if (record.key == target if isinstance(target, RecipeKey) else not record.key and record.digest == target)
    ]  # fmt: skip
    matching.sort(key=lambda record: record.digest is None or bench.store.stored(record.digest, record.size) is None)
    for record in matching:
        recipe = toml.decode_or_none(bench.blobs.read(record.oid.hex().encode(), toml.MAX_BYTES))
        if recipe is not None:
            return recipe
    for result in bench.cache.results(target) if isinstance(target, RecipeKey) else ():
        for content in result.outputs.values():
            for known in bench.cache.known_outputs(content.digest):
                recipe = toml.decode_or_none(known.recipe) if known.key == target else None
                if recipe is not None:
                    return recipe.with_take(content.take, rounded(result.seconds))
    raise NotFound("no-such-recipe", f"no recipe is known for {target}")
