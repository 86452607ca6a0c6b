"""``regenstore ls-files``"""

from __future__ import annotations

import os

import click

from regenstore.cli.console import say, write
from regenstore.cli.context import emit_json, json_option, open_repository, show_path, worktree_paths
from regenstore.fs.path_text import path_text


@click.command()
@click.argument("paths", nargs=-1)
@click.option("-z", "nul", is_flag=True, help="End each path with a NUL byte, and print it as it is.")
@json_option
def command(paths: tuple[str, ...], nul: bool, as_json: bool) -> None:
    """List the tracked paths: all, or those at and below PATHS. Reads only Git's index; 'status' tells their states.

    \b
    Examples:
      regenstore ls-files shots/
      regenstore ls-files -z | xargs -0 ls -l
    """
    repository = open_repository()
    here = os.getcwdb()
    found = sorted(repository.workbench.tracked(worktree_paths(repository, paths)))
    if as_json:
        emit_json("ls-files", {"paths": [path_text(path) for path in found]})
        return
    for path in found:
        shown = os.path.relpath(os.path.join(repository.location.top, path), here)
        if nul:
            write(shown + b"\0")
        else:
            say(show_path(shown), whole=True)
