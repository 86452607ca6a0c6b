"""``regenstore new``"""

from __future__ import annotations

import click

from regenstore.cli.context import (
    ConsoleProgress,
    assignments,
    dry_run_option,
    input_paths,
    json_option,
    open_repository,
    worktree_path,
)
from regenstore.cli.write_report import preview, write_each
from regenstore.tracked import recipe_writing
from regenstore.tracked.recipe_writing import Written


@click.command()
@click.argument("path")
@click.option("--generator", "-g", required=True, help="Generator to use; see 'regenstore generators'.")
@click.option("--param", "-p", "params", multiple=True, metavar="NAME=VALUE", help="A parameter; may be repeated.")
@click.option("--input", "-i", "inputs", multiple=True, metavar="NAME=PATH", help="An input file; may be repeated.")
@click.option("--no-generate", is_flag=True, help="Only write the recipe text; do not make the medium now.")
@click.option("--force", is_flag=True, help="Replace an existing file at the path.")
@dry_run_option
@json_option
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
