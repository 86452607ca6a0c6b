"""``regenstore fsck``"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping

import click

from regenstore.cli.console import say
from regenstore.cli.context import ConsoleProgress, emit_json, json_option
from regenstore.config import GitEnvironment
from regenstore.doctor import repair, store_check
from regenstore.doctor.missing_contents import Asked, Invalid, Scope
from regenstore.doctor.repair import Done
from regenstore.doctor.store_check import CheckPlan, StoreParts
from regenstore.objects.content_store import ContentStore
from regenstore.objects.results.cache import ResultCache
from regenstore.proof.environments import Environments
from regenstore.realise import Realiser
from regenstore.refs.recipes import RecipeFinder
from regenstore.refs.store_repositories import Holder, Holders
from regenstore.repository import Repository
from regenstore.tracked.check import check_index

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
    parts = _parts(repository)
    with ConsoleProgress() as progress:
        progress.started(_CHECKING, None)
        plan = store_check.plan_check(parts, lambda part: progress.advanced(_CHECKING, part, ""), scope)
        progress.finished(_CHECKING, None)
    done: list[Done] = []
    if not as_json:
        for line in plan.lines():
            say(line)
    if not only_show:
        with ConsoleProgress(len(plan.generate.steps)) as progress:
            for one in repair.execute(parts, plan, progress):
                done.append(one)
                if not as_json:
                    _tell(one)
    well = plan.sound if no_repair else plan.curable and all(one.ok for one in done)
    repository.close()
    if as_json:
        emit_json("fsck", {"well": well, **plan.fields(), "done": [one.fields() for one in done]})
    else:
        say(_summary(plan, done, only_show=only_show, quick=quick))
    sys.exit(0 if well else 1)


def _parts(repository: Repository) -> StoreParts:
    finder = RecipeFinder(repository.git, repository.blobs, repository.index.oids)

    def realiser(store: ContentStore, cache: ResultCache) -> Realiser:
        return Realiser(
            store,
            cache,
            repository.registry,
            repository.realiser.executor,
            finder.find,
            remotes=lambda: repository.elsewhere,
        )

    def holders(cache: ResultCache, keep: bool) -> Iterable[Holder]:
        return Holders(repository.roots, cache, repository.store.root, keep=keep).holders()

    def judge(entries: Mapping[bytes, bytes]) -> Iterator[Invalid]:
        for found in check_index(repository.git, repository.blobs, entries):
            yield Invalid(found.path, found.kind, found.message)

    def environments() -> Environments:
        return Environments(repository.registry, repository.realiser.executor)

    asked = Asked(
        repository.git,
        holders,
        repository.roots.names,
        repository.pending.paths,
        judge,
        environments,
        lambda proof: repository.realiser.corrects(proof),
    )
    return StoreParts(
        repository.store,
        repository.location,
        repository.settings.oid_size,
        repository.roots,
        repository.registry,
        asked,
        lambda: repository.cache,
        realiser,
        lambda: repository.elsewhere,
    )


def _tell(one: Done) -> None:
    more = f": {one.message}" if one.message else ""
    say(f"{one.what}: {one.subject}{more}", err=not one.ok)


def _summary(plan: CheckPlan, done: list[Done], *, only_show: bool, quick: bool) -> str:
    how = "are there" if quick else "are what their names say"
    checked = f"{plan.scan.checked} contents {how}, {plan.needs.recipes} recipes were looked at"
    if plan.sound:
        return f"{checked}; all is well"
    if only_show:
        hopeless = len(plan.hopeless)
        return (
            f"{checked}; {len(plan.scan.bad)} bad, {len(plan.missing)} missing, {hopeless} of them for good or for now"
        )
    back = sum(one.ok and one.what in ("renamed", "restored", "fetched", "made again") for one in done)
    left = sum(not one.ok for one in done) + len(plan.needs.invalid) + len(plan.needs.problems)
    left += len(plan.unreadable) + len(plan.manifests)
    return f"{checked}; {back} brought back, {left} lost or left"
