"""Merges three recipes field by field.

A field that only one side changed, or that both sides changed to the same value, gets the new value. A field that they
changed to different values is in conflict, and only its lines get conflict markers. If the merged recipe has the key of
one side, it keeps that side's take. Otherwise it has no take: the medium is *wanted*, and is made like any missing one.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from regenstore.objects import toml
from regenstore.objects.recipe import Input, Output, Recipe

TAKE = "output.digest"
"""The name of the field in conflict if both sides made the same recipe again, with different takes."""
_GONE: Any = object()
_OF_TAKE = ("digest = ", "size = ", "seconds = ")


@dataclass(frozen=True)
class Merged:
    """``text`` has conflict markers exactly when ``conflicts`` names fields."""

    text: bytes
    conflicts: tuple[str, ...]


class _Choice:
    """Merges values, and collects the fields in conflict. ``decided`` maps fields to the side whose value they take,
    'ours' or 'theirs'; ``prefer`` decides for the others."""

    def __init__(self, prefer: str, decided: Mapping[str, str]) -> None:
        self.prefer = prefer
        self.decided = decided
        self.conflicts: list[str] = []

    def ours(self, name: str) -> bool:
        """Whether a field in conflict takes our value."""
        if name not in self.decided:
            self.conflicts.append(name)
        return self.decided.get(name, self.prefer) == "ours"

    def value(self, name: str, base: Any, ours: Any, theirs: Any) -> Any:
        if _same(ours, theirs) or _same(theirs, base):
            return ours
        if _same(ours, base):
            return theirs
        if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
            return self.table(name, base if isinstance(base, Mapping) else {}, ours, theirs)
        return ours if self.ours(name) else theirs

    def table(
        self, name: str, base: Mapping[str, Any], ours: Mapping[str, Any], theirs: Mapping[str, Any]
    ) -> dict[str, Any]:
        merged = {}
        for key in dict.fromkeys([*ours, *theirs, *base]):
            inner = f"{name}.{key}" if name else key
            value = self.value(inner, base.get(key, _GONE), ours.get(key, _GONE), theirs.get(key, _GONE))
            if value is not _GONE:
                merged[key] = value
        return merged


def _same(a: Any, b: Any) -> bool:
    """Equality as in recipe texts: unlike ``==``, it distinguishes true, 1 and 1.0, at any depth."""
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(_same(a[name], b[name]) for name in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(_same, a, b))
    return type(a) is type(b) and bool(a == b) and repr(a) == repr(b)


def merge_recipes(
    base: Recipe | None,
    ours: Recipe,
    theirs: Recipe,
    marker: int = 7,
    names: tuple[str, str] = ("ours", "theirs"),
    decided: Mapping[str, str] | None = None,
) -> Merged:
    """Merge three-way. ``base`` is None if both sides added the path. ``decided`` maps fields that both sides changed
    to the side whose value they take, 'ours' or 'theirs'."""
    sides = []
    conflicts: list[str] = []
    for prefer in ("ours", "theirs"):
        choice = _Choice(prefer, decided or {})
        sides.append(toml.encode(_merge(base, ours, theirs, choice)))
        conflicts = choice.conflicts
    if not conflicts:
        return Merged(sides[0], ())
    return Merged(_marked(sides[0], sides[1], marker, names), tuple(dict.fromkeys(conflicts)))


def _merge(base: Recipe | None, ours: Recipe, theirs: Recipe, choice: _Choice) -> Recipe:
    plain = choice.table("", _plain(base) if base else {}, _plain(ours), _plain(theirs))
    merged = toml.from_table(toml_table(plain, ours.imported or theirs.imported))
    return _with_take(merged, base, ours, theirs, choice)


def _plain(recipe: Recipe) -> dict[str, Any]:
    """A recipe as nested tables, without its take, which is decided afterwards."""
    table: dict[str, Any] = {"generator": recipe.generator, "version": recipe.version, **recipe.extra}
    if recipe.imported:
        table = dict(recipe.extra)
        if recipe.output.take is not None:  # imported bytes are a value like any other
            table["take"] = (recipe.output.take.digest, recipe.output.take.size)
    table["model"] = recipe.model
    table["params"] = recipe.params
    table["inputs"] = {name: _input(given) for name, given in recipe.inputs.items()}
    output = {"name": recipe.output.name, "media_type": recipe.output.media_type, **recipe.output.extra}
    return {**table, "output": output, "about": recipe.about}


def _input(given: Input) -> dict[str, Any]:
    return {"digest": str(given.digest), **({} if given.path is None else {"path": given.path}), **given.extra}


def toml_table(plain: dict[str, Any], imported: bool) -> dict[str, Any]:
    """The merged tables as a recipe document."""
    table = {"regenstore": 1, **plain}
    take = table.pop("take", None)
    if take is not None and "generator" not in table:
        table["output"] = {**table["output"], "digest": str(take[0]), "size": take[1]}
    return table


def _with_take(merged: Recipe, base: Recipe | None, ours: Recipe, theirs: Recipe, choice: _Choice) -> Recipe:
    if merged.imported:
        return merged
    alike = [side for side in (ours, theirs) if side.key == merged.key and side.output.name == merged.output.name]
    if not alike:
        return merged.with_take(None, None)
    if len(alike) == 1:
        return _take_of(merged, alike[0].output)
    previous = base.output.take if base is not None else None
    if ours.output.take == theirs.output.take and ours.output.outdated == theirs.output.outdated:
        # A cost never conflicts: if one side changed it, that value counts; if both did, the larger one.
        changed = [side.output for side in (ours, theirs) if base is None or side.output.seconds != base.output.seconds]
        chosen = max(changed or [ours.output], key=lambda output: output.seconds or 0)
        return _take_of(merged, chosen._replace(key=chosen.key or ours.output.key or theirs.output.key))
    # If one side dropped a take and the key is the same, the take still belongs to the recipe and is kept.
    if theirs.output.take is None or (ours.output.take is not None and theirs.output.take == previous):
        return _take_of(merged, ours.output)
    if ours.output.take in (previous, None):
        return _take_of(merged, theirs.output)
    return _take_of(merged, (ours if choice.ours(TAKE) else theirs).output)


def _take_of(merged: Recipe, output: Output) -> Recipe:
    """The merged recipe with a side's take, and the key that gave it: one unit."""
    return merged.with_take_of(replace(merged, output=output))


def _units(text: bytes) -> list[str]:
    """The lines of a text. All lines from the take's first one to the end of [output] count as one, so that resolving a
    conflict cannot select half of a take."""
    found: list[str] = []
    in_output = in_take = False
    for line in text.decode().splitlines(keepends=True):
        if line.startswith("[") or line == "\n":
            in_output, in_take = line == "[output]\n", False
        if in_take:
            found[-1] += line
        else:
            found.append(line)
            in_take = in_output and line.startswith(_OF_TAKE)
    return found


def _marked(ours: bytes, theirs: bytes, marker: int, names: tuple[str, str]) -> bytes:
    """Both texts combined, with conflict markers around the lines that differ."""
    a, b = _units(ours), _units(theirs)
    out: list[str] = []
    for tag, a1, a2, b1, b2 in difflib.SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        if tag == "equal":
            out += a[a1:a2]
        else:
            out += ["<" * marker + f" {names[0]}\n", *a[a1:a2], "=" * marker + "\n", *b[b1:b2]]
            out += [">" * marker + f" {names[1]}\n"]
    return "".join(out).encode()


def sides_of(text: bytes) -> tuple[bytes, bytes]:
    """Return our side and their side of a text with conflict markers. The base, which diff3-style markers show, is left
    out."""
    said: dict[str, list[bytes]] = {"ours": [], "base": [], "theirs": []}
    part = "both"
    for line in text.splitlines(keepends=True):
        if line.startswith(b"<<<<<<<") and part == "both":
            part = "ours"
        elif line.startswith(b"|||||||") and part == "ours":
            part = "base"
        elif line.rstrip() == b"=======" and part in ("ours", "base"):
            part = "theirs"
        elif line.startswith(b">>>>>>>") and part == "theirs":
            part = "both"
        else:
            for side in ("ours", "theirs") if part == "both" else (part,):
                said[side].append(line)
    return b"".join(said["ours"]), b"".join(said["theirs"])
