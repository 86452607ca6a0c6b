"""``regenstore fsck``"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping

import click

from regenstore.cli.context import ConsoleProgress, emit_json, json_option
from regenstore.config import GitEnvironment
from regenstore.doctor import store_check
from regenstore.doctor.store_check import CheckPlan, Done, Invalid, Parts
from regenstore.objects.content_store import ContentStore
from regenstore.objects.result_cache import ResultCache
from regenstore.realise import Realiser
from regenstore.refs.recipes import RecipeFinder
from regenstore.repository import Repository
from regenstore.tracked.check import check_index

_CHECKING = "checking contents"


@click.command()
@click.option("--dry-run", "-n", is_flag=True, help="Show what is wrong and what would be done; change nothing.")
@click.option("--no-repair", is_flag=True, help="Only report; exit code 1 if anything is wrong.")
@json_option
def command(dry_run: bool, no_repair: bool, as_json: bool) -> None:
    """Check the store: every content against its name, the database, and the recipes in Git's index and HEAD.

    Bad bytes are moved to 'quarantine/' in the store, never deleted. What is missing then comes back from the
    worktree or by running its recipe; what cannot is named with the last place that records it. Exit code 1
    if something is lost or left.

    \b
    Examples:
      regenstore fsck
      regenstore fsck --dry-run
      regenstore fsck --no-repair --json
    """
    # What killed processes left is reported first, and cleared away by the plan.
    repository = Repository.discover(os.getcwd(), GitEnvironment.read())
    parts = _parts(repository)
    with ConsoleProgress() as progress:
        progress.started(_CHECKING, None)
        plan = store_check.plan_check(parts, lambda fraction: progress.advanced(_CHECKING, fraction, ""))
        progress.finished(_CHECKING, None)
    only_show = dry_run or no_repair
    done: list[Done] = []
    if not as_json:
        for line in plan.lines():
            click.echo(_printable(line))
    if not only_show:
        with ConsoleProgress(len(plan.generate.steps)) as progress:
            for one in store_check.execute(parts, plan, progress):
                done.append(one)
                if not as_json:
                    _tell(one)
    well = plan.sound if no_repair else plan.curable and all(one.ok for one in done)
    repository.close()
    if as_json:
        emit_json("fsck", {"well": well, **plan.fields(), "done": [one.fields() for one in done]})
    else:
        click.echo(_summary(plan, done, only_show=only_show))
    sys.exit(0 if well else 1)


def _parts(repository: Repository) -> Parts:
    finder = RecipeFinder(repository.git, repository.blobs, repository.index.oids)

    def realiser(store: ContentStore, readable: bool) -> Realiser:
        # Reading a damaged database would move it aside: a plan then goes without one.
        cache = repository.cache if readable else ResultCache(f"{store.root}/no-database")
        return Realiser(store, cache, repository.registry, repository.realiser.executor, finder.find)

    def validate(entries: Mapping[bytes, bytes]) -> Iterator[Invalid]:
        for found in check_index(repository.git, repository.blobs, entries):
            yield Invalid(found.path, found.kind, found.message)

    return Parts(
        repository.store,
        repository.location,
        repository.settings.oid_size,
        repository.git,
        repository.roots,
        repository.blobs,
        finder.find,
        lambda: repository.cache,
        realiser,
        validate,
    )


def _tell(one: Done) -> None:
    more = f": {one.message}" if one.message else ""
    click.echo(_printable(f"{one.what}: {one.subject}{more}"), err=not one.ok)


def _summary(plan: CheckPlan, done: list[Done], *, only_show: bool) -> str:
    checked = f"{plan.scan.checked} contents are what their names say"
    if plan.sound:
        return f"{checked}; all is well"
    if only_show:
        hopeless = len(plan.hopeless)
        return (
            f"{checked}; {len(plan.scan.bad)} bad, {len(plan.missing)} missing, {hopeless} of them for good or for now"
        )
    back = sum(one.ok and one.what in ("renamed", "restored", "made again") for one in done)
    left = sum(not one.ok for one in done) + len(plan.invalid) + len(plan.unreadable)
    return f"{checked}; {back} brought back, {left} lost or left"


def _printable(line: str) -> str:
    shown = line.encode(errors="replace").decode()
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in shown)
