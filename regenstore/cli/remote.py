"""``regenstore remote``"""

from __future__ import annotations

import click

from regenstore.cli.lazy import LazyGroup

COMMANDS = {
    "add": "Add a remote, after testing what it can do.",
    "list": "List remotes with their addresses, origin and trust.",
    "check": "Test whether remotes are reachable, their abilities, speed and contents.",
    "gc": "Delete unneeded contents from a remote; for one designated job.",
    "remove": "Remove a remote from the configuration; deletes no contents.",
}


class _Remotes(LazyGroup):
    commands_listed = COMMANDS
    prefix = "remote_"


@click.group(cls=_Remotes)
def command() -> None:
    """Manage remotes, shared storage for media: a folder or share, a web server, an SSH server, an object store.

    \b
    Examples:
      regenstore remote add studio /mnt/media/film --create
      regenstore remote list
      regenstore remote check studio
      regenstore remote gc studio --dry-run
      regenstore remote remove studio
    """
