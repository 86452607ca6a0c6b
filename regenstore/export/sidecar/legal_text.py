"""Restrict text to what formats can hold: other characters are replaced in place, visibly."""

from __future__ import annotations

import re

REPLACEMENT = "�"

# The characters outside XML 1.0's production [2] Char; lone surrogates have no UTF-8 either. The control characters
# 7F-9F (without NEL), which XML only discourages, are included: Adobe's parser turns some into spaces.
_NOT_XML = re.compile("[^\t\n\r\u0020-\u007e\u0085\u00a0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def xml_legal(text: str) -> tuple[str, bool]:
    """Replace each character that XML 1.0 forbids or discourages by U+FFFD; also returns whether there was one."""
    legal = _NOT_XML.sub(REPLACEMENT, text)
    return legal, legal != text


def one_line(text: str) -> tuple[str, bool]:
    """Replace each line end, tab and control character by a space; also returns whether there was one."""
    flat = "".join(" " if ord(c) < 32 or 127 <= ord(c) < 160 or c in "\u2028\u2029" else c for c in text)
    return flat, flat != text


def path_refusal(path: str) -> str | None:
    """Why a table cell cannot hold a path so that the file can be found again, or None."""
    if one_line(path)[1] or not is_utf8(path):
        return "its path has control characters, or bytes that are not UTF-8, which a table cell cannot hold"
    return None


def is_utf8(path: str) -> bool:
    """Whether a path is valid UTF-8."""
    return not re.search("[\ud800-\udfff]", path)


def json_legal(text: str) -> str:
    """Replace NUL, at which OpenTimelineIO truncates text, and lone surrogates, which have no encoding, by U+FFFD."""
    return re.sub("[\0\ud800-\udfff]", REPLACEMENT, text)
