"""Asks each program's module what the embedded metadata of a medium say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from regenstore.capture.captured import Captured, Level
from regenstore.capture.embedded import Embedded

_COMMENTS = ("usercomment", "comment", "description", "imagedescription")
ORDER: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("comfyui", ("prompt", "workflow", "make", "model", *_COMMENTS)),
    ("invokeai", ("invokeai_metadata", "invokeai_graph", "invokeai_workflow", "sd-metadata", "dream")),
    ("a1111", ("parameters", "stealth", "xpcomment", "postprocessing", "extras", *_COMMENTS)),
)
"""The modules, most telling first, each with the names of pieces (in lower case) or carriers that make it worth
asking. A module is imported only then."""
_LEVELS = list(Level)


def understand(pieces: Sequence[Embedded], strict: bool = False) -> Captured | None:
    """Return what the pieces say: the first answer with a graph or parameters, else the most telling one, with the
    facts of the others in ``about``. Never raises, whatever the pieces are; with ``strict``, for tests, unexpected
    exceptions pass."""
    names = {piece.name.lower() for piece in pieces} | {piece.carrier for piece in pieces}
    best: Captured | None = None
    for program, telling in ORDER:
        if names.isdisjoint(telling):
            continue
        found = _asked(program, pieces, strict)
        if found is None:
            continue
        if found.level in (Level.GRAPH, Level.PARAMETERS):
            return found
        best = found if best is None else _joined(best, found)
    return best


def _asked(program: str, pieces: Sequence[Embedded], strict: bool) -> Captured | None:
    name = f"regenstore.capture.programs.{program}"
    if find_spec(name) is None:
        return None
    try:
        module: Any = import_module(name)
        found: Captured | None = module.understand(pieces)
    except Exception:
        if strict:
            raise
        return None
    return found


def _joined(one: Captured, other: Captured) -> Captured:
    """Return the more telling of two, the earlier one if they are equal, with the other's facts."""
    better, lesser = (one, other) if _LEVELS.index(one.level) <= _LEVELS.index(other.level) else (other, one)
    return replace(better, about={**lesser.about, **better.about})
