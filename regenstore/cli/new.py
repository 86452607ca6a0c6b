"""``regenstore new``"""

from __future__ import annotations

import click

from regenstore.cli.context import ConsoleProgress, assignments, input_paths, open_repository, worktree_path
from regenstore.cli.write_report import tell
from regenstore.tracked import recipe_writing


@click.command()
@click.argument("path")
@click.option("--generator", "-g", required=True, help="Generator to use; see 'regenstore generators'.")
@click.option("--param", "-p", "params", multiple=True, metavar="NAME=VALUE", help="A parameter; may be repeated.")
@click.option("--input", "-i", "inputs", multiple=True, metavar="NAME=PATH", help="An input file; may be repeated.")
@click.option("--no-generate", is_flag=True, help="Only write the recipe text; do not make the medium now.")
@click.option("--force", is_flag=True, help="Replace an existing file at the path.")
def command(
    path: str, generator: str, params: tuple[str, ...], inputs: tuple[str, ...], no_generate: bool, force: bool
) -> None:
    """Write a recipe for PATH and make its medium. Nothing is staged; use 'git add' for that.

    \b
    Examples:
      regenstore new plates/sea.png -g procedural.image -p prompt="storm at dusk" -p seed=42
      regenstore new shots/sh010_proxy.mp4 -g derive.video -i source=shots/sh010.mp4 -p height=240
    """
    repository = open_repository()
    bench = repository.workbench
    target = worktree_path(repository, path)
    bench.require_tracked(target)
    was = recipe_writing.vacant(bench, target, force=force)
    with ConsoleProgress() as progress:
        recipe = recipe_writing.compose(
            bench, target, generator, assignments(params, "a parameter"), input_paths(repository, inputs), progress
        )
        written = recipe_writing.write(bench, target, recipe, was, generate=not no_generate, progress=progress)
    tell(written)
