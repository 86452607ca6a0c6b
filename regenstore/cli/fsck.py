"""``regenstore fsck``"""

from __future__ import annotations

import os
import sys

import click

from regenstore.cli.console import say
from regenstore.cli.context import ConsoleProgress, emit_json, json_option
from regenstore.config import GitEnvironment
from regenstore.doctor import fsck
from regenstore.doctor.fsck_context import Scope
from regenstore.doctor.fsck_plan import Done
from regenstore.repository import Repository

_CHECKING = "checking contents"


@click.command()
@click.option("--dry-run", "-n", is_flag=True, help="Show what is wrong and what would be done; change nothing.")
@click.option("--no-repair", is_flag=True, help="Only report; exit code 1 if anything is wrong.")
@click.option("--quick", is_flag=True, help="Do not read contents; only check that they exist.")
@click.option("--worktree-only", is_flag=True, help="Check only the recipes in Git's index and HEAD here.")
@click.option("--regenerate", is_flag=True, help="Also run recipes that only other branches and history record.")
@json_option
def command(dry_run: bool, no_repair: bool, quick: bool, worktree_only: bool, regenerate: bool, as_json: bool) -> None:
    """Check the store: every content against its name, the database, and everything that recipes need in every branch,
    tag, stash and reflog of every repository that uses the store; then repair it.

    Bad bytes are moved to 'quarantine/' in the store, never deleted. They are replaced from elsewhere on this machine
    (the trash, a worktree, the store of a repository this one was cloned from) or by running their recipe; contents
    that cannot be made are fetched from a remote. Missing takes of Git's index and HEAD are restored in the same way,
    those of other branches and of history only from elsewhere or a remote, unless --regenerate is given. Contents
    that cannot be restored are listed with the last place that records them. A take that is not in the store but
    is proven to come back is not an error. Media of this worktree that were placed from bad bytes are replaced by the
    right ones. Exits with code 1 if something is lost or remains to be done.

    \b
    Examples:
      regenstore fsck
      regenstore fsck --dry-run
      regenstore fsck --quick --worktree-only
      regenstore fsck --no-repair --json
    """
    # The plan reports what killed processes left, and clears it away.
    repository = Repository.discover(os.getcwd(), GitEnvironment.read())
    only_show = dry_run or no_repair
    scope = Scope(quick, worktree_only, regenerate, remember=not only_show)
    context = repository.fsck_context()
    with ConsoleProgress() as progress:
        progress.started(_CHECKING, None)
        plan = fsck.plan_check(context, scope, lambda part: progress.advanced(_CHECKING, part, ""))
        progress.finished(_CHECKING, None)
    if not as_json:
        for line in plan.lines():
            say(line)
    done: list[Done] = []
    if not only_show:
        with ConsoleProgress(len(plan.generate.steps)) as progress:
            for one in fsck.execute(context, plan, progress):
                done.append(one)
                if not as_json:
                    say(one.line(), err=not one.ok)
    well = plan.sound if no_repair else plan.curable and all(one.ok for one in done)
    repository.close()
    if as_json:
        emit_json("fsck", {"well": well, **plan.fields(), "done": [one.fields() for one in done]})
    else:
        say(plan.summary(None if only_show else done, quick=quick))
    sys.exit(0 if well else 1)
