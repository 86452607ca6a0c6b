"""``regenstore set``"""

from __future__ import annotations

import click

from regenstore.cli.context import ConsoleProgress, assignments, input_paths, open_repository, worktree_path
from regenstore.cli.write_report import tell
from regenstore.tracked import recipe_writing


@click.command()
@click.argument("path")
@click.argument("params", nargs=-1, metavar="[NAME=VALUE]...")
@click.option("--input", "-i", "inputs", multiple=True, metavar="NAME=PATH", help="An input file; may be repeated.")
@click.option("--no-generate", is_flag=True, help="Only write the recipe text; do not make the medium now.")
@click.option("--force", is_flag=True, help="Start from the recipe even if its medium was edited by hand.")
def command(path: str, params: tuple[str, ...], inputs: tuple[str, ...], no_generate: bool, force: bool) -> None:
    """Change parameters or inputs of the recipe at PATH and make it again. Nothing is staged.

    \b
    Examples:
      regenstore set shots/sh010.mp4 seed=8
      regenstore set shots/sh010_proxy.mp4 -i source=shots/sh010.mp4     # use the current version
    """
    if not params and not inputs:
        raise click.UsageError("Give at least one NAME=VALUE or --input NAME=PATH.")
    repository = open_repository()
    bench = repository.workbench
    target = worktree_path(repository, path)
    with ConsoleProgress() as progress:
        was = bench.seen(target)
        before = bench.editable(target, force=force)
        sources = input_paths(repository, inputs)
        recipe_writing.refuse_itself(target, sources)
        recipe = recipe_writing.changed(bench, before, assignments(params, "a parameter"), sources, (), progress)
        written = recipe_writing.write(bench, target, recipe, was, generate=not no_generate, progress=progress)
    tell(written)
