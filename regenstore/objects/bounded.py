"""Parsing of untrusted TOML in bounded time: documents that would take too long are refused before parsing.

The parser's time grows with each key, table, array item and escape, and with the square of a dotted key's length.
A document's *weight* estimates it: its bytes, plus a cost for each character that causes work (docs/format.md).
"""

from __future__ import annotations

import re
from typing import Any

MAX_BYTES = 4 << 20
MAX_WEIGHT = 5 << 20
MAX_DEPTH = 32
_HEAVY = ((b"=", 192), (b"[", 48), (b"{", 48), (b",", 72), (b".", 72), (b"\n", 24))
_HEADER, _HEADER_WEIGHT = re.compile(rb"^[ \t]*\[", re.MULTILINE), 144
_ESCAPE = 12
_STRING_OR_COMMENT = re.compile(
    rb'"""(?:\\.|[^\\"]++|"(?!""))*+(?:""")?|'
    rb"'''.*?(?:'''|\Z)|"
    rb'"(?:\\.|[^"\\\n])*+"?|'
    rb"'[^'\n]*+'?|#[^\n]*+",
    re.DOTALL,
)
_DEEP_KEY = re.compile(rb"(?:[^\s.=\[\]{},]++[ \t]*\.[ \t]*){%d,}" % MAX_DEPTH)


class Unparsable(ValueError):
    """Why a text cannot be parsed: it is malformed, or exceeds a limit."""


def tables(data: bytes) -> dict[str, Any]:
    """Parse a TOML document. Raises Unparsable."""
    check_weight(data)
    if data.count(b".") >= MAX_DEPTH and _DEEP_KEY.search(_STRING_OR_COMMENT.sub(b"_", data)):
        raise Unparsable(too_deep())
    import tomllib  # slow to import

    try:
        found_tables = tomllib.loads(data.decode())
    except UnicodeDecodeError as error:
        raise Unparsable(f"it is not UTF-8 (byte {error.start})") from None
    except tomllib.TOMLDecodeError as error:
        raise Unparsable(f"it is not valid TOML: {error}") from None
    except RecursionError:
        raise Unparsable(too_deep()) from None
    except ValueError as error:
        # tomllib lets some of Python's own errors through (absurd dates, 5,000-digit integers).
        raise Unparsable(f"it is not valid TOML: {type(error).__name__}") from None
    check_depth(found_tables)
    return found_tables


def check_weight(data: bytes) -> None:
    """Raise Unparsable for a document that is too long, or would be too much work to parse."""
    if len(data) > MAX_BYTES:
        raise Unparsable(f"it is {len(data)} bytes long; at most {MAX_BYTES} are allowed")
    if _at_most(data) > MAX_WEIGHT and (found := weight(data)) > MAX_WEIGHT:
        raise Unparsable(f"it has too many keys, tables, items or escapes (weight {found} of {MAX_WEIGHT})")


def weight(data: bytes) -> int:
    """Return how much work a text is to parse."""
    bare = _STRING_OR_COMMENT.sub(b"_", data)
    headers = sum(1 for _ in _HEADER.finditer(bare))
    return _counted(bare) + _HEADER_WEIGHT * headers + len(data) + _ESCAPE * data.count(b"\\")


def _at_most(data: bytes) -> int:
    """Return an upper bound of the weight, quickly: it also counts characters inside strings and comments."""
    return _counted(data) + _HEADER_WEIGHT * data.count(b"[") + len(data) + _ESCAPE * data.count(b"\\")


def _counted(data: bytes) -> int:
    return sum(each * data.count(character) for character, each in _HEAVY)


def check_depth(value: object, depth: int = 0) -> None:
    """Raise Unparsable if tables and arrays are nested beyond the limit."""
    if isinstance(value, (dict, list)):
        if depth >= MAX_DEPTH:
            raise Unparsable(too_deep())
        for item in value.values() if isinstance(value, dict) else value:
            check_depth(item, depth + 1)


def too_deep() -> str:
    return f"it is nested more than {MAX_DEPTH} levels deep"
