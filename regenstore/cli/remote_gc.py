"""``regenstore remote gc``"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from regenstore.cli.console import ask, say
from regenstore.cli.context import emit_json, json_option, open_repository, size_text
from regenstore.cli.durations import Age
from regenstore.errors import InvalidInput, TrustRequired
from regenstore.refs.settle import settle
from regenstore.remotes.gc import RETENTION, WAIT, RemoteContent, RemoteGc, RemoteGcPlan, RemoteGcReport, RetentionRules

_LEAST = 3600.0
_DAY = 86400.0


@click.command()
@click.argument("name")
@click.option("--dry-run", "-n", is_flag=True, help="Show what would be marked and deleted; change nothing.")
@click.option("--retention", type=Age(), default=RETENTION, help="Keep at least so long what nothing needs (30d).")
@click.option("--wait", type=Age(), default=WAIT, help="Delete so long after the mark (7d): longer than any push.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@json_option
def command(name: str, dry_run: bool, retention: float, wait: float, yes: bool, as_json: bool) -> None:
    """Clear up a remote, in two steps: what nothing needs is marked, and deleted by a later run.

    For one designated job, in a clone that has all branches and tags, and whose store every repository is registered
    with that pushes to the remote: what none of them needs counts as not needed. Whoever pushes a marked content
    again keeps it. If one of the repositories cannot say all that it needs, nothing is done.

    \b
    Examples:
      regenstore remote gc studio --dry-run
      git fetch --all && regenstore remote gc studio --yes
      regenstore remote gc studio --retention 90d --wait 14d
    """
    for option, given in (("--retention", retention), ("--wait", wait)):
        if given < _LEAST:
            raise InvalidInput("bad-parameter", f"{option} has to be an hour or more", hint="")
    repository = open_repository()
    gc = RemoteGc(repository.remote_definitions.find(name), repository.holders.holders)
    repository.store.prepare()
    if not dry_run:
        settle(repository.git, repository.roots.files)
    plan = gc.plan(RetentionRules(retention, wait))
    if not as_json:
        _show(plan, name)
    if dry_run or plan.empty:
        if as_json:
            emit_json("remote-gc-plan" if dry_run else "remote-gc", {"remote": name, "plan": plan.fields()})
        return
    if not yes:
        _ask(as_json)
    report = gc.execute(plan)
    if as_json:
        emit_json("remote-gc", {"remote": name, "plan": plan.fields(), "done": report.fields()})
    else:
        _tell(report, wait)


def _ask(as_json: bool) -> None:
    if as_json or not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise TrustRequired("not-confirmed", "nothing was marked or deleted: there is nobody to ask")
    if not ask("Do this?", default=False):
        raise TrustRequired("not-confirmed", "nothing was marked or deleted", hint="")


def _show(plan: RemoteGcPlan, name: str) -> None:
    say("asked what they need: " + ", ".join(plan.repositories))
    say(f"needed: {plan.needed[0]} contents ({size_text(plan.needed[1])}) of {name}")
    for items, what in (
        (plan.young, f"not needed, and there for less than {plan.rules.retention / _DAY:g} days"),
        (plan.waiting, f"marked less than {plan.rules.wait / _DAY:g} days ago"),
        (plan.mark, "to be marked: not needed"),
        (plan.delete, "to be deleted: marked long enough ago, and still not needed"),
    ):
        if items:
            say(f"{what}: {_sum(items)}")
    if plan.unmark:
        say(f"marks to be taken away, as they are needed or were sent again: {len(plan.unmark)}")
    if plan.lines:
        say(f"records about contents that are gone: {plan.lines}")
    if plan.empty:
        say("nothing to do")


def _tell(report: RemoteGcReport, wait: float) -> None:
    if report.marked:
        say(f"marked {_sum(report.marked)}; to be deleted in {wait / _DAY:g} days")
    if report.deleted:
        say(f"deleted {_sum(report.deleted)}")
    if report.stayed:
        say(f"{report.stayed} stayed, as they were sent again or are needed by now")


def _sum(items: Sequence[RemoteContent]) -> str:
    return f"{len(items)} contents ({size_text(sum(item.size for item in items))})"
