"""``regenstore unpin``"""

from __future__ import annotations

import click

from regenstore.cli.console import say
from regenstore.cli.context import dry_run_option, emit_json, json_option, open_repository, paths_or_keys, show_path
from regenstore.fs.path_text import path_text
from regenstore.tracked import pinning


@click.command()
@click.argument("what", metavar="PATH|KEY...", nargs=-1, required=True)
@dry_run_option
@json_option
def command(what: tuple[str, ...], dry_run: bool, as_json: bool) -> None:
    """Remove the pins of the recipes at PATHs, or of KEYs. Nothing else changes, and nothing is deleted.

    \b
    Examples:
      regenstore unpin shots/sh010.mp4
      regenstore unpin key:1f0c…            as shown by 'regenstore pins'
    """
    repository = open_repository()
    bench = repository.workbench
    targets = paths_or_keys(repository, what)
    names = dict(zip((pinning.find_pin(bench, target) for target in targets), targets))
    if not dry_run:
        for target in names.values():
            pinning.unpin(bench, target)
    if as_json:
        given = [path_text(each) if isinstance(each, bytes) else str(each) for each in names.values()]
        emit_json("unpin", {"unpinned": given})
        return
    for target in names.values():
        shown = show_path(target) if isinstance(target, bytes) else str(target)
        say(f"{shown} {'would no longer be' if dry_run else 'is no longer'} pinned")
