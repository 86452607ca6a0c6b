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
    """The pattern as gitattributes(5) expects it: quoted in C style if it contains blanks or special characters."""
    if pattern and not any(c.isspace() or c in '"\\' or ord(c) < 32 for c in pattern) and pattern[0] not in "#!":
        return pattern
    names = {"\\": "\\\\", '"': '\\"', "\t": "\\t", "\n": "\\n", "\r": "\\r"}
    return '"' + "".join(names.get(c, c if ord(c) >= 32 else f"\\{ord(c):03o}") for c in pattern) + '"'


def as_pattern(given: str, top: str) -> str:
    """The pattern that a user means, in the form that Git matches from the top of the worktree: a folder stands for
    everything in it, and a leading ``!`` is part of the name. Raises InvalidInput (``bad-path``) for a pattern that
    can never match."""
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
    """A path that the pattern matches; None if none can be derived easily."""
    if "[" in pattern:
        return None
    plain = re.sub(r"\\(.)", r"\1", pattern.lstrip("/").replace("**/", "").replace("*", "x").replace("?", "x"))
    return os.fsencode(plain)


def tracked_patterns(text: str) -> list[str]:
    """The patterns, as written, for which the last line that sets a filter sets ours."""
    filters: dict[str, str] = {}
    for line in text.splitlines():
        pattern, attributes = _split(line)
        for each in attributes.split():
            if re.fullmatch("[-!]?filter(=.*)?", each):
                filters[pattern] = each
    return [pattern for pattern, each in filters.items() if pattern and each == "filter=regenstore"]


def read(folder: str) -> tuple[str, Seen]:
    """The text of a folder's attribute file (empty if there is none), and the state in which the file was seen. Raises
    StorageError (``unreadable``)."""
    path = os.path.join(folder, FILE)
    was = seen(presence.found(path))
    return (presence.read(path) or b"").decode(errors="surrogateescape"), was


def track(text: str, patterns: Iterable[str]) -> tuple[str, list[str]]:
    """The text with a line added for each pattern that no line in effect covers yet, and those patterns."""
    known, added = set(tracked_patterns(text)), []
    lines = text.splitlines()
    for pattern in map(quote_pattern, patterns):
        if pattern not in known:
            known.add(pattern)
            added.append(pattern)
            lines.append(f"{pattern} {ATTRIBUTES}")
    return "".join(line + "\n" for line in lines), added


def untrack(text: str, patterns: Iterable[str]) -> tuple[str, list[str]]:
    """The text without our lines for these patterns, and the patterns whose lines were removed."""
    wanted, removed, kept = set(map(quote_pattern, patterns)), [], []
    for line in text.splitlines():
        pattern, attributes = _split(line)
        if pattern in wanted and "filter=regenstore" in attributes.split():
            removed.append(pattern)
        else:
            kept.append(line)
    return "".join(line + "\n" for line in kept), removed


def converted(text: str, other: str) -> tuple[str, list[str]]:
    """The text with our filter wherever a line sets another one (``lfs``), and the patterns of those lines. Attributes
    that do not belong to a filter, such as ``lockable``, stay."""
    theirs = {f"filter={other}", f"diff={other}", f"merge={other}", "-text", "text=auto", "binary"}
    lines, patterns = [], []
    for line in text.splitlines():
        pattern, attributes = _split(line)
        if f"filter={other}" in attributes.split():
            kept = [each for each in attributes.split() if each not in theirs]
            patterns.append(pattern)
            line = " ".join((pattern, ATTRIBUTES, *kept))
        lines.append(line)
    return "".join(line + "\n" for line in lines), patterns


def write(folder: str, text: str, was: Seen) -> None:
    """Write a folder's attribute file atomically; a symbolic link to one is kept. Raises Conflict (``edited``) if the
    file has changed since it was read."""
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
