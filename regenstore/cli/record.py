"""``regenstore record``"""

from __future__ import annotations

import sys

import click

from regenstore.cli.console import say
from regenstore.cli.context import open_repository, report_failures, show_path, worktree_paths
from regenstore.cli.write_report import tell
from regenstore.errors import RegenstoreError
from regenstore.tracked import recipe_writing
from regenstore.tracked.status import status


@click.command()
@click.argument("paths", nargs=-1)
@click.option("--add", is_flag=True, help="Also 'git add' what was recorded.")
def command(paths: tuple[str, ...], add: bool) -> None:
    """Record the media at PATHS as the takes of their recipes; without any, all that 'status' calls unrecorded.
    Nothing is staged without --add.

    Use it for media made for a recipe without a take (after a merge), or that drifted from the recorded one.

    \b
    Examples:
      regenstore record --add && git commit      # after a merge
      regenstore record shots/sh010.mp4
    """
    repository = open_repository()
    bench = repository.workbench
    failed: list[tuple[bytes, RegenstoreError]] = []
    recorded: list[bytes] = []
    if paths:
        chosen = list(bench.tracked(worktree_paths(repository, paths)))
    else:
        chosen = [each.path for each in status(bench).paths if each.state == "unrecorded"]
    for path in chosen:
        try:
            written = recipe_writing.record(bench, path)
        except RegenstoreError as error:
            failed.append((path, error))
            continue
        if written is None:
            say(f"{show_path(path)}: its take is already recorded")
        else:
            tell(written)
            recorded.append(path)
    if add and recorded:
        repository.git.add(recorded)
    if not chosen:
        say("Nothing is unrecorded")
    sys.exit(report_failures(failed))
