"""``regenstore unset``"""

from __future__ import annotations

import click

from regenstore.cli.context import ConsoleProgress, open_repository, worktree_paths
from regenstore.cli.write_report import preview, write_each, writing_options
from regenstore.tracked import recipe_writing
from regenstore.tracked.recipe_writing import Written


@click.command()
@click.argument("path")
@click.argument("rest", nargs=-1, metavar="[PATH]... [NAME]...")
@click.option("--param", "-p", "params", multiple=True, metavar="NAME", help="A parameter to remove; may be repeated.")
@click.option("--input", "-i", "inputs", multiple=True, metavar="NAME", help="An input to remove; may be repeated.")
@writing_options
def command(
    path: str,
    rest: tuple[str, ...],
    params: tuple[str, ...],
    inputs: tuple[str, ...],
    no_generate: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Remove parameters or inputs from recipes and make them again. Nothing is staged.

    Without -p and -i, the first argument is the path, and the others are names; with them, all arguments are paths.

    \b
    Examples:
      regenstore unset shots/sh010.mp4 style
      regenstore unset shots/ -p style
    """
    names = (*params, *inputs) or rest
    if not names:
        raise click.UsageError("Give at least one name of a parameter or input.")
    repository = open_repository()
    bench = repository.workbench
    paths = (path, *rest) if params or inputs else (path,)

    def write(target: bytes) -> Written | str:
        was = bench.seen(target)
        before = bench.editable(target)
        recipe = recipe_writing.changed(bench, before, {}, {}, names, None if dry_run else progress)
        if dry_run:
            return preview(before, recipe)
        return recipe_writing.write(bench, target, recipe, was, generate=not no_generate, progress=progress)

    with ConsoleProgress() as progress:
        write_each(bench.named(worktree_paths(repository, paths)), write, as_json=as_json)
