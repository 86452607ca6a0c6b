"""The text in which Stable Diffusion programs list their settings, both ways.

The grammar is that of AUTOMATIC1111's ``create_infotext`` and ``parse_generation_parameters``, which Forge, reForge,
SD.Next, Fooocus, stable-diffusion.cpp, Civitai and nodes of ComfyUI write too::

    text     := prompt [ "\\nNegative prompt: " negative ] "\\n" settings [ "\\n" template ]
    settings := item { ", " item }          item := name ": " value | name
    value    := JSON string (when it has a comma, a colon or a line break) | JSON array or object | plain text

``text(parse(t)) == t`` for what those programs write. All patterns take linear time.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, NamedTuple

MAX_LENGTH = 2 << 20
"""Longer texts are not read: a recipe can hold 4 MiB."""
MAX_ITEMS = 500
MAX_JSON_ATTEMPTS = 32
NEGATIVE = "Negative prompt:"
_STEPS = re.compile(r"\s*Steps:\s*\d+\s*(?:,|$)")
_FIRST = re.compile(r"\s*(?:steps|seed|size|width|height|sampler|cfg scale|pipeline|model|model hash):", re.IGNORECASE)
_FLAT = re.compile(r"(?:^|(?<=\s))Steps:\s*\d+,\s*(?:\w[\w -]{0,40}:)")
_NAME = re.compile(r"[ \t]*+([^\s:,\"{}\[\]][^:,\"\n]{0,99}?)[ \t]*+:[ \t]*+")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*+"(?=[ \t]*+(?:,|$))')
_LIST = re.compile(r"\[[^\[\]\"]*+\](?=[ \t]*+(?:,|$))")
_END = re.compile(r"[ \t]*+(?:,|$)")
_INTEGER = re.compile(r"[+-]?[0-9]{1,40}")
_FLOAT = re.compile(r"[+-]?(?:[0-9]{1,40}\.[0-9]{0,40}|\.[0-9]{1,40}|[0-9]{1,17}(?=e))(?:e[+-]?[0-9]{1,2})?")
_PLAIN_VALUE = re.compile(r"-?[\d.]++(?:x\d++)?|True|False|[0-9a-f]++")


class Setting(NamedTuple):
    """One setting of the settings line."""

    name: str
    written: str | None
    """The value as the line has it, with its quotes; None if the item is a name alone, which stands for itself."""


@dataclass(frozen=True)
class Infotext:
    """The parts of such a text."""

    prompt: str
    negative: str | None
    """None if the text has no such line; SD.Next writes an empty one."""
    items: tuple[Setting, ...]
    after: str | None = None
    """The lines after the settings: templates of Dynamic Prompts."""


def parse(written: str) -> Infotext | None:
    """Return the parts of a text, or None if it has no line of settings. Such a line begins with a common setting
    and has the seed, the number of steps, or size and model (of a service), for a prompt's last line can look like a
    list of settings; more lines can follow it."""
    if len(written) > MAX_LENGTH or ":" not in written:
        return None
    lines = written.strip("\r\n\0 ").split("\n")
    for number in range(len(lines) - 1, -1, -1):
        items = _settings(lines[number])
        if items is not None:
            prompt, negative = _prompts("\n".join(lines[:number]))
            return _with_rest(prompt, negative, items, lines[number], lines[number + 1 :])
    return _flat("\n".join(lines))


def text(parts: Infotext) -> str:
    """Return the text of these parts, as AUTOMATIC1111 joins them."""
    negative = "" if parts.negative is None else f"\n{NEGATIVE} {parts.negative}"
    after = "" if parts.after is None else f"\n{parts.after}"
    return f"{parts.prompt}{negative}\n{_joined(parts.items)}{after}".strip()


def quoted(value: str) -> str:
    """Return a value as the line has it. JSON arrays and objects stay as they are."""
    if not any(character in value for character in ",\n:") or is_json(value):
        return value
    return json.dumps(value, ensure_ascii=False)


def unquoted(written: str) -> str:
    """Return the value of what a line has. What is not a JSON string with both quotes stays as it is."""
    if len(written) < 2 or written[0] != '"' or written[-1] != '"':
        return written
    try:
        value = json.loads(written, strict=False)
    except (ValueError, RecursionError):
        return written
    return value if isinstance(value, str) else written


def is_json(value: str) -> bool:
    """Return whether a value is a JSON array or object."""
    return _json_end(value, 0) == len(value)


def items_of(line: str) -> tuple[Setting, ...]:
    """Return the settings of a line. What follows a comma without being a setting belongs to the value before it, if
    that could have gone on: some programs do not quote values that have commas."""
    found: list[Setting] = []
    position, attempts = 0, MAX_JSON_ATTEMPTS
    while position < len(line) and len(found) < MAX_ITEMS:
        name = _NAME.match(line, position)
        if name is None:
            end = _comma(line, position)
            _add_bare(found, line[position:end].strip())
        else:
            start = name.end()
            end = start
            if line.startswith(("[", "{"), start) and attempts:
                attempts -= 1
                end = _json_end(line, start)
            if end == start:
                value = _QUOTED.match(line, start) or _LIST.match(line, start)
                end = _comma(line, start) if value is None else value.end()
            found.append(Setting(name[1], line[start:end].strip()))
        position = _comma(line, end) + 1
    return tuple(found)


def _add_bare(found: list[Setting], bare: str) -> None:
    if not bare:
        return
    before = found[-1] if found else None
    if before is None or before.written is None or _is_complete(before.written):
        found.append(Setting(bare, None))
    else:
        found[-1] = Setting(before.name, f"{before.written}, {bare}")


def _is_complete(written: str) -> bool:
    return written[:1] + written[-1:] in ('""', "[]", "{}") or _PLAIN_VALUE.fullmatch(written) is not None


def _joined(items: tuple[Setting, ...]) -> str:
    return ", ".join(item.name if item.written is None else f"{item.name}: {item.written}" for item in items)


def _comma(line: str, position: int) -> int:
    found = line.find(",", position)
    return len(line) if found < 0 else found


def _json_end(line: str, start: int) -> int:
    """Return the end of the JSON array or object at a position that a comma or the line's end follows, else
    ``start``."""
    if not line.startswith(("[", "{"), start):
        return start
    try:
        end = json.JSONDecoder().raw_decode(line, start)[1]
    except (ValueError, RecursionError):
        return start
    return end if _END.match(line, end) else start


def _settings(line: str) -> tuple[Setting, ...] | None:
    if "," not in line or not _FIRST.match(line):
        return None
    least = 2 if _STEPS.match(line) else 3
    items = items_of(line)
    names = {item.name for item in items if item.written is not None}
    known = bool({"Steps", "Seed"} & names) or {"Size", "Model"} <= names
    return items if known and sum(item.written is not None for item in items) >= least else None


def _prompts(before: str) -> tuple[str, str | None]:
    """Split what precedes the settings at the first line that begins the negative prompt, as the programs do."""
    if before.startswith(NEGATIVE):
        return "", _negative(before)
    prompt, found, rest = before.partition("\n" + NEGATIVE)
    return (prompt, _negative(NEGATIVE + rest)) if found else (before, None)


def _negative(line: str) -> str:
    return line.removeprefix(NEGATIVE).removeprefix(" ")


def _with_rest(
    prompt: str, negative: str | None, items: tuple[Setting, ...], line: str, rest: list[str]
) -> Infotext | None:
    """Add the lines after the settings: more settings if the line ends with a comma, else templates, to which Civitai's
    extension may have appended its hashes."""
    if rest and line.rstrip().endswith(","):
        return Infotext(prompt, negative, items_of(" ".join([line, *rest])))
    if not rest:
        return Infotext(prompt, negative, items)
    after = "\n".join(rest)
    head, found, hashes = after.rpartition(", Hashes: {")
    if found and is_json("{" + hashes):
        after, items = head, (*items, Setting("Hashes", "{" + hashes))
    return Infotext(prompt, negative, items, after)


def _flat(written: str) -> Infotext | None:
    """Read a text whose line breaks were lost: settings follow the prompt on its line."""
    start = None
    for found in _FLAT.finditer(written):
        start = found.start()
    if start is None or (items := _settings(written[start:])) is None:
        return None
    prompt, found_negative, negative = written[:start].rstrip().partition(NEGATIVE)
    return Infotext(prompt.rstrip(), negative.strip() if found_negative else None, items)


def number(value: str) -> Any:
    """Return the number that a text is, if it is an integer or a finite float, else the text."""
    if _INTEGER.fullmatch(value):
        return int(value)
    if _FLOAT.fullmatch(value):
        return float(value)
    return value
