"""``regenstore remote list``"""

from __future__ import annotations

import click

from regenstore.cli.console import say
from regenstore.cli.context import emit_json, json_option, open_repository, size_text
from regenstore.cli.hints import hint_for
from regenstore.sharing.definitions import Definition, Remotes


@click.command()
@json_option
def command(as_json: bool) -> None:
    """List remotes: where they are, who named them, whether they are trusted. Nothing is asked of them.

    \b
    Example:
      regenstore remote list
    """
    sharing = open_repository().sharing
    if as_json:
        emit_json("remotes", {"remotes": [_row(sharing, each) for each in sharing.definitions.values()]})
        return
    for each in sharing.definitions.values():
        say(f"{each.name}  {each.shown}")
        limits = [f"{each.setting.jobs} transfers at a time"] if each.setting.jobs else []
        limits += [f"{size_text(each.setting.limit)}/s"] if each.setting.limit else []
        say("    " + ", ".join([f"from {each.source}", _state(sharing, each), *limits]))
        if each.name in sharing.unusable:
            error = sharing.unusable[each.name]
            say(f"    {error.message}")
            say(f"    hint: {hint_for(error)}")
    if sharing.untrusted:
        say("Approve what regenstore.toml names with: regenstore trust")
    if not sharing.definitions:
        say("There are no remotes. Add one: regenstore remote add NAME URL")


def _state(sharing: Remotes, each: Definition) -> str:
    if not each.trusted:
        return "untrusted"
    return "unusable" if each.name in sharing.unusable else "trusted"


def _row(sharing: Remotes, each: Definition) -> dict[str, object]:
    error = sharing.unusable.get(each.name)
    return {
        "name": each.name,
        "url": each.shown,
        "source": each.source,
        "state": _state(sharing, each),
        "jobs": each.setting.jobs,
        "limit": each.setting.limit,
        "error": None if error is None else error.message,
    }
