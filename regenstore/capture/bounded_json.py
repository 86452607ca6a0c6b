"""Parsing of untrusted JSON in bounded time and depth."""

from __future__ import annotations

import json
from typing import Any

from regenstore.objects.bounded import Unparsable

MAX_DEPTH = 200
MAX_VALUES = 1_000_000


def parse(text: str) -> Any:
    """Return the value of a JSON text. ``NaN`` and infinities are accepted, as the programs write them. Raises
    Unparsable, also for texts that are nested too deeply or have too many values."""
    if text.count(",") + text.count(":") > MAX_VALUES:
        raise Unparsable("it has too many values")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Unparsable(f"it is not JSON: {error}") from None
    if text.count("[") + text.count("{") > MAX_DEPTH:
        _check_depth(value)
    return value


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            item
            for holder in level
            for item in (holder.values() if type(holder) is dict else holder)
            if type(item) is dict or type(item) is list
        ]
        if not level:
            return
    raise Unparsable(f"it is nested more than {MAX_DEPTH} levels deep")
