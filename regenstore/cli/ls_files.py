"""``regenstore ls-files``"""

from __future__ import annotations

import os

import click

from regenstore.cli.console import say, write
from regenstore.cli.context import open_repository, show_path, worktree_paths


@click.command()
@click.argument("paths", nargs=-1)
@click.option("-z", "nul", is_flag=True, help="End each path with a NUL byte, and print it as it is.")
def command(paths: tuple[str, ...], nul: bool) -> None:
    """List the tracked paths: all, or those at and below PATHS. Reads only Git's index; 'status' tells their states.

    \b
    Examples:
      regenstore ls-files shots/
      regenstore ls-files -z | xargs -0 ls -l
    """
    repository = open_repository()
    here = os.getcwdb()
    for path in sorted(repository.workbench.tracked(worktree_paths(repository, paths))):
        shown = os.path.relpath(os.path.join(repository.location.top, path), here)
        if nul:
            write(shown + b"\0")
        else:
            say(show_path(shown))
