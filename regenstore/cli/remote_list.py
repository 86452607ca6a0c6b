"""``regenstore remote list``"""

from __future__ import annotations

import click

from regenstore.cli.console import say
from regenstore.cli.context import emit_json, json_option, open_repository, size_text
from regenstore.cli.hints import hint_for
from regenstore.cli.presentation import Cell, Heading, counted, show_table
from regenstore.remotes.definitions import Definition, Remotes


@click.command()
@json_option
def command(as_json: bool) -> None:
    """List remotes with their addresses, where they are configured, and whether they are trusted. Does not contact
    them.

    \b
    Example:
      regenstore remote list
    """
    named = open_repository().remote_definitions
    if as_json:
        emit_json("remotes", {"remotes": [_row(named, each) for each in named.definitions.values()]})
        return
    rows: list[tuple[str | Cell, ...]] = []
    for each in named.definitions.values():
        limits = [counted(each.setting.jobs, "parallel transfer")] if each.setting.jobs else []
        limits += [f"{size_text(each.setting.limit)}/s"] if each.setting.limit else []
        state = _state(named, each)
        told = Cell(state, "good" if state == "trusted" else "warn")
        rows.append((Cell(each.name, "bold"), told, each.source, ", ".join(limits), each.shown))
    columns = ("remote", "state", "configured in", "limits", "address")
    show_table([Heading(head) for head in columns], rows)
    for name, error in named.unusable.items():
        say(f"{name}: {error.message}")
        say(f"  hint: {hint_for(error)}")
    if named.untrusted:
        say("To approve remotes in regenstore.toml: regenstore trust")
    if not named.definitions:
        say("There are no remotes. Add one: regenstore remote add NAME URL")


def _state(named: Remotes, each: Definition) -> str:
    if not each.trusted:
        return "untrusted"
    return "unusable" if each.name in named.unusable else "trusted"


def _row(named: Remotes, each: Definition) -> dict[str, object]:
    error = named.unusable.get(each.name)
    return {
        "name": each.name,
        "url": each.shown,
        "source": each.source,
        "state": _state(named, each),
        "jobs": each.setting.jobs,
        "limit": each.setting.limit,
        "error": None if error is None else error.message,
    }
