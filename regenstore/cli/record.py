"""``regenstore record``"""

from __future__ import annotations

import click

from regenstore.cli.context import json_option, open_repository, worktree_paths
from regenstore.cli.write_report import write_each
from regenstore.tracked import recipe_writing
from regenstore.tracked.recipe_writing import Written


@click.command()
@click.argument("paths", nargs=-1, required=True)
@json_option
def command(paths: tuple[str, ...], as_json: bool) -> None:
    """Record the media at PATHS as the takes of their recipes. Nothing is staged.

    Use it for media made for a recipe without a take (after a merge), or that drifted from the recorded one.

    \b
    Example:
      regenstore record shots/sh010.mp4 && git add shots/sh010.mp4
    """
    repository = open_repository()
    bench = repository.workbench

    def write(path: bytes) -> Written | str:
        return recipe_writing.record(bench, path) or "its take is already recorded"

    write_each([*bench.tracked(worktree_paths(repository, paths))], write, as_json=as_json)
