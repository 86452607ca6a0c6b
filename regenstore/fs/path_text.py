"""Paths as UTF-8 text, for JSON, URLs and databases.

A path is bytes and need not be UTF-8. ``path_text`` gives the one form in which a path is written to JSON; it is
reversible. A path that is UTF-8 and does not begin with a double quote is written as it is; any other is quoted the
way Git quotes paths (``core.quotePath=false``): in double quotes, with ``\\"``, ``\\\\``, ``\\n`` and so on, and each
byte that is not UTF-8 as a backslash and three octal digits. ``K\\xf6ln.wav`` in Latin-1 becomes ``"K\\366ln.wav"``,
quotes included.

Within the program a path is bytes, or text as returned by ``os.fsdecode``.
"""

from __future__ import annotations

import os
import re
from typing import Any

_LETTERS = {7: "a", 8: "b", 9: "t", 10: "n", 11: "v", 12: "f", 13: "r", 34: '"', 92: "\\"}
_BYTES = {letter: byte for byte, letter in _LETTERS.items()}
_ESCAPE = re.compile(rb'\\([abtnvfr"\\]|[0-3][0-7][0-7])')


def path_text(path: bytes | str) -> str:
    """Return a path as UTF-8 text, which ``path_of`` turns back into the same bytes."""
    raw = os.fsencode(path)
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return _quoted(raw)
    return _quoted(raw) if text.startswith('"') else text


def path_of(text: str) -> bytes:
    """Return the path that ``path_text`` encoded. Raises ValueError for text that it never produces."""
    if not text.startswith('"'):
        return text.encode()
    if len(text) < 2 or not text.endswith('"'):
        raise ValueError(f"{text!r} is not a quoted path")
    raw = _ESCAPE.sub(_byte, text[1:-1].encode())
    if path_text(raw) != text:
        raise ValueError(f"{text!r} is not a quoted path")
    return raw


def utf8_only(value: Any) -> Any:
    """Return a JSON value with every string that UTF-8 cannot encode quoted like a path."""
    if isinstance(value, str):
        return value if value.isascii() or _is_utf8(value) else _quoted(_raw(value))
    if isinstance(value, dict):
        return {utf8_only(name): utf8_only(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [utf8_only(item) for item in value]
    return value


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _raw(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # other lone surrogates, which never occur in a path: the three bytes of each
        return text.encode("utf-8", "surrogatepass")


def _quoted(raw: bytes) -> str:
    shown = []
    for c in raw.decode("utf-8", "surrogateescape"):
        code = ord(c)
        if code in _LETTERS:
            shown.append("\\" + _LETTERS[code])
        elif code < 0x20 or code == 0x7F:
            shown.append(f"\\{code:03o}")
        else:
            shown.append(f"\\{code - 0xDC00:03o}" if 0xDC80 <= code <= 0xDCFF else c)
    return '"' + "".join(shown) + '"'


def _byte(match: re.Match[bytes]) -> bytes:
    escaped = match[1]
    return bytes([_BYTES[escaped.decode()] if len(escaped) == 1 else int(escaped, 8)])
