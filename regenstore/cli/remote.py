"""``regenstore remote``"""

from __future__ import annotations

import click

from regenstore.cli.lazy import LazyGroup

COMMANDS = {
    "add": "Give a shared place a name, after trying out what it can do.",
    "list": "List remotes: where they are, who named them, whether they are trusted.",
    "check": "Ask remotes: are they there, what can they do, how fast, are their contents sound?",
    "gc": "Delete there what nothing has needed for long; for one designated job.",
    "remove": "Forget a remote; nothing is deleted there.",
}


class _Remotes(LazyGroup):
    commands_listed = COMMANDS
    prefix = "remote_"


@click.group(cls=_Remotes)
def command() -> None:
    """Shared places for media: a folder or share, a web server, a server with SSH, an object store.

    \b
    Examples:
      regenstore remote add studio /mnt/media/film --create
      regenstore remote list
      regenstore remote check studio
      regenstore remote gc studio --dry-run
      regenstore remote remove studio
    """
