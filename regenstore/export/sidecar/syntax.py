"""Check that the output of a user's text template can be parsed, by the rules of its file's format.

XML and JSON are parsed; in Nuke and After Effects scripts, brackets and quotes must match. This catches prompts that
were inserted without the filter for the format.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from regenstore.export.sidecar.xml_document import parse

_PAIRS = {")": "(", "]": "[", "}": "{"}
_TCL_TOP = re.compile(r'(?m:^[ \t]*#.*$)|(?<!\S)"(?:[^"\\]|\\.)*"|\\.|[{}]', re.DOTALL)
_TCL_INSIDE = re.compile(r"\\.|[{}]", re.DOTALL)
_QUOTED = re.compile(r"""//[^\n]*|/\*.*?\*/|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\.)*`""", re.DOTALL)
_REGEX = re.compile(r"/(?![*/])(?:[^/\\\n\[]|\\.|\[(?:[^\]\\\n]|\\.)*\])+/\w*")
_WORD = re.compile(r"[\w$]+")
# After a value, a slash is a division; after these, it begins a regular expression.
_NO_VALUE = frozenset([*"(,=:[!&|?{};+-*%~^<>", "", "return", "typeof", "case", "in", "void", "delete"])


def problems(data: bytes, name: str) -> list[str]:
    """The syntax errors in a text; empty if there are none, or if the format is not checked."""
    try:
        if name.endswith((".xml", ".xmp", ".fcpxml")):
            parse(data)
        elif name.endswith((".json", ".otio", ".mgjson")):
            json.loads(data)
        elif name.endswith(".nk"):
            return [f"not a valid script: {each}; prompts need the filter tcl" for each in _tcl(data.decode())]
        elif name.endswith((".jsx", ".js")):
            return [f"not a valid script: {each}; prompts need the filter js" for each in _javascript(data.decode())]
    except (ValueError, RecursionError) as error:
        return [f"not well-formed: {error}"]
    return []


def _line(text: str, at: int) -> str:
    return f"line {text.count(chr(10), 0, at) + 1}"


def _tcl(text: str) -> Iterator[str]:
    """The first brace that does not match. Within braces Tcl counts only braces, including those in quotes."""
    opened: list[int] = []
    at = 0
    while found := (_TCL_INSIDE if opened else _TCL_TOP).search(text, at):
        at = found.end()
        if found[0] == "{":
            opened.append(found.start())
        elif found[0] == "}":
            if not opened:
                yield f"{_line(text, found.start())}: unmatched closing brace"
                return
            opened.pop()
    if opened:
        yield f"{_line(text, opened[-1])}: unclosed brace"


def _javascript(text: str) -> Iterator[str]:
    """The first quote or bracket that does not match."""
    opened: list[tuple[str, int]] = []
    at, before = 0, ""
    while at < len(text):
        mark = text[at]
        found = _QUOTED.match(text, at) or (_REGEX.match(text, at) if mark == "/" and before in _NO_VALUE else None)
        if found is None and (mark in "\"'`" or text.startswith("/*", at)):
            yield f"{_line(text, at)}: {'a comment' if mark == '/' else f'the quote {mark}'} is not closed"
            return
        if mark in "([{":
            opened.append((mark, at))
        elif mark in _PAIRS and (not opened or opened.pop()[0] != _PAIRS[mark]):
            yield f"{_line(text, at)}: {mark} does not close what is open"
            return
        found = found or _WORD.match(text, at)
        if not mark.isspace() and not text.startswith(("//", "/*"), at):
            before = found[0] if found else mark
        at = found.end() if found else at + 1
    if opened:
        yield f"{_line(text, opened[-1][1])}: {opened[-1][0]} is not closed"
