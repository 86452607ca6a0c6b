"""``regenstore record``"""

from __future__ import annotations

import sys

import click

from regenstore.cli.console import say
from regenstore.cli.context import open_repository, report_failures, show_path, worktree_paths
from regenstore.cli.write_report import tell
from regenstore.errors import RegenstoreError
from regenstore.tracked import recipe_writing


@click.command()
@click.argument("paths", nargs=-1, required=True)
def command(paths: tuple[str, ...]) -> None:
    """Record the media at PATHS as the takes of their recipes. Nothing is staged.

    Use it for media made for a recipe without a take (after a merge), or that drifted from the recorded one.

    \b
    Example:
      regenstore record shots/sh010.mp4 && git add shots/sh010.mp4
    """
    repository = open_repository()
    bench = repository.workbench
    failed: list[tuple[bytes, RegenstoreError]] = []
    for path in bench.tracked(worktree_paths(repository, paths)):
        try:
            written = recipe_writing.record(bench, path)
        except RegenstoreError as error:
            failed.append((path, error))
            continue
        if written is None:
            say(f"{show_path(path)}: its take is already recorded")
        else:
            tell(written)
    sys.exit(report_failures(failed))
