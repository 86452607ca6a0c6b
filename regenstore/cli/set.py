"""``regenstore set``"""

from __future__ import annotations

import click

from regenstore.cli.console import say
from regenstore.cli.context import (
    ConsoleProgress,
    assignments,
    input_paths,
    open_repository,
    show_path,
    worktree_path,
)
from regenstore.cli.write_report import tell
from regenstore.tracked import conflicts, recipe_writing


@click.command()
@click.argument("path")
@click.argument("assigned", nargs=-1, metavar="[NAME=VALUE]...")
@click.option("--param", "-p", "params", multiple=True, metavar="NAME=VALUE", help="The same as NAME=VALUE alone.")
@click.option("--input", "-i", "inputs", multiple=True, metavar="NAME=PATH", help="An input file; may be repeated.")
@click.option("--ours", multiple=True, metavar="FIELD", help="In a conflict: keep our value of a field; '*' is all.")
@click.option("--theirs", multiple=True, metavar="FIELD", help="In a conflict: take their value of a field.")
@click.option("--no-generate", is_flag=True, help="Only write the recipe text; do not make the medium now.")
@click.option("--force", is_flag=True, help="Start from the recipe even if its medium was edited by hand.")
def command(
    path: str,
    assigned: tuple[str, ...],
    params: tuple[str, ...],
    inputs: tuple[str, ...],
    ours: tuple[str, ...],
    theirs: tuple[str, ...],
    no_generate: bool,
    force: bool,
) -> None:
    """Change parameters or inputs of the recipe at PATH and make it again. Nothing is staged.

    After a merge, --ours, --theirs and NAME=VALUE resolve fields in conflict; 'regenstore status' lists them. FIELD is
    a name like seed, params.seed, about or take. While others stay in conflict, nothing is made.

    \b
    Examples:
      regenstore set shots/sh010.mp4 seed=8
      regenstore set shots/sh010_proxy.mp4 -i source=shots/sh010.mp4     # use the current version
      regenstore set shots/sh010.mp4 --theirs seed --ours prompt && git add shots/sh010.mp4
    """
    params = (*assigned, *params)
    if not (params or inputs or ours or theirs):
        raise click.UsageError("Give at least one NAME=VALUE or --input NAME=PATH, or --ours or --theirs FIELD.")
    repository = open_repository()
    bench = repository.workbench
    target = worktree_path(repository, path)
    values, sources = assignments(params, "a parameter"), input_paths(repository, inputs)
    with ConsoleProgress() as progress:
        was = bench.seen(target)
        recipe_writing.refuse_itself(target, sources)
        found = conflicts.in_conflict(bench, target)
        if found is not None or ours or theirs:
            resolved = conflicts.resolve(bench, target, found, values, sources, ours, theirs, progress)
            if isinstance(resolved, tuple):
                text, left = resolved
                recipe_writing.write_marked(bench, target, text, was)
                say(f"{show_path(target)}: still in conflict: {', '.join(left)}")
                return
            recipe = resolved
        else:
            before = bench.editable(target, force=force)
            recipe = recipe_writing.changed(bench, before, values, sources, (), progress)
        written = recipe_writing.write(bench, target, recipe, was, generate=not no_generate, progress=progress)
    tell(written)
    if found is not None:
        say(f"{show_path(target)}: no conflict is left; 'git add' it")
