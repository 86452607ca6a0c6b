"""``regenstore get``"""

from __future__ import annotations

import sys
from typing import Any

import click

from regenstore.cli.console import say
from regenstore.cli.context import (
    emit_json,
    json_option,
    open_repository,
    report_failures,
    show_label,
    show_path,
    size_text,
    worktree_paths,
)
from regenstore.cli.presentation import Heading, about, show_table
from regenstore.cli.progress_lines import progress_for
from regenstore.cli.remote_problems import tell_problems
from regenstore.fs.path_text import path_text
from regenstore.planning import AUTO, PREFERENCES, RunPlan
from regenstore.tracked import get_and_drop


@click.command()
@click.argument("paths", nargs=-1)
@click.option("--jobs", "-j", type=click.IntRange(1, 256), help="Number of media to make in parallel.")
@click.option(
    "--prefer", type=click.Choice(PREFERENCES), default=AUTO, help="Fetch or make media if both are possible."
)
@click.option("--no-generate", is_flag=True, help="Make nothing; only place what the store or a remote has.")
@click.option("--local", is_flag=True, help="Ask no remote, only other stores on this machine.")
@click.option("--dry-run", "-n", is_flag=True, help="Only show what would be made.")
@json_option
def command(
    paths: tuple[str, ...],
    jobs: int | None,
    prefer: str,
    no_generate: bool,
    local: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Bring media into the worktree: all, or those at and below PATHS.

    Media missing from the store are fetched from a remote or made again, whichever is estimated to take less time.
    --prefer fetch and --prefer generate choose one way whenever both are possible.

    Exits with code 0 only if all media are then in the worktree, else with the code of one of the reported errors.

    \b
    Examples:
      regenstore get
      regenstore get shots/ -j 4
      regenstore get --prefer fetch --no-generate
      regenstore get --dry-run
    """
    repository = open_repository({"jobs": jobs})
    bench = repository.workbench
    chosen = worktree_paths(repository, paths)
    planned = get_and_drop.plan_get(bench, chosen, generate=not no_generate, local=local, prefer=prefer)
    if dry_run:
        _show(planned, as_json)
        tell_problems(repository)
        sys.exit(report_failures(planned.failed))
    with progress_for(as_json, len(planned.plan.steps) + len(planned.plan.fetches)) as progress:
        report = get_and_drop.get(bench, planned, progress, progress.counts("placing", len(planned.wishes)))
    tell_problems(repository)
    excluded = len(planned.excluded)
    if as_json:
        failed = [{"path": path_text(p), "kind": e.kind, "message": e.message} for p, e in report.failed]
        done = [path_text(p) for p in report.done]
        emit_json(
            "get",
            {"placed": done, "drifted": [path_text(p) for p in report.drifted], "failed": failed, "excluded": excluded},
        )
        sys.exit(report.failed[-1][1].exit_code if report.failed else 0)
    for path in report.drifted:
        say(f"{show_path(path)}: the generator gave bytes that differ from the recorded take", err=True)
    brought = f", {report.fetched} fetched" if planned.plan.fetches else ""
    kept_out = f"; {excluded} excluded by the sparse checkout" if excluded else ""
    say(f"{len(report.done)} placed{brought}, {len(repository.generated)} made{kept_out}")
    sys.exit(report_failures(report.failed))


def _show(planned: get_and_drop.GetPlan, as_json: bool) -> None:
    steps = list(planned.plan.steps.values())
    if as_json:
        rows = [{"path": path_text(s.label), "key": str(s.key), "seconds": s.seconds} for s in steps]
        fetch = _fetched(planned.plan)
        totals = {"present": len(planned.plan.present), "seconds": planned.plan.seconds}
        emit_json("get-plan", {**totals, "make": rows, "fetch": fetch, "excluded": len(planned.excluded)})
        return
    labels = {source.content.digest: show_label(want.label) for want, source in planned.plan.fetched}
    rows_shown = [("would fetch", size_text(size), labels.get(d, str(d))) for d, size in planned.plan.fetches.items()]
    rows_shown += [("would make", about(step.seconds), show_label(step.label)) for step in steps]
    show_table((Heading("what"), Heading("cost", right=True), Heading("path")), rows_shown)
    say(
        f"{len(planned.plan.present)} in the store, "
        + (f"{len(planned.plan.fetches)} to fetch, " if planned.plan.fetches else "")
        + f"{len(steps)} to make"
        + (f", {about(planned.plan.seconds)} of work" if steps else "")
    )
    for outcome in planned.plan.failed:
        assert outcome.error is not None
        say(f"unavailable: {show_label(outcome.want.label)}: {outcome.error.message}", err=True)


def _fetched(plan: RunPlan) -> list[dict[str, Any]]:
    paths = {source.content.digest: path_text(want.label) for want, source in plan.fetched}
    return [{"path": paths.get(d), "digest": str(d), "size": size} for d, size in plan.fetches.items()]
