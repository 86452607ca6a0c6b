"""``regenstore verify``"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict

import click

from regenstore.cli.console import say, say_error
from regenstore.cli.context import emit_json, json_option, open_repository, show_label, show_path, worktree_paths
from regenstore.cli.presentation import Heading, about, counted, show_table
from regenstore.cli.progress_lines import progress_for
from regenstore.errors import InvalidInput, RegenstoreError
from regenstore.fs.path_text import path_text
from regenstore.planning import RunPlan
from regenstore.tracked import proof
from regenstore.tracked.check import OUTDATED
from regenstore.tracked.proof import Verdict

_UNKNOWN = "no-such-generator"


@click.command()
@click.argument("paths", nargs=-1)
@click.option("--all", "-a", "everything", is_flag=True, help="Every tracked recipe with a take.")
@click.option("--sample", type=click.IntRange(1), metavar="N", help="Verify N of them, chosen at random.")
@click.option("--changed", is_flag=True, help="Only takes without a proof that holds in this environment.")
@click.option("--jobs", "-j", type=click.IntRange(1, 256), help="Number of recipes to run in parallel.")
@click.option("--dry-run", "-n", is_flag=True, help="Only show what would be run.")
@json_option
def command(
    paths: tuple[str, ...],
    everything: bool,
    sample: int | None,
    changed: bool,
    jobs: int | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Run recipes again and compare the results with their takes.

    Results are graded: equal in bytes; equal in content (decoded pixels, samples, frames); equivalent (by a metric,
    with its threshold); different. If they differ, both are kept. If a third run agrees with the second, and a
    correction of less than 5 % of the medium turns their result into the take, byte for byte, the correction is
    kept and makes the take come back. Exits with code 1 if a take did not come back.

    \b
    Examples:
      regenstore verify shots/sh010.mp4
      regenstore verify --all --changed -j 2
      regenstore verify --sample 5
    """
    if not paths and not (everything or sample or changed):
        raise click.UsageError("Give paths, --all, --changed or --sample N.")
    repository = open_repository({"jobs": jobs})
    bench = repository.workbench
    recipes = proof.candidates(bench, worktree_paths(repository, paths))
    if changed:
        recipes = proof.unproven(bench, recipes)
    if sample is not None:
        recipes = proof.sample(recipes, sample)
    verdicts = [*proof.unreadable(bench, recipes)]
    for verdict in verdicts:
        del recipes[verdict.path]
    old = [] if sample is not None else proof.outdated(bench, worktree_paths(repository, paths))
    verdicts += [proof.Verdict(path, error=InvalidInput("outdated-take", OUTDATED)) for path in old]
    if not as_json:
        for verdict in verdicts:
            _tell(verdict)
    plan = proof.plan_verify(bench, recipes)
    if dry_run:
        unplanned = [Verdict(os.fsencode(each.want.label), error=each.error) for each in plan.failed]
        for verdict in () if as_json else unplanned:
            _tell(verdict)
        verdicts += unplanned
        if not as_json:
            _tell_unrunnable(verdicts)
        _show(plan, verdicts, as_json)
        sys.exit(1 if verdicts else 0)
    with progress_for(as_json, len(plan.steps)) as progress:
        for verdict in proof.verify(bench, plan, progress):
            verdicts.append(verdict)
            if not as_json:
                _tell(verdict)
    bad = [v for v in verdicts if not v.comes_back]
    if not as_json:
        _tell_unrunnable(verdicts)
    if as_json:
        emit_json("verify", {"paths": [_fields(v) for v in verdicts]})
    else:
        back, ends = len(verdicts) - len(bad), "s" if len(verdicts) == 1 else ""
        say(f"{back} of {counted(len(verdicts), 'take')} come{ends} back")
    sys.exit(1 if bad else 0)


def _show(plan: RunPlan, failed: Sequence[Verdict], as_json: bool) -> None:
    steps = plan.steps.values()
    if as_json:
        rows = [{"path": path_text(step.label), "key": str(step.key), "seconds": step.seconds} for step in steps]
        emit_json("verify-plan", {"run": rows, "seconds": plan.seconds, "failed": [_fields(each) for each in failed]})
        return
    columns = (Heading("what"), Heading("cost", right=True), Heading("path"))
    show_table(columns, [("would run", about(step.seconds), show_label(step.label)) for step in steps])
    say(f"{len(steps)} to run" + ("" if not steps else f", {about(plan.seconds)} of work"))


def _tell(verdict: Verdict) -> None:
    shown = show_path(verdict.path)
    if verdict.error is not None:
        if verdict.error.kind != _UNKNOWN:
            say_error(f"{shown}: not verified", verdict.error)
        return
    assert verdict.proof is not None and verdict.likeness is not None
    given = verdict.proof
    score = "" if given.score is None else f", {given.metric} {given.score:g} (at least {given.threshold:g})"
    more = f": {verdict.likeness.difference}" if verdict.likeness.difference else ""
    say(f"{given.tier:<10} {shown}{score}{more}", style="" if verdict.comes_back else "error")
    if given.second != given.take:
        say(f"           both are kept; the second run gave {given.second.short} ('regenstore takes {shown}')")
    if len(verdict.gave) > 1:
        say(f"           it varies: its runs in this environment gave {len(verdict.gave)} different contents")
    correction = verdict.correction
    if correction is not None and correction.kept:
        size = f"{correction.size:,} bytes, {correction.share:.2%} of it"
        say(f"corrected  {shown}: the third run agrees with the second, and a correction ({size}) gives the take")
    elif correction is not None:
        say(f"           not corrected: {correction.reason}")


def _tell_unrunnable(verdicts: Iterable[Verdict]) -> None:
    """Say once per generator that it is not known here: captured media are many, their programs seldom installed."""
    same: dict[str, list[RegenstoreError]] = {}
    for verdict in verdicts:
        if verdict.error is not None and verdict.error.kind == _UNKNOWN:
            same.setdefault(verdict.error.message, []).append(verdict.error)
    for alike in same.values():
        say_error(f"{counted(len(alike), 'take')} not verified", alike[0])


def _fields(verdict: Verdict) -> dict[str, object]:
    if verdict.error is not None:
        return {"path": path_text(verdict.path), "kind": verdict.error.kind, "message": verdict.error.message}
    assert verdict.proof is not None and verdict.likeness is not None
    given = verdict.proof
    return {
        "path": path_text(verdict.path),
        "tier": given.tier,
        "take": str(given.take),
        "second": str(given.second),
        "metric": given.metric or None,
        "score": given.score,
        "threshold": given.threshold,
        "difference": verdict.likeness.difference or None,
        "correction": None if verdict.correction is None else asdict(verdict.correction),
        "comes_back": verdict.comes_back,
        "gave": sorted(map(str, verdict.gave)),
        "seconds": given.seconds,
        "fingerprint": dict(given.fingerprint),
    }
