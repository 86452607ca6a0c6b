"""A JSON value as lines of text that a recipe holds without showing it: compact JSON, zlib, base64."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping
from typing import Any

from regenstore.capture import bounded_json
from regenstore.errors import FormatError

FORMAT = "json zlib base64"
MAX_TEXT = 1 << 20
"""A longer packed text is left out of the recipe."""
MAX_PLAIN = 32 << 20
_LINE = 96


def table(document: Any) -> dict[str, Any] | None:
    """Return the entries of ``[workflow]`` that hold a JSON value; None if they would be too long."""
    text = pack(document)
    return {"format": FORMAT, "data": text} if len(text) <= MAX_TEXT else None


def document(table: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON object in ``[workflow]``. Raises FormatError (``bad-recipe``)."""
    if table.get("format") != FORMAT:
        raise FormatError("bad-recipe", f"expected 'format = \"{FORMAT}\"' in [workflow]")
    found = unpack(str(table.get("data")))
    if not isinstance(found, dict):
        raise FormatError("bad-recipe", "'data' in [workflow] is not what was packed")
    return found


def pack(value: Any) -> str:
    """Return the text of a JSON value; equal values give equal texts."""
    plain = json.dumps(value, separators=(",", ":")).encode()
    text = base64.b64encode(zlib.compress(plain, 9)).decode()
    return "".join(f"{text[start : start + _LINE]}\n" for start in range(0, len(text), _LINE))


def unpack(text: str) -> Any:
    """Return the JSON value of a text, in bounded memory. Raises FormatError (``bad-recipe``)."""
    try:
        plain = zlib.decompressobj().decompress(base64.b64decode(text), MAX_PLAIN + 1)
        if len(plain) > MAX_PLAIN:
            raise ValueError(f"it is longer than {MAX_PLAIN} bytes")
        return bounded_json.parse(plain.decode())
    except (ValueError, zlib.error) as error:
        raise FormatError("bad-recipe", f"'data' in [workflow] cannot be read: {error}") from None
