"""Text that every format can carry: what a format cannot hold is replaced where it stands, visibly."""

from __future__ import annotations

import re

REPLACEMENT = "�"

# XML 1.0, production [2] Char, as the characters outside it; lone surrogates have no UTF-8 either. The control
# characters 7F-9F (without NEL), which XML only discourages, go too: Adobe's parser makes spaces of some.
_NOT_XML = re.compile("[^\t\n\r\u0020-\u007e\u0085\u00a0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def xml_legal(text: str) -> tuple[str, bool]:
    """The text with U+FFFD for each character that XML 1.0 does not allow or discourages, and whether there was one."""
    legal = _NOT_XML.sub(REPLACEMENT, text)
    return legal, legal != text


def xml_escape(text: str) -> str:
    """A legal text for an XML element or a double-quoted attribute; all line ends and tabs survive parsers."""
    for raw, quoted in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;"), ("\r", "&#13;")):
        text = text.replace(raw, quoted)
    return text


def xml_attribute(text: str) -> str:
    """The same inside a double-quoted attribute, where parsers turn line ends and tabs into spaces."""
    return xml_escape(text).replace("\n", "&#10;").replace("\t", "&#9;")


def one_line(text: str) -> tuple[str, bool]:
    """The text with a space for each line end, tab and control character, and whether there was one."""
    flat = "".join(" " if ord(c) < 32 or 127 <= ord(c) < 160 or c in "\u2028\u2029" else c for c in text)
    return flat, flat != text


def path_refusal(path: str) -> str | None:
    """Why a table of lines and cells cannot hold a path from which the file is to be found again, or None."""
    if one_line(path)[1] or not is_utf8(path):
        return "its path has control characters, or bytes that are not UTF-8, which no cell can hold"
    return None


def is_utf8(path: str) -> bool:
    """Whether a path is text, and has no bytes that are none."""
    return not re.search("[\ud800-\udfff]", path)


def json_legal(text: str) -> str:
    """The text with U+FFFD for each NUL, at which OpenTimelineIO ends a text that it writes, and for each lone
    surrogate, which no encoding has."""
    return re.sub("[\0\ud800-\udfff]", REPLACEMENT, text)
