"""``regenstore new``"""

from __future__ import annotations

import click

from regenstore.cli.context import (
    ConsoleProgress,
    assignments,
    input_paths,
    open_repository,
    worktree_path,
)
from regenstore.cli.write_report import input_option, preview, write_each, writing_options
from regenstore.tracked import recipe_writing
from regenstore.tracked.recipe_writing import Written


@click.command()
@click.argument("path")
@click.option("--generator", "-g", required=True, help="Generator to use; see 'regenstore generators'.")
@click.option("--param", "-p", "params", multiple=True, metavar="NAME=VALUE", help="A parameter; may be repeated.")
@input_option
@click.option("--force", is_flag=True, help="Replace an existing file at the path.")
@writing_options
def command(
    path: str,
    generator: str,
    params: tuple[str, ...],
    inputs: tuple[str, ...],
    no_generate: bool,
    force: bool,
    dry_run: bool,
    as_json: bool,
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
    values, sources = assignments(params, "a parameter"), input_paths(repository, inputs)

    def write(target: bytes) -> Written | str:
        recipe = recipe_writing.compose(bench, target, generator, values, sources, None if dry_run else progress)
        if dry_run:
            return preview(None, recipe)
        return recipe_writing.write(bench, target, recipe, was, generate=not no_generate, progress=progress)

    with ConsoleProgress() as progress:
        write_each([target], write, as_json=as_json)
