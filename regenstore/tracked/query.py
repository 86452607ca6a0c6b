"""The expressions of ``regenstore find``: ``seed=42``, ``prompt~lighthouse``, ``model=sdxl*``, ``size>=1024``."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from fnmatch import translate
from operator import ge, gt, le, lt
from typing import NamedTuple

from regenstore.errors import InvalidInput
from regenstore.objects.search_text import MARK

_FORM = re.compile(r"([A-Za-z_][\w. -]*?)(\?$|!=|<=|>=|=|~|<|>)(.*)", re.DOTALL)
_FILES = ("model", "lora", "input", "file", "path")
"""Names whose values are file names: a pattern may match the part after the last ``/``."""
_PLAIN = re.compile("[A-Za-z0-9 _-]+")
_WHOLE = re.compile(r"[1-9]\d{0,14}", re.ASCII)
"""Numbers that JSON writes with these digits first, whether they are integers or not."""
_NUMBER = re.compile(r"(?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?) ?(?P<unit>[kKmMgGtT]?[bB]|[kKmMgGtT])?")
_NOT_WHOLE = re.compile("[.eE]")
_DIGITS = 40
_UNITS = {"b": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_EXAMPLES = "Examples: seed=42, 'prompt~light house', 'model=sdxl*', 'size>=1024', 'lora?'."
_LONGEST = 1000


class Expression(NamedTuple):
    """One condition on the values that a name has in a recipe."""

    shown: str
    name: str
    holds: Callable[[str], bool]
    """Whether a value fits, given as text (see :mod:`regenstore.objects.search_text`)."""
    negated: bool = False
    """Whether it asks for recipes in which no value fits."""
    parts: tuple[str, ...] = ()
    """If any: the search text of every recipe that it matches has one of them, but for the case of letters."""


def is_expression(argument: str) -> bool:
    """Return whether an argument has the form of an expression, and not of a path."""
    return _FORM.fullmatch(argument) is not None


def expression(argument: str) -> Expression:
    """Parse an expression. Raises InvalidInput (``bad-parameter``)."""
    found = _FORM.fullmatch(argument)
    if found is None or len(argument) > _LONGEST:
        raise InvalidInput("bad-parameter", f"{argument[:80]!r} is not an expression", hint=_EXAMPLES)
    name, operator, given = found[1].strip(), found[2], found[3]
    if len(given) > 1 and given[0] == given[-1] == '"':
        given = given[1:-1]
    if operator == "?":
        return Expression(argument, name, lambda text: True)
    if operator == "~":
        parts = () if _is_regular(given) else _parts(given)
        return Expression(argument, name, _containing(argument, given), parts=parts)
    if operator in ("=", "!="):
        equal = operator == "="
        if _WHOLE.fullmatch(given):
            parts = (f"{name}{MARK}{given}", f'{name}{MARK}"{given}')
        else:
            parts = () if _number(given, _UNITS) is not None else _parts(given)
        return Expression(argument, name, _equal(name, given), not equal, parts if equal else ())
    return Expression(argument, name, _compared(argument, operator, given))


def _is_regular(given: str) -> bool:
    return len(given) > 2 and given[0] == given[-1] == "/"


def _parts(given: str) -> tuple[str, ...]:
    """The beginning of a pattern without signs, if a search text has it as it is."""
    plain = _PLAIN.match(given)
    return (plain[0],) if plain is not None else ()


def _containing(shown: str, given: str) -> Callable[[str], bool]:
    if _is_regular(given):
        try:
            search = re.compile(given[1:-1], re.IGNORECASE).search
        except re.error as error:
            raise InvalidInput("bad-parameter", f"{shown}: not a regular expression: {error}", hint=_EXAMPLES) from None
        return lambda text: search(text) is not None
    part = given.casefold()
    return lambda text: part in text.casefold()


def _equal(name: str, given: str) -> Callable[[str], bool]:
    number = _number(given, _UNITS)
    folded = given.casefold()
    if number is not None:
        return lambda text: text == given or _number(text) == number or text.casefold() == folded
    fits = re.compile(translate(folded)).match
    if name.rpartition(".")[2] not in _FILES:
        return lambda text: fits(text.casefold()) is not None

    def file_fits(text: str) -> bool:
        whole = text.casefold()
        return fits(whole) is not None or fits(whole.rpartition("/")[2]) is not None

    return file_fits


def _compared(shown: str, operator: str, given: str) -> Callable[[str], bool]:
    bound = _number(given, _UNITS)
    if bound is None:
        raise InvalidInput("bad-parameter", f"{shown}: {given!r} is not a number", hint=_EXAMPLES)
    order = {"<": lt, "<=": le, ">": gt, ">=": ge}[operator]
    return lambda text: (number := _number(text)) is not None and order(number, bound)


def _number(text: str, units: Mapping[str, int] = {}) -> int | float | None:
    """The number that a text spells, perhaps with a unit as in ``10MB``."""
    if text.isascii() and text.isdigit() and len(text) <= _DIGITS:
        return int(text)
    found = _NUMBER.fullmatch(text) if text.isascii() and len(text) <= _DIGITS else None
    if found is None or (found["unit"] and not units):
        return None
    number = (float if _NOT_WHOLE.search(found["number"]) else int)(found["number"])
    return number * units[found["unit"][0].lower()] if found["unit"] else number
