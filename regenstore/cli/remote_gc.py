"""``regenstore remote gc``"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial

import click

from regenstore.cli.console import ask, say
from regenstore.cli.context import emit_json, json_option, open_repository, size_text
from regenstore.cli.durations import Age
from regenstore.cli.presentation import counted
from regenstore.errors import InvalidInput, TrustRequired
from regenstore.refs.settle import settle
from regenstore.remotes.gc import RETENTION, WAIT, RemoteContent, RemoteGc, RemoteGcPlan, RemoteGcReport, RetentionRules

_LEAST = 3600.0
_DAY = 86400.0


@click.command()
@click.argument("name")
@click.option("--dry-run", "-n", is_flag=True, help="Show what would be marked and deleted; change nothing.")
@click.option("--retention", type=Age(), default=RETENTION, help="Keep unneeded contents for at least this long (30d).")
@click.option("--wait", type=Age(), default=WAIT, help="Delete this long after marking (7d): longer than any push.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask for confirmation.")
@json_option
def command(name: str, dry_run: bool, retention: float, wait: float, yes: bool, as_json: bool) -> None:
    """Collect garbage on a remote, in two steps: unneeded contents are marked, and deleted in a later run.

    Run this in one designated job only, in a clone with all branches and tags, whose store has every repository
    registered that pushes to the remote: what none of them needs counts as unneeded. Pushing a marked content again
    keeps it. If one of the repositories cannot list all that it needs, nothing is done.

    \b
    Examples:
      regenstore remote gc studio --dry-run
      git fetch --all && regenstore remote gc studio --yes
      regenstore remote gc studio --retention 90d --wait 14d
    """
    for option, given in (("--retention", retention), ("--wait", wait)):
        if given < _LEAST:
            raise InvalidInput("bad-parameter", f"{option} must be at least an hour", hint="")
    repository = open_repository()
    gc = RemoteGc(repository.remote_definitions.find(name), repository.holders.holders, waits=partial(_tell_wait, name))
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


def _tell_wait(name: str, seconds: float) -> None:
    say(f"{name} has the lock of another gc: watching for up to {seconds:g} s whether that one is alive", err=True)


def _ask(as_json: bool) -> None:
    if as_json or not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise TrustRequired("not-confirmed", "nothing was marked or deleted: cannot ask for confirmation here")
    if not ask("Do this?", default=False):
        raise TrustRequired("not-confirmed", "nothing was marked or deleted", hint="")


def _show(plan: RemoteGcPlan, name: str) -> None:
    say("repositories asked: " + ", ".join(plan.repositories))
    say(f"needed: {counted(plan.needed[0], 'content')} ({size_text(plan.needed[1])}) of {name}")
    for items, what in (
        (plan.young, f"not needed, but younger than {plan.rules.retention / _DAY:g} days"),
        (plan.waiting, f"marked less than {plan.rules.wait / _DAY:g} days ago"),
        (plan.mark, "to be marked: not needed"),
        (plan.delete, "to be deleted: marked long enough ago and still not needed"),
    ):
        if items:
            say(f"{what}: {_sum(items)}")
    if plan.unmark:
        say(f"marks to be removed, as the contents are needed or were sent again: {len(plan.unmark)}")
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
        say(f"{report.stayed} stayed, as they were sent again or are needed now")


def _sum(items: Sequence[RemoteContent]) -> str:
    return f"{counted(len(items), 'content')} ({size_text(sum(item.size for item in items))})"
