"""``regenstore drop``"""

from __future__ import annotations

import sys

import click

from regenstore.cli.console import say
from regenstore.cli.context import ConsoleProgress, open_repository, report_failures, show_path, worktree_paths
from regenstore.tracked import get_and_drop


@click.command()
@click.argument("paths", nargs=-1)
@click.option("--dry-run", "-n", is_flag=True, help="Only show what would be dropped.")
def command(paths: tuple[str, ...], dry_run: bool) -> None:
    """Replace media in the worktree with their recipe text: all media, or those at and below PATHS.

    The store keeps the media; 'regenstore get' places them again. Media that are not in the store, and files with
    changes that were not added, stay in place.

    \b
    Example:
      regenstore drop shots/
    """
    repository = open_repository()
    bench = repository.workbench
    with ConsoleProgress() as progress:
        planned = get_and_drop.plan_drop(
            bench, worktree_paths(repository, paths), lambda total: progress.counts("comparing with the store", total)
        )
    for path, reason in planned.kept:
        say(f"kept {show_path(path)}: {reason}", err=True)
    if dry_run:
        for placement in planned.placements:
            say(f"would drop {show_path(placement.path)}")
        sys.exit(report_failures(planned.failed))
    with ConsoleProgress() as progress:
        report = get_and_drop.drop(bench, planned, progress.counts("dropping", len(planned.placements)))
    say(f"{len(report.done)} dropped, {len(planned.kept)} kept")
    sys.exit(report_failures(report.failed))
