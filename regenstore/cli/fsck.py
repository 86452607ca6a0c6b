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
@click.option("--quick", is_flag=True, help="Do not read the contents: only look whether they are there.")
@click.option("--worktree-only", is_flag=True, help="Only the recipes of Git's index and HEAD here.")
@click.option("--regenerate", is_flag=True, help="Also run what only other branches and history record.")
@json_option
def command(dry_run: bool, no_repair: bool, quick: bool, worktree_only: bool, regenerate: bool, as_json: bool) -> None:
    """Check the store: every content against its name, the database, and all that recipes need, in every branch,
    tag, stash and reflog of every repository that uses the store.

    Bad bytes are moved to 'quarantine/' in the store, never deleted. They then come back from elsewhere on this
    machine (the trash, a worktree, the store of a repository this one was cloned from) or by running their
    recipe; what cannot be made is fetched from a remote that has it. Missing takes of Git's index and HEAD come back
    the same way; those of other branches and of history only from elsewhere or a remote, unless --regenerate is
    given. What cannot come back is named with the last place that records it. A take that is not in the store and
    can be made again, by its proof, is no error. Exit code 1 if something is lost or left.

    \b
    Examples:
      regenstore fsck
      regenstore fsck --dry-run
      regenstore fsck --quick --worktree-only
      regenstore fsck --no-repair --json
    """
    # What killed processes left is reported first, and cleared away by the plan.
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
