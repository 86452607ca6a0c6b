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
    split_settings,
    worktree_paths,
)
from regenstore.cli.write_report import input_option, preview, write_each, writing_options
from regenstore.tracked import conflicts, recipe_writing
from regenstore.tracked.recipe_writing import Written


@click.command()
@click.argument("path")
@click.argument("rest", nargs=-1, metavar="[PATH]... [NAME=VALUE]...")
@click.option("--param", "-p", "params", multiple=True, metavar="NAME=VALUE", help="The same as NAME=VALUE alone.")
@input_option
@click.option("--ours", multiple=True, metavar="FIELD", help="In a conflict: keep our value of a field; '*' is all.")
@click.option("--theirs", multiple=True, metavar="FIELD", help="In a conflict: take their value of a field.")
@click.option("--force", is_flag=True, help="Start from the recipe even if its medium was edited by hand.")
@writing_options
def command(
    path: str,
    rest: tuple[str, ...],
    params: tuple[str, ...],
    inputs: tuple[str, ...],
    ours: tuple[str, ...],
    theirs: tuple[str, ...],
    no_generate: bool,
    force: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Change parameters or inputs of the recipes at PATHs and make them again. Nothing is staged.

    After a merge, --ours, --theirs and NAME=VALUE resolve fields in conflict; 'regenstore status' lists them. FIELD is
    a name like seed, params.seed, about or take. While others stay in conflict, nothing is made.

    \b
    Examples:
      regenstore set shots/sh010.mp4 seed=8
      regenstore set shots/sh010_proxy.mp4 -i source=shots/sh010.mp4     # use the current version
      regenstore set shots/sh010.mp4 --theirs seed --ours prompt && git add shots/sh010.mp4
    """
    paths, assigned = split_settings(path, rest, "a parameter")
    params = (*assigned, *params)
    if not (params or inputs or ours or theirs):
        raise click.UsageError("Give at least one NAME=VALUE or --input NAME=PATH, or --ours or --theirs FIELD.")
    repository = open_repository()
    bench = repository.workbench
    values, sources = assignments(params, "a parameter"), input_paths(repository, inputs)

    def write(target: bytes) -> Written | str:
        was = bench.seen(target)
        recipe_writing.refuse_itself(target, sources)
        found = conflicts.in_conflict(bench, target)
        making = None if dry_run else progress
        if found is None and not (ours or theirs):
            before = bench.editable(target, force=force)
            recipe = recipe_writing.changed(bench, before, values, sources, (), making)
            if dry_run:
                return preview(before, recipe)
        else:
            resolved = conflicts.resolve(bench, target, found, values, sources, ours, theirs, making)
            if isinstance(resolved, tuple):
                if dry_run:
                    return f"would stay in conflict: {', '.join(resolved[1])}"
                recipe_writing.write_marked(bench, target, resolved[0], was)
                return f"still in conflict: {', '.join(resolved[1])}"
            recipe = resolved
            if dry_run:
                return preview(None, recipe)
        written = recipe_writing.write(bench, target, recipe, was, generate=not no_generate, progress=progress)
        if found is not None:
            say(f"{show_path(target)}: no conflict is left; 'git add' it", err=True)
        return written

    with ConsoleProgress() as progress:
        write_each(bench.named(worktree_paths(repository, paths)), write, as_json=as_json)
