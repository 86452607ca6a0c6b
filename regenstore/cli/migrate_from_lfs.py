"""``regenstore migrate-from lfs``"""

from __future__ import annotations

import sys

import click

from regenstore.cli.console import say
from regenstore.cli.context import (
    ConsoleProgress,
    dry_run_option,
    emit_json,
    json_option,
    open_repository,
    report_failures,
)
from regenstore.cli.rewriting_history import (
    history_fields,
    map_option,
    require_rewritable,
    switch,
    tell_rewritten,
)
from regenstore.cli.taking_over import refused_fields, require_filter, tell_missing, tell_taken
from regenstore.fs.path_text import path_text
from regenstore.gitfilter import attributes
from regenstore.migration.lfs import LfsMigration, LfsPlan, require
from regenstore.refs.git import Rewritten


@click.command()
@click.option("--history", is_flag=True, help="Rewrite all commits of branches and tags, instead of staging a change.")
@map_option
@dry_run_option
@json_option
def command(history: bool, map_file: str | None, dry_run: bool, as_json: bool) -> None:
    """Turn pointers of Git LFS into recipes, with the media in the store.

    The media must be on this machine ('git lfs fetch'); each is checked against the SHA-256 in its pointer, and its
    embedded metadata become its recipe. In .gitattributes, 'filter=lfs' becomes regenstore's filter. All of it is
    staged, and nothing is committed: 'git reset --hard' undoes it. What Git LFS keeps stays where it is.

    --history writes all commits of branches and tags again. Signatures of commits and tags are lost, and everybody has
    to clone anew. The old commits stay under refs/regenstore/before-rewrite until you delete those refs.

    \b
    Examples:
      git lfs fetch && regenstore migrate-from lfs
      git lfs fetch --all && regenstore migrate-from lfs --history --dry-run
      regenstore migrate-from lfs --json | jq '.files[] | select(.present | not) | .path'
    """
    if map_file is not None and not history:
        raise click.UsageError("--map needs --history.")
    repository = open_repository()
    require_filter(repository)
    migration = LfsMigration(repository.workbench)
    plan = migration.plan_history() if history else migration.plan()
    done: Rewritten | None = None
    where: str | None = None
    if not dry_run and plan.files:
        require(plan)
        if history:
            require_rewritable(repository)
        with ConsoleProgress() as progress:
            tell = progress.counts("taken in", len(plan.files))
            if history:
                done = migration.rewrite(plan, repository.rewriter, tell)
            else:
                migration.apply(plan, tell)
        if done is not None:
            where = switch(repository, done, map_file)
    if as_json:
        _emit(plan, done, where)
        sys.exit(0)
    _tell(plan, done, where, dry_run=dry_run, history=history)
    sys.exit(report_failures(plan.refused.items()) if dry_run else 0)


def _tell(plan: LfsPlan, done: Rewritten | None, where: str | None, *, dry_run: bool, history: bool) -> None:
    if not plan.files:
        what = "No commit of a branch or tag has" if history else "Git's index has no"
        say(f"{what} pointers of Git LFS" if not history else f"{what} a pointer of Git LFS")
        return
    tell_missing([found.path for found in plan.missing], "Git LFS")
    tell_taken(len(plan.files), "pointer", plan.bytes, dry_run=dry_run)
    for pattern in plan.patterns:
        say(f"{attributes.FILE}: {'would be' if dry_run else 'now'} tracked by regenstore: {pattern}")
    if done is not None and where is not None:
        tell_rewritten(done, where)
    elif not dry_run:
        say("Next: git commit; afterwards 'git lfs uninstall --local' if nothing else in this repository uses Git LFS")


def _emit(plan: LfsPlan, done: Rewritten | None, where: str | None) -> None:
    emit_json(
        "migrate-from",
        {
            "source": "lfs",
            "files": [
                {"path": path_text(f.path), "size": f.pointer.size, "present": f.source is not None} for f in plan.files
            ],
            "patterns": list(plan.patterns),
            "left": [],
            "stages": [],
            **history_fields(done, where),
            "failed": refused_fields(plan.refused),
        },
    )
