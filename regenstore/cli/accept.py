"""``regenstore accept``"""

from __future__ import annotations

import click

from regenstore.cli.context import dry_run_option, json_option, open_repository, worktree_paths
from regenstore.cli.write_report import preview, write_each
from regenstore.tracked import proof
from regenstore.tracked.recipe_writing import Written


@click.command()
@click.argument("paths", nargs=-1, required=True)
@click.option("--take", metavar="DIGEST", help="First hex digits of the content; required if there are several others.")
@dry_run_option
@json_option
def command(paths: tuple[str, ...], take: str | None, dry_run: bool, as_json: bool) -> None:
    """Make another known content the take of the recipes at PATHS. 'git diff' shows the change; nothing is
    staged.

    \b
    Examples:
      regenstore accept shots/sh010.mp4
      regenstore accept shots/sh010.mp4 --take 3fa4c1
    """
    repository = open_repository()
    bench = repository.workbench

    def write(path: bytes) -> Written | str:
        written = proof.accept(bench, path, take, dry_run=dry_run)
        return preview(bench.current(path), written.recipe) if dry_run else written

    write_each(bench.named(worktree_paths(repository, paths)), write, as_json=as_json)
