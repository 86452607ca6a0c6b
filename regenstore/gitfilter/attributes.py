"""``.gitattributes`` lines: which paths hold recipes."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

from regenstore.errors import InvalidInput
from regenstore.fs import presence
from regenstore.fs.swap import Seen, seen
from regenstore.gitfilter.install import ATTRIBUTES
from regenstore.worktree.place import replace_file

FILE = ".gitattributes"


def quote_pattern(pattern: str) -> str:
    """A pattern as gitattributes(5) takes it: quoted as C does where it has blanks or special characters."""
    if pattern and not any(c.isspace() or c in '"\\' or ord(c) < 32 for c in pattern) and pattern[0] not in "#!":
        return pattern
    names = {"\\": "\\\\", '"': '\\"', "\t": "\\t", "\n": "\\n", "\r": "\\r"}
    return '"' + "".join(names.get(c, c if ord(c) >= 32 else f"\\{ord(c):03o}") for c in pattern) + '"'


def as_pattern(given: str, top: str) -> str:
    """What a user means, as a pattern that Git matches from the top: a folder stands for all that is in it, a leading
    ``!`` is part of a name. Raises InvalidInput (``bad-path``) for what can never match."""
    pattern = os.path.relpath(given, top) if given.startswith(top + os.sep) else re.sub("/{2,}", "/", given)
    while pattern.startswith("./"):
        pattern = pattern[2:]
    parts = pattern.strip("/").split("/")
    if pattern in ("", ".", "!", "/") or ".." in parts or parts[0] == ".git" or pattern.endswith("\\"):
        raise InvalidInput("bad-path", f"{given!r} is not a pattern that matches files of the worktree", hint=_EXAMPLES)
    literal = os.path.join(top, *parts)
    if "[" in pattern and os.path.lexists(literal):
        pattern = re.sub(r"[\\*?\[]", r"\\\g<0>", pattern)
    if pattern.endswith("/") or os.path.isdir(literal):
        pattern = pattern.rstrip("/") + "/**"
    return "\\" + pattern if pattern.startswith("!") else pattern


_EXAMPLES = "Give patterns as in .gitignore: '*.png', 'shots/**/*.mov', 'audio/'; '*' is everything."


def example(pattern: str) -> bytes | None:
    """A path that a pattern matches; None where that is not plain to see."""
    if "[" in pattern:
        return None
    plain = re.sub(r"\\(.)", r"\1", pattern.lstrip("/").replace("**/", "").replace("*", "x").replace("?", "x"))
    return os.fsencode(plain)


def tracked_patterns(text: str) -> list[str]:
    """The patterns, as written, for which the last line that sets a filter names ours."""
    filters: dict[str, str] = {}
    for line in text.splitlines():
        pattern, attributes = _split(line)
        for each in attributes.split():
            if re.fullmatch("[-!]?filter(=.*)?", each):
                filters[pattern] = each
    return [pattern for pattern, each in filters.items() if pattern and each == "filter=regenstore"]


def read(folder: str) -> tuple[str, Seen]:
    """The text of a folder's attribute file, empty where there is none, and what was seen there. Raises StorageError
    (``unreadable``)."""
    path = os.path.join(folder, FILE)
    was = seen(presence.found(path))
    return (presence.read(path) or b"").decode(errors="surrogateescape"), was


def track(text: str, patterns: Iterable[str]) -> tuple[str, list[str]]:
    """The text with a line for each pattern that has none in effect, and those patterns."""
    known, added = set(tracked_patterns(text)), []
    lines = text.splitlines()
    for pattern in map(quote_pattern, patterns):
        if pattern not in known:
            known.add(pattern)
            added.append(pattern)
            lines.append(f"{pattern} {ATTRIBUTES}")
    return "".join(line + "\n" for line in lines), added


def untrack(text: str, patterns: Iterable[str]) -> tuple[str, list[str]]:
    """The text without our lines for the patterns, and those that had one."""
    wanted, removed, kept = set(map(quote_pattern, patterns)), [], []
    for line in text.splitlines():
        pattern, attributes = _split(line)
        if pattern in wanted and "filter=regenstore" in attributes.split():
            removed.append(pattern)
        else:
            kept.append(line)
    return "".join(line + "\n" for line in kept), removed


def write(folder: str, text: str, was: Seen) -> None:
    """Write a folder's attribute file, whole or not at all; a link to one stays. Raises Conflict (``edited``) where
    something else is there than what was read."""
    replace_file(os.path.realpath(os.path.join(folder, FILE)), text.encode(errors="surrogateescape"), was)


def _split(line: str) -> tuple[str, str]:
    line = line.strip()
    if line.startswith('"'):
        end = 1
        while end < len(line) and line[end] != '"':
            end += 2 if line[end] == "\\" else 1
        return line[: end + 1], line[end + 1 :]
    pattern, attributes = [*line.split(None, 1), "", ""][:2]
    return ("", "") if pattern.startswith("#") else (pattern, attributes)
