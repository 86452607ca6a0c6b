"""Conditions that select the samples of a dataset; each reports how many samples it excluded.

Plain conditions are values of this module. Expressions are CEL (the Common Expression Language), evaluated by a
library: no loops, no side effects, and no names but a row's columns.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from regenstore.errors import InvalidInput, NotFound
from regenstore.export.dataset.row import COLUMNS, TYPES, Row

LONGEST = 4096
"""Longest expression, in characters."""
NESTED = 2
"""Deepest nesting of macros over lists (``exists``, ``all``, ``map`` …): each level multiplies the work."""
_MACROS = ("exists", "all", "exists_one", "existsOne", "filter", "map", "transformList", "transformMap")
_CALLS = tuple("." + macro for macro in _MACROS)
_LITERAL = re.compile(r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*\"""")
NAMES = tuple(column.name for column in COLUMNS if column.name not in ("split", "group", "faces"))
"""Names allowed in expressions; ``params`` and ``about`` are maps there."""


@dataclass(frozen=True)
class Condition:
    """A condition. ``shown`` is the user's text; ``holds`` evaluates a row, and is False if the row lacks the value."""

    shown: str
    holds: Callable[[Row], bool]
    early: bool = False
    """Whether the recipe alone decides, so that nothing is made for excluded samples."""
    numbers: tuple[str, ...] = ()
    """The numeric columns that it compares, which may be unknown."""

    def lacks(self, row: Row) -> bool:
        """Whether the row lacks a number that this compares."""
        return any(row[name] is None for name in self.numbers)


@dataclass(frozen=True)
class Limits:
    """The plain conditions, as command options."""

    kind: str | None = None
    min_quality: Sequence[tuple[str, float]] = ()
    max_quality: Sequence[tuple[str, float]] = ()
    scenes: Sequence[str] = ()
    scene_types: Sequence[str] = ()
    characters: Sequence[str] = ()
    tags: Sequence[str] = ()
    without_tags: Sequence[str] = ()
    without_failures: Sequence[str] = ()
    """Failure tags; ``*`` means any."""
    generators: Sequence[str] = ()
    models: Sequence[str] = ()
    min_rating: float | None = None
    min_duration: float | None = None
    max_duration: float | None = None
    min_size: Sequence[int] = ()
    """Width and height."""
    max_bytes: int | None = None
    proven: bool = False
    select: Sequence[str] = ()


_LABELS = ("quality", "rating")
_HIGH = (*_LABELS, "face_confidence")
_LOW = ("blur", "blockiness", "black", "frozen")
SCORES = ("quality", "rating", "motion", "blur", "blockiness", "black", "frozen", "face_confidence", "face_count")
"""Columns allowed in ``--min-quality NAME=VALUE`` and ``--max-quality``."""


def conditions(limits: Limits) -> list[Condition]:
    """The conditions in the order in which they are applied. Raises InvalidInput (``bad-export``) for an invalid
    expression or an unknown score."""
    found: list[Condition] = []

    def among(option: str, column: str, wanted: Sequence[str]) -> None:
        if wanted:
            found.append(
                Condition(f"{option} {' '.join(wanted)}", lambda row: bool({*wanted} & {*_listed(row[column])}), True)
            )

    def bound(option: str, column: str, value: float | None, *, above: bool) -> None:
        if value is not None:
            found.append(
                Condition(
                    f"{option} {value:g}",
                    lambda row: _within(row[column], value, above),
                    column in _LABELS,
                    (column,),
                )
            )

    if limits.kind:
        wanted = limits.kind + "/"
        found.append(Condition(f"--kind {limits.kind}", lambda row: str(row["media_type"]).startswith(wanted), True))
    among("--scene", "scene", limits.scenes)
    among("--scene-type", "scene_type", limits.scene_types)
    among("--character", "characters", limits.characters)
    among("--tag", "tags", limits.tags)
    among("--generator", "generator", limits.generators)
    among("--model", "model", limits.models)
    if limits.without_tags:
        found.append(_without("--without-tag", "tags", limits.without_tags))
    if limits.without_failures:
        found.append(_without("--without-failure", "failure_tags", limits.without_failures))
    for option, scores in (("--min-quality", limits.min_quality), ("--max-quality", limits.max_quality)):
        for name, value in scores:
            _refuse_score(option, name, value)
            bound(option if name == "quality" else f"{option} {name}", name, value, above=option == "--min-quality")
    bound("--min-rating", "rating", limits.min_rating, above=True)
    bound("--min-duration", "duration", limits.min_duration, above=True)
    bound("--max-duration", "duration", limits.max_duration, above=False)
    bound("--max-bytes", "size", limits.max_bytes, above=False)
    if limits.min_size:
        width, height = limits.min_size
        found.append(
            Condition(
                f"--min-size {width}x{height}",
                lambda row: _within(row["width"], width, True) and _within(row["height"], height, True),
            )
        )
    if limits.proven:
        found.append(Condition("--proven", lambda row: row["proof"] in ("exact", "equivalent")))
    found += [expression(text) for text in limits.select]
    return found


def _refuse_score(option: str, name: str, value: float) -> None:
    """Refuse an unknown score, and a bound that would keep the worst of it."""
    if name not in SCORES:
        raise InvalidInput("bad-export", f"there is no score '{name}' (there are: {', '.join(SCORES)})")
    better, other, sign = (
        ("lower", "--max-quality", ">=") if option == "--min-quality" else ("higher", "--min-quality", "<=")
    )
    if name in (_LOW if better == "lower" else _HIGH):
        raise InvalidInput(
            "bad-export", f"{option} {name}={value:g} would keep the worst: {name} is better the {better} it is",
            hint=f"Use {other} {name}={value:g}; if you do mean it, --select '{name} {sign} {value}'.",
        )  # fmt: skip


def _listed(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else () if value is None else (value,)


def _within(value: Any, bound: float, above: bool) -> bool:
    return value is not None and (value >= bound if above else value <= bound)


def _without(option: str, column: str, unwanted: Sequence[str]) -> Condition:
    def holds(row: Row) -> bool:
        return not ({*unwanted} & {*row[column]}) and not ("*" in unwanted and row[column])

    return Condition(f"{option} {' '.join(unwanted)}", holds, True)


def expression(text: str) -> Condition:
    """A condition from a CEL expression over the columns. Raises InvalidInput (``bad-export``) for one that is
    invalid, too large, or refers to an unknown column; and during evaluation, for one that does not return a
    boolean.

    Unknown text is empty, and a comparison with an unknown number is false, unless the expression mentions ``null``."""
    program = _compiled(text)
    with_null = re.search(r"\bnull\b", _LITERAL.sub("", text)) is not None

    def holds(row: Row) -> bool:
        values: dict[str, Any] = {}
        for name in NAMES:
            value = row[name]
            if value is None and not with_null:
                if TYPES[name] != "string":
                    continue  # in CEL, a missing value within || is not an error if the other side is true
                value = ""
            values[name] = json.loads(value) if name in ("params", "about") else value
        try:
            answer = program.execute(values)
        except (KeyError, TypeError, ValueError, RuntimeError):
            return False  # this sample lacks a value that it uses
        if not isinstance(answer, bool):
            raise _wrong(text, f"it gives {type(answer).__name__}, not true or false")
        return answer

    numbers = () if with_null else tuple(n for n in program.variables() if TYPES.get(n) in ("int", "float"))
    return Condition(f"--select {text}", holds, numbers=numbers)


def _compiled(text: str) -> Any:
    if len(text) > LONGEST:
        raise _wrong(text, f"it is longer than {LONGEST} characters")
    if _depth(text) > NESTED:
        raise _wrong(text, f"lists are gone through more than {NESTED} deep")
    try:
        import cel
    except ImportError:
        raise NotFound(
            "extra-missing",
            "expressions need the package common-expression-language",
            hint="Run: pip install 'regenstore[dataset]'",
        ) from None
    try:
        program = cel.compile(text)
    except ValueError as error:
        raise _wrong(text, " ".join(str(error).partition("ERROR:")[2].split())[:300] or "it cannot be read") from None
    bound = {name for macro in _MACROS for name in _bound(text, macro)}
    for name in program.variables():
        if name not in NAMES and name not in bound:
            near = difflib.get_close_matches(name, NAMES, n=1)
            raise _wrong(text, f"there is no column '{name}'" + (f"; did you mean '{near[0]}'?" if near else ""))
    return program


def _bound(text: str, macro: str) -> list[str]:
    """The names that macros bind: the first word after their bracket."""
    return [part.split(",")[0].strip() for part in text.split(f".{macro}(")[1:]]


def _depth(text: str) -> int:
    """Nesting depth of macros over lists, determined from brackets outside literals."""
    bare = _LITERAL.sub("", text)
    deepest, opened = 0, [False]
    for at, mark in enumerate(bare):
        if mark == "(":
            opened.append(bare[:at].rstrip().endswith(_CALLS))
            deepest = max(deepest, sum(opened))
        elif mark == ")" and len(opened) > 1:
            opened.pop()
    return deepest


def _wrong(text: str, why: str) -> InvalidInput:
    shown = text if len(text) <= 80 else text[:77] + "…"
    return InvalidInput("bad-export", f"--select {shown}: {why}", hint=f"The columns are: {', '.join(NAMES)}.")
