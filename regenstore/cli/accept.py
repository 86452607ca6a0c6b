"""``regenstore accept``"""

from __future__ import annotations

import click

from regenstore.cli.context import open_repository, worktree_path
from regenstore.cli.write_report import tell
from regenstore.tracked import proof


@click.command()
@click.argument("path")
@click.option("--take", metavar="DIGEST", help="Its first hex digits; needed when several others are known.")
def command(path: str, take: str | None) -> None:
    """Take another known content as the take of the recipe at PATH. 'git diff' shows it; nothing is staged.

    \b
    Examples:
      regenstore accept shots/sh010.mp4
      regenstore accept shots/sh010.mp4 --take 3fa4c1
    """
    repository = open_repository()
    tell(proof.accept(repository.workbench, worktree_path(repository, path), take))
