"""JSON values as TOML values of a recipe, one to one.

Most values are the same in both. An array that begins with one of the words in :data:`WORDS` is no list of the graph:
``["param", "seed"]``, ``["model", "name"]`` and ``["lora", 0, "strength"]`` stand for a value that is written elsewhere
in the recipe, and ``["json", TEXT]`` for a value that a recipe cannot hold (null, NaN, text with lone surrogates, what
could be mistaken for the forms above). A string of digits beyond signed 64 bits is such an integer.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from regenstore.capture import bounded_json
from regenstore.errors import FormatError
from regenstore.objects.canonical import INT64_MAX, INT64_MIN

JSON = "json"
WORDS = frozenset({"param", "model", "lora", JSON})
MAX_NESTING = 16
"""Deeper values become JSON: a recipe has at most 32 levels."""
_DIGITS = re.compile(r"-?[1-9][0-9]{18,3999}")
_MARKERS = ("\n<<<<<<<", "\n>>>>>>>")

Reference = Callable[[list[Any]], Any]
"""What gives the value that an array such as ``["param", "seed"]`` stands for."""


def to_recipe(value: Any, depth: int = 0) -> Any:
    """Return the TOML value of a JSON value."""
    if value is None or depth > MAX_NESTING:
        return _as_json(value)
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        text = str(value)
        return value if INT64_MIN <= value <= INT64_MAX else text if _is_big(text) else _as_json(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else _as_json(value)
    if isinstance(value, str):
        return value if is_plain(value) and not _is_big(value) else _as_json(value)
    if isinstance(value, list):
        if value and isinstance(value[0], str) and value[0] in WORDS:
            return _as_json(value)
        return [to_recipe(item, depth + 1) for item in value]
    if all(map(is_plain, value)):
        return {name: to_recipe(item, depth + 1) for name, item in value.items()}
    return _as_json(value)


def from_recipe(value: Any, refer: Reference) -> Any:
    """Return the JSON value of a TOML value. Raises FormatError (``bad-recipe``)."""
    if isinstance(value, str):
        return int(value) if _is_big(value) else value
    if isinstance(value, Mapping):
        return {name: from_recipe(item, refer) for name, item in value.items()}
    if not isinstance(value, (list, tuple)):
        return value
    if value and isinstance(value[0], str) and value[0] in WORDS:
        return _read_json(list(value)) if value[0] == JSON else refer(list(value))
    return [from_recipe(item, refer) for item in value]


def same(one: Any, other: Any) -> bool:
    """Return whether two JSON values have one text: ``1``, ``1.0`` and ``true`` are different values."""
    if isinstance(one, (str, int)):
        return type(one) is type(other) and bool(one == other)
    return type(one) is type(other) and json.dumps(one) == json.dumps(other)


def _as_json(value: Any) -> list[str]:
    return [JSON, json.dumps(value)]


def _read_json(value: list[Any]) -> Any:
    try:
        (text,) = value[1:]
        return bounded_json.parse(text)
    except (ValueError, TypeError, AttributeError):
        raise FormatError("bad-recipe", f"expected a text of JSON after 'json', found {value[1:]!r:.60}") from None


def is_plain(text: str) -> bool:
    """Return whether a recipe can hold a text: UTF-8, and no line that looks like one of Git's conflict markers."""
    if "\n" in text and any(marker in f"\n{text}" for marker in _MARKERS):
        return False
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_big(text: str) -> bool:
    return bool(_DIGITS.fullmatch(text)) and not INT64_MIN <= int(text) <= INT64_MAX
