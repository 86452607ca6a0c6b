"""``regenstore accept``"""

from __future__ import annotations

import click

from regenstore.cli.context import json_option, open_repository, worktree_path
from regenstore.cli.write_report import write_each
from regenstore.tracked import proof


@click.command()
@click.argument("path")
@click.option("--take", metavar="DIGEST", help="First hex digits of the content; required if there are several others.")
@json_option
def command(path: str, take: str | None, as_json: bool) -> None:
    """Make another known content the take of the recipe at PATH. 'git diff' shows the change; nothing is staged.

    \b
    Examples:
      regenstore accept shots/sh010.mp4
      regenstore accept shots/sh010.mp4 --take 3fa4c1
    """
    repository = open_repository()
    write_each(
        [worktree_path(repository, path)], lambda each: proof.accept(repository.workbench, each, take), as_json=as_json
    )
