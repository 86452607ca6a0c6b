"""Recipes in conflict: which fields the sides disagree on, and choosing between them. Works from the text in the
worktree, so that choices made earlier, by hand or by command, stay."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from regenstore.errors import FormatError, InvalidInput, RegenstoreError
from regenstore.objects import merge, toml
from regenstore.objects.recipe import Recipe
from regenstore.realise import Progress
from regenstore.tracked import recipe_writing
from regenstore.tracked.workbench import Workbench


@dataclass(frozen=True)
class InConflict:
    """The recipes between which a path is in conflict, as its text says now. ``base``: where both come from."""

    base: Recipe | None
    ours: Recipe
    theirs: Recipe

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields that the sides disagree on, with dotted names."""
        return self.merged({}).conflicts

    def merged(self, decided: Mapping[str, str]) -> merge.Merged:
        """Merge, with the given sides for fields in conflict."""
        return merge.merge_recipes(self.base, self.ours, self.theirs, decided=decided)


def in_conflict(bench: Workbench, path: bytes) -> InConflict | None:
    """Return the sides of a path whose text in the worktree has conflict markers; None for any other path. Raises
    FormatError (``conflict-markers``) if a side is not a valid recipe."""
    held = bench.held(path, digest=False)
    if held is None or held.text is None or not toml.has_conflict_markers(held.text):
        return None
    ancestor = bench.index.ancestor(path)
    text = None if ancestor is None else bench.blobs.read(ancestor.hex().encode(), toml.MAX_BYTES)
    try:
        ours, theirs = map(toml.decode, merge.sides_of(held.text))
    except RegenstoreError as error:
        shown = os.fsdecode(path)
        raise FormatError(
            "conflict-markers",
            f"{shown}: one side of the conflict is not a valid recipe: {error.message}",
            hint=f"Run 'regenstore edit {shown}', or take a whole side: 'git checkout --ours {shown}'.",
        ) from None
    return InConflict(toml.decode_or_none(text), ours, theirs)


def resolve(
    bench: Workbench,
    path: bytes,
    found: InConflict | None,
    params: Mapping[str, str],
    inputs: Mapping[str, bytes],
    ours: Sequence[str],
    theirs: Sequence[str],
    progress: Progress | None,
) -> Recipe | tuple[bytes, tuple[str, ...]]:
    """Return the resolved recipe, or, if fields stay in conflict, the text with their markers and their names. New
    values of parameters and inputs count on both sides. Raises InvalidInput (``no-change``) if there is no conflict."""
    if found is None:
        raise InvalidInput("no-change", f"{os.fsdecode(path)}: it is not in conflict")
    if params or inputs:
        sides = [
            recipe_writing.changed(bench, side, params, inputs, (), progress) for side in (found.ours, found.theirs)
        ]
        found = InConflict(found.base, *sides)
    merged = found.merged(choose(found, ours, theirs))
    if merged.conflicts:
        return merged.text, merged.conflicts
    return with_take_of_side(bench, path, toml.decode(merged.text))


def choose(found: InConflict, ours: Sequence[str], theirs: Sequence[str]) -> dict[str, str]:
    """Return the side that each named field takes. A name may leave out the table (``seed`` for ``params.seed``), name
    a table, or be a pattern (``*``). Raises InvalidInput (``bad-parameter``) for one that is not in conflict."""
    decided: dict[str, str] = {}
    for side, names in (("ours", ours), ("theirs", theirs)):
        for name in names:
            matching = [field for field in found.fields if _is_named(field, name)]
            if not matching:
                known = ", ".join(found.fields) or "none"
                raise InvalidInput("bad-parameter", f"no field '{name}' is in conflict (in conflict: {known})")
            decided.update(dict.fromkeys(matching, side))
    return decided


def _is_named(field: str, name: str) -> bool:
    if name == "take" and field == merge.TAKE:
        return True
    forms = (field, field.partition(".")[2])
    return any(fnmatchcase(form, name) or form.startswith(f"{name}.") for form in forms)


def with_take_of_side(bench: Workbench, path: bytes, recipe: Recipe) -> Recipe:
    """Return a resolved recipe with the take of the side that has the same key, if it has none itself."""
    if recipe.imported or recipe.output.named is not None:
        return recipe
    sides = (toml.decode_or_none(text) for text in bench.sides(path))
    same = (side for side in sides if side is not None and side.key == recipe.key and side.output.take is not None)
    return next((recipe.with_take_of(side) for side in same if side.output.name == recipe.output.name), recipe)


def texts(marked: bytes) -> tuple[bytes, ...]:
    """Return the texts of the sides of a conflict; none if the text has no markers."""
    return merge.sides_of(marked) if toml.has_conflict_markers(marked) else ()
