"""``regenstore migrate-from``"""

from __future__ import annotations

import click

from regenstore.cli.lazy import LazyGroup

COMMANDS = {
    "lfs": "Turn pointers of Git LFS into recipes, with the media in the store.",
    "dvc": "Turn files that DVC keeps into recipes, with the media in the store.",
    "git": "Rewrite history: media in commits become recipes.",
}


class _Tools(LazyGroup):
    commands_listed = COMMANDS
    prefix = "migrate_from_"


@click.group(cls=_Tools)
def command() -> None:
    """Take over media that another tool keeps for this repository.

    \b
    Examples:
      regenstore migrate-from lfs --dry-run
      regenstore migrate-from lfs && git commit -m "From Git LFS to regenstore"
      regenstore migrate-from dvc --track
    """
