"""Parsing of untrusted JSON in bounded time and depth."""

from __future__ import annotations

import json
import re
from typing import Any

from regenstore.objects.bounded import Unparsable

MAX_DEPTH = 200
MAX_VALUES = 1_000_000
_STRING = re.compile(r'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
_BRACKET = re.compile(r"[\[\]{}]")


def parse(text: str) -> Any:
    """Return the value of a JSON text. ``NaN`` and infinities are accepted, as the programs write them. Raises
    Unparsable, also for texts that are nested too deeply or have too many values."""
    if text.count(",") + text.count(":") > MAX_VALUES:
        raise Unparsable("it has too many values")
    if text.count("[") + text.count("{") > MAX_DEPTH:
        _check_depth(text)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Unparsable(f"it is not JSON: {error}") from None


def _check_depth(text: str) -> None:
    depth = 0
    for found in _BRACKET.finditer(_STRING.sub("", text)):
        depth += 1 if found.group() in "[{" else -1
        if depth > MAX_DEPTH:
            raise Unparsable(f"it is nested more than {MAX_DEPTH} levels deep")
