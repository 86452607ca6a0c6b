"""Labels: metadata of a medium in its recipe's ``[about]``. They are not part of its key: nothing is made again."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from regenstore.errors import InvalidInput
from regenstore.fs.swap import Seen
from regenstore.objects.attribution import OF_ONE_TAKE
from regenstore.objects.recipe import Recipe
from regenstore.objects.result import Content
from regenstore.tracked import recipe_writing
from regenstore.tracked.workbench import Workbench

LISTS = ("characters", "tags", "failure_tags")
NUMBERS = ("rating", "quality")
_OURS = OF_ONE_TAKE | {"edited_from"}
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")


def labelled(recipe: Recipe, settings: Iterable[str], remove: Iterable[str]) -> Recipe:
    """Return the recipe with labels set by ``NAME=VALUE`` (``NAME+=VALUE`` and ``NAME-=VALUE`` for items of a list) and
    others removed. Raises InvalidInput (``bad-parameter``)."""
    about: dict[str, Any] = dict(recipe.about)
    for name in remove:
        if _checked(name) not in about:
            raise InvalidInput("no-change", f"there is no label '{name}'")
        del about[name]
    for setting in settings:
        left, separator, value = setting.partition("=")
        change = left[-1:] if left[-1:] in ("+", "-") else ""
        name = _checked(left.removesuffix(change))
        if not separator:
            raise InvalidInput("bad-parameter", f"expected a label as NAME=VALUE, found {setting!r}")
        if name in LISTS or change:
            about[name] = _listed(name, about.get(name), change, value)
        else:
            about[name] = _number(name, value) if name in NUMBERS else value
    return replace(recipe, about=about)


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name) or name in _OURS:
        raise InvalidInput("bad-parameter", f"{name!r} is not a label name", hint="Use letters, digits, '_' and '-'.")
    return name


def _listed(name: str, before: object, change: str, value: str) -> list[Any]:
    given = list(dict.fromkeys(part.strip() for part in value.split(",") if part.strip()))
    if not change:
        return given
    kept = before if isinstance(before, list) else [] if before is None else [before]
    if change == "+":
        return [*kept, *(each for each in given if each not in kept)]
    if missing := [each for each in given if each not in kept]:
        raise InvalidInput("no-change", f"'{name}' has no {missing[0]!r}")
    return [each for each in kept if each not in given]


def _number(name: str, value: str) -> float | int:
    try:
        found = float(value)
    except ValueError:
        found = math.nan
    if not math.isfinite(found):
        raise InvalidInput("bad-parameter", f"'{name}' is a number, not {value!r}")
    return int(found) if found.is_integer() and abs(found) < 2**53 else found


def label(
    bench: Workbench, paths: Sequence[bytes], settings: Sequence[str], remove: Sequence[str], *, dry_run: bool = False
) -> list[bytes]:
    """Write labels into the recipes at paths, in the worktree; returns those that changed. The media stay unchanged.
    All paths are checked before the first is written; a dry run only returns them."""
    planned: list[tuple[bytes, Recipe, Seen]] = []
    for path in paths:
        bench.require_tracked(path)
        was = bench.seen(path)
        before = bench.current(path)
        after = labelled(before, settings, remove)
        if after != before:
            planned.append((path, after, was))
    for path, recipe, was in () if dry_run else planned:
        held = bench.held(path)
        if held is None or held.digest is None:
            recipe_writing.write_text(bench, path, recipe, was)
        else:
            content = Content(held.digest, held.size, recipe.output.media_type)
            recipe_writing.adopt_take(bench, path, recipe, content, recipe.output.seconds, was)
    return [path for path, _, _ in planned]
