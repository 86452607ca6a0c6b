"""``regenstore pin``"""

from __future__ import annotations

import time

import click

from regenstore.cli.console import say
from regenstore.cli.context import open_repository, path_or_key
from regenstore.tracked import pinning


@click.command()
@click.argument("what", metavar="PATH|KEY")
@click.option("--reason", default="", metavar="TEXT", help="Reason, shown by 'regenstore pins'.")
def command(what: str, reason: str) -> None:
    """Keep all takes of the recipe at PATH, or of KEY, whether or not they are proven.

    A pin is a Git ref below refs/regenstore/pins/; push and fetch it to share it.

    \b
    Examples:
      regenstore pin shots/sh010.mp4 --reason "approved by the director"
      regenstore pin $(regenstore show --key shots/sh010.mp4)
    """
    repository = open_repository()
    pinned = pinning.pin(repository.workbench, path_or_key(repository, what), reason, time.time())
    say(f"pinned {pinned.subject}" + (f": {pinned.reason}" if pinned.reason else ""))
