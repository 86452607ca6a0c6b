"""What is wrong with a script for After Effects: its data, and a program that is more than ECMAScript 3."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from regenstore.export.sidecar.writers.jsx import MAX_COMMENT, PLACE

_KINDS: dict[str, type | tuple[type, ...]] = {
    "media": str, "beside": str, "path": str, "name": str, "comment": str, "rate": (list, type(None)),
    "variable": bool, "frames": int, "size": (list, type(None)), "aspect": (int, float),
    "startFrame": (int, type(None)), "streams": (str, type(None)), "table": (str, type(None)), "markers": list,
    "compose": bool,
}  # fmt: skip
_URI = re.compile(r"[A-Za-z0-9_.~/%-]+")
_TOKEN = re.compile(
    r"""\s+ | //[^\n]* | (?P<string>"(?:[^"\\\n]|\\.)*") | (?P<word>[A-Za-z_$][\w$]*) | \d+(?:\.\d+)?
    | (?P<mark>=>|[-+*/%=!<>&|?:;,.(){}\[\]~^]+?)""",
    re.VERBOSE | re.ASCII,
)
_LATER_WORDS = frozenset(
    ["let", "const", "class", "yield", "async", "await", "of", "import", "export", "super", "enum"]
)
_NOT_HERE = frozenset(
    ["eval", "Function", "system", "callSystem", "evalFile", "execute", "include", "target", "load", "Socket"]
)
_CLOSES = {")": "(", "]": "[", "}": "{"}


def check(data: bytes) -> list[str]:
    """Problems of a script; empty when it is fine."""
    try:
        text = data.decode("ascii")
    except UnicodeDecodeError as error:
        return [f"no ASCII: {error}"]
    lines = [line for line in text.split("\n") if line.startswith(PLACE)]
    if len(lines) != 1 or not lines[0].endswith("};"):
        return ["its line of data is missing"]
    try:
        made = json.loads(lines[0].removeprefix(PLACE).removesuffix(";"))
    except ValueError as error:
        return [f"its data is no JSON: {error}"]
    return [*_data(made), *_program(text.replace(lines[0], PLACE + "null;"))]


def _data(made: dict[str, Any]) -> Iterator[str]:
    if list(made) != list(_KINDS):
        yield f"its data has the keys {', '.join(made)}"
        return
    for key, kind in _KINDS.items():
        if not isinstance(made[key], kind) or (isinstance(made[key], bool) and kind is not bool):
            yield f"{key} is {made[key]!r}"
            return
    for key in ("beside", "path"):
        if not _URI.fullmatch(made[key]):
            yield f"{key} is no encoded path"
    if "/" in made["beside"]:
        yield "beside leaves the folder"
    if len(made["comment"].encode()) > MAX_COMMENT:
        yield f"the comment has more than {MAX_COMMENT} bytes"
    for key in ("streams", "table"):
        name = made[key]
        if name is not None and (not _URI.fullmatch(name) or name.startswith("/")):
            yield f"{key}: {name!r} is no file beside the script"
    end = made["frames"]
    for marker in made["markers"]:
        if marker.keys() != {"first", "frames", "text"} or not 0 <= marker["first"] < end:
            yield f"a marker is outside of the clip: {marker}"
    if made["compose"] and not (made["rate"] and made["size"] and end > 0):
        yield "a composition needs a rate, a size and frames"


def _program(text: str) -> Iterator[str]:
    """The tokens of the program: words of later editions, commas before a bracket closes, open brackets."""
    at, stack, before = 0, [], ""
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            yield f"ECMAScript 3 has no {text[at : at + 10]!r}"
            return
        at = found.end()
        word, mark = found["word"], found["mark"]
        if word in _LATER_WORDS or mark == "=>":
            yield f"'{word or mark}' is of a later edition"
        if word in _NOT_HERE:
            yield f"'{word}' runs what is not in the script"
        if mark in ("(", "[", "{"):
            stack.append(mark)
        elif mark in _CLOSES and (not stack or stack.pop() != _CLOSES[mark] or before == ","):
            yield f"'{before} {mark}' does not close what is open"
            return
        if not found[0].isspace() and not found[0].startswith("//"):
            before = found[0]
    if stack:
        yield f"'{stack[-1]}' is not closed"
