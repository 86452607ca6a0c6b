"""A JSON value as lines of text that a recipe holds without showing it: compact JSON, zlib, base64."""

from __future__ import annotations

import base64
import json
import zlib
from typing import Any

from regenstore.capture import bounded_json
from regenstore.errors import FormatError

FORMAT = "json zlib base64"
MAX_PLAIN = 32 << 20
_LINE = 96


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
