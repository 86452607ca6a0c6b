"""``regenstore unset``"""

from __future__ import annotations

import click

from regenstore.cli.context import ConsoleProgress, open_repository, worktree_path
from regenstore.cli.write_report import tell
from regenstore.tracked import recipe_writing


@click.command()
@click.argument("path")
@click.argument("names", nargs=-1, required=True)
@click.option("--no-generate", is_flag=True, help="Only write the recipe text; do not make the medium now.")
def command(path: str, names: tuple[str, ...], no_generate: bool) -> None:
    """Remove parameters or inputs NAMES from the recipe at PATH and make it again. Nothing is staged.

    \b
    Example:
      regenstore unset shots/sh010.mp4 style
    """
    repository = open_repository()
    bench = repository.workbench
    target = worktree_path(repository, path)
    with ConsoleProgress() as progress:
        was = bench.seen(target)
        recipe = recipe_writing.changed(bench, bench.editable(target), {}, {}, names, progress)
        written = recipe_writing.write(bench, target, recipe, was, generate=not no_generate, progress=progress)
    tell(written)
