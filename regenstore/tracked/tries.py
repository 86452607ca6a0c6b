"""The tries of a path: every content that it has had, numbered from the oldest, and where their parameters differ."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, NamedTuple

from regenstore.errors import Conflict, InvalidInput
from regenstore.fs import durable
from regenstore.fs.swap import NOTHING, Changed
from regenstore.tracked import history
from regenstore.tracked.history import PastContent
from regenstore.tracked.workbench import Workbench

_FIRST = ("seed", "generator")
_IN_A_SHEET = 240
"""Tries that a contact sheet shows: the newest."""


class Try(NamedTuple):
    """One content that a path has had."""

    number: int
    """Counted from the oldest, which is 1."""
    past: PastContent
    values: dict[str, Any]
    """Its values of the fields in which the tries of the path differ, and its seed."""


class Tries(NamedTuple):
    """All tries of a path, the newest first, and the names of the fields in which they differ."""

    names: tuple[str, ...]
    listed: tuple[Try, ...]


def tries(bench: Workbench, path: bytes) -> Tries:
    """Return the tries of a path. Raises as :func:`regenstore.tracked.history.history`."""
    listed = history.history(bench, path)
    made = [{} if each.recipe.imported else history.fields(each.recipe) for each in listed]
    known = [fields for fields in made if fields]
    every = dict.fromkeys(name for fields in known for name in fields)
    names = [name for name in every if name == "seed" or any(f.get(name) != known[0].get(name) for f in known)]
    names.sort(key=lambda name: _FIRST.index(name) if name in _FIRST else len(_FIRST))
    numbered = zip(range(len(listed), 0, -1), listed, made)
    return Tries(
        tuple(names),
        tuple(Try(at, past, {name: fields[name] for name in names if name in fields}) for at, past, fields in numbered),
    )


def numbered(found: Tries, path: bytes, number: int) -> PastContent:
    """Return the content of a number. Raises InvalidInput (``no-such-take``)."""
    for each in found.listed:
        if each.number == number:
            return each.past
    shown = os.fsdecode(path)
    raise InvalidInput(
        "no-such-take", f"{shown}: it has the tries 1 to {len(found.listed)}", hint=f"Run: regenstore tries {shown}"
    )


def write_sheet(bench: Workbench, found: Sequence[tuple[Try, Sequence[str]]], target: str, *, force: bool) -> int:
    """Write a contact sheet of tries with the lines of text below each, as a PNG, the oldest first. Returns how many of
    the oldest were left out of it. Raises Conflict (``exists``) unless ``force`` replaces a file, and StorageError."""
    from regenstore.media.sheet import SheetFrame, sheet

    shown = sorted(found, key=lambda each: each[0].number)[-_IN_A_SHEET:]
    frames = []
    for each, lines in shown:
        take = each.past.take
        file = None if each.past.state == "gone" else bench.store.use(take.digest, take.size)
        frames.append(SheetFrame(file, each.past.recipe.output.media_type, tuple(lines), each.past.state))
    try:
        durable.write_file(target, sheet(frames), was=None if force else NOTHING)
    except Changed:
        raise Conflict("exists", f"{target}: there is a file already") from None
    return len(found) - len(shown)
