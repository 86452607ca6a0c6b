"""``regenstore unpin``"""

from __future__ import annotations

import click

from regenstore.cli.console import say
from regenstore.cli.context import open_repository, path_or_key
from regenstore.tracked import pinning


@click.command()
@click.argument("what", metavar="PATH|KEY")
def command(what: str) -> None:
    """Remove the pin of the recipe at PATH, or of KEY. Nothing else changes, and nothing is deleted.

    \b
    Examples:
      regenstore unpin shots/sh010.mp4
      regenstore unpin key:1f0c…            as shown by 'regenstore pins'
    """
    repository = open_repository()
    pinning.unpin(repository.workbench, path_or_key(repository, what))
    say(f"{what} is no longer pinned")
