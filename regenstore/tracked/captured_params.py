"""Changing captured recipes whose generator is not installed here: values keep the types that the program gave them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from regenstore.errors import InvalidInput

_WORDS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
_INT64 = range(-(2**63), 2**63)


def changed(params: Mapping[str, Any], values: Mapping[str, str], remove: Iterable[str]) -> dict[str, Any]:
    """Return parameters with some set to values typed by a user, and others removed. Raises InvalidInput:
    ``unknown-parameter`` for a name that the recipe does not have, ``bad-parameter`` for a value of another type."""
    merged = dict(params)
    for name in remove:
        if name not in merged:
            raise InvalidInput("no-change", f"the recipe does not set '{name}'")
        del merged[name]
    if "nodes" in params:
        from regenstore.capture.graphs.assignment import assign, present

        for name, text in values.items():
            merged = assign(merged, name, parsed(name, text, present(merged, name)))
        return merged
    for name, text in values.items():
        if name not in merged:
            known = ", ".join(each for each, value in params.items() if not isinstance(value, dict))
            raise InvalidInput(
                "unknown-parameter",
                f"the recipe has no parameter '{name}' (it has: {known})",
                hint="'regenstore edit PATH' can add one.",
            )
        value = parsed(name, text, merged[name])
        beyond = isinstance(value, int) and not isinstance(value, bool) and value not in _INT64
        merged[name] = str(value) if beyond else value
    return merged


def parsed(name: str, text: str, present: object) -> Any:
    """Parse a value typed by a user to the type of the present one. Raises InvalidInput (``bad-parameter``)."""
    if isinstance(present, bool):
        if text.strip().lower() in _WORDS:
            return _WORDS[text.strip().lower()]
        raise _bad(name, "true or false", text)
    if isinstance(present, (int, float)) or (isinstance(present, str) and present.lstrip("-").isdigit()):
        number = _number(text)
        if number is None:
            raise _bad(name, "a number", text)
        return number
    if isinstance(present, str):
        return text
    raise InvalidInput(
        "bad-parameter",
        f"parameter '{name}' is a {'list' if isinstance(present, list) else 'table'}",
        hint="Change it with 'regenstore edit PATH'.",
    )


def _number(text: str) -> int | float | None:
    try:
        return int(text)
    except ValueError:
        pass
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _bad(name: str, expected: str, found: str) -> InvalidInput:
    return InvalidInput("bad-parameter", f"parameter '{name}': expected {expected}, found {found!r}")
