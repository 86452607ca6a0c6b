"""Describe the abilities of a remote."""

from __future__ import annotations

from regenstore.cli.console import say
from regenstore.cli.presentation import Cell, Heading, show_table
from regenstore.remotes.check import ABILITIES, NEEDED_TO_PUSH, Abilities

_MEANING = {
    "answer": "it answers",
    "write": "objects can be written",
    "read": "objects can be read",
    "range": "an interrupted transfer is resumed",
    "overwrite": "objects can be replaced",
    "list": "objects can be listed, which checks many contents at once",
    "delete": "objects can be removed, as 'remote gc' needs",
}


def abilities_fields(found: Abilities) -> dict[str, object]:
    """For JSON output: each ability that was tried, with its error."""
    wrong = {name: error.message for name, error in found.tried.items() if error is not None}
    can = {name: found.can(name) for name in ABILITIES}
    return {"can": can, "wrong": wrong, "push": found.can(*NEEDED_TO_PUSH), "latency": round(found.latency, 6)}


def show_abilities(found: Abilities) -> None:
    """Print a table of them."""
    rows: list[tuple[str | Cell, ...]] = [
        (Cell("  yes", "good"), _MEANING[name])
        if error is None
        else (Cell("  no", "error"), f"{_MEANING[name]} ({error.message})")
        for name, error in found.tried.items()
    ]
    show_table((Heading(""), Heading("")), rows)
    if not found.can(*NEEDED_TO_PUSH):
        say("  Media can be fetched from it; nothing can be pushed to it.")
