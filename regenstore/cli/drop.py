"""``regenstore drop``"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import NoReturn

import click

from regenstore.cli.console import say
from regenstore.cli.context import (
    ConsoleProgress,
    emit_json,
    json_option,
    open_repository,
    report_failures,
    show_path,
    worktree_paths,
)
from regenstore.errors import RegenstoreError
from regenstore.fs.path_text import path_text
from regenstore.tracked import get_and_drop


@click.command()
@click.argument("paths", nargs=-1)
@click.option("--dry-run", "-n", is_flag=True, help="Only show what would be dropped.")
@json_option
def command(paths: tuple[str, ...], dry_run: bool, as_json: bool) -> None:
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
    for path, reason in () if as_json else planned.kept:
        say(f"kept {show_path(path)}: {reason}", err=True)
    if dry_run and as_json:
        _emit([each.path for each in planned.placements], planned.kept, planned.failed)
    if dry_run:
        for placement in planned.placements:
            say(f"would drop {show_path(placement.path)}")
        sys.exit(report_failures(planned.failed))
    with ConsoleProgress() as progress:
        report = get_and_drop.drop(bench, planned, progress.counts("dropping", len(planned.placements)))
    if as_json:
        _emit(report.done, planned.kept, report.failed)
    say(f"{len(report.done)} dropped, {len(planned.kept)} kept")
    sys.exit(report_failures(report.failed))


def _emit(
    dropped: Iterable[bytes],
    kept: Iterable[tuple[bytes, str]],
    failed: Sequence[tuple[bytes, RegenstoreError]],
) -> NoReturn:
    emit_json(
        "drop",
        {
            "dropped": [path_text(path) for path in dropped],
            "kept": [{"path": path_text(path), "reason": reason} for path, reason in kept],
            "failed": [{"path": path_text(path), "kind": e.kind, "message": e.message} for path, e in failed],
        },
    )
    sys.exit(failed[-1][1].exit_code if failed else 0)
