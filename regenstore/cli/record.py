"""``regenstore record``"""

from __future__ import annotations

import click

from regenstore.cli.console import say
from regenstore.cli.context import dry_run_option, json_option, open_repository, worktree_paths
from regenstore.cli.write_report import preview, write_each
from regenstore.tracked import recipe_writing
from regenstore.tracked.recipe_writing import Written
from regenstore.tracked.status import status


@click.command()
@click.argument("paths", nargs=-1)
@click.option("--add", is_flag=True, help="Also 'git add' what was recorded.")
@dry_run_option
@json_option
def command(paths: tuple[str, ...], add: bool, dry_run: bool, as_json: bool) -> None:
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
    if paths:
        chosen = list(bench.tracked(worktree_paths(repository, paths)))
    else:
        chosen = [each.path for each in status(bench).paths if each.state == "unrecorded"]

    def write(path: bytes) -> Written | str:
        written = recipe_writing.record(bench, path, dry_run=dry_run)
        if dry_run and written is not None:
            return preview(bench.current(path), written.recipe)
        if add and written is not None:
            repository.git.add([path])
        return written or "its take is already recorded"

    if not chosen and not as_json:
        say("Nothing is unrecorded")
    write_each(chosen, write, as_json=as_json)
