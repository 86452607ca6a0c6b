"""How the commands say what a remote can do."""

from __future__ import annotations

from collections.abc import Iterator

from regenstore.remotes.check import ABILITIES, NEEDED_TO_PUSH, Abilities

_MEANING = {
    "answer": "it answers",
    "write": "objects can be written",
    "read": "objects can be read",
    "range": "a transfer that broke off goes on where it was",
    "overwrite": "objects can be replaced",
    "list": "it gives listings, so that many contents are asked for at once",
    "delete": "objects can be removed, as a clean-up there needs",
}


def abilities_fields(found: Abilities) -> dict[str, object]:
    """For programs: each ability that was tried, with what went wrong."""
    wrong = {name: error.message for name, error in found.tried.items() if error is not None}
    can = {name: found.can(name) for name in ABILITIES}
    return {"can": can, "wrong": wrong, "push": found.can(*NEEDED_TO_PUSH), "latency": round(found.latency, 6)}


def abilities_lines(found: Abilities) -> Iterator[str]:
    """For people."""
    for name, error in found.tried.items():
        yield f"yes  {_MEANING[name]}" if error is None else f"no   {_MEANING[name]} ({error.message})"
    if not found.can(*NEEDED_TO_PUSH):
        yield "Media can come from it; nothing can be pushed to it."
