"""``regenstore migrate-from dvc``"""

from __future__ import annotations

import sys

import click

from regenstore.cli.console import say, visible
from regenstore.cli.context import (
    ConsoleProgress,
    dry_run_option,
    emit_json,
    json_option,
    open_repository,
    report_failures,
    show_path,
)
from regenstore.cli.rewriting_history import history_fields
from regenstore.cli.taking_over import refused_fields, require_filter, tell_missing, tell_taken
from regenstore.cli.tracking_too import not_tracked, track_too
from regenstore.fs.path_text import path_text
from regenstore.migration.dvc import DvcMigration, DvcPlan, require


@click.command()
@click.option("--track", is_flag=True, help="Track the patterns that are missing, such as '*.png'.")
@dry_run_option
@json_option
def command(track: bool, dry_run: bool, as_json: bool) -> None:
    """Turn files that DVC keeps into recipes, with the media in the store.

    These are the outputs of .dvc files, and of the stages in dvc.lock. They must be in DVC's cache ('dvc fetch') or in
    the worktree; each is checked against its MD5, and its embedded metadata become its recipe. The .dvc files, and the
    lines that DVC wrote into .gitignore for them, are removed. dvc.yaml and dvc.lock stay.

    A stage whose command needs no shell, and names the one file that it makes and all media that it reads, becomes a
    generator in regenstore.toml, which is not run before you approve it ('regenstore trust'). Outputs of other stages
    are imported media, with the stage's command, dependencies and parameters in [about].

    All of it is staged, and nothing is committed: 'git reset --hard' and then 'dvc checkout' undo it. DVC's cache stays
    as it is.

    \b
    Examples:
      dvc fetch && regenstore migrate-from dvc --dry-run
      regenstore migrate-from dvc --track && git commit -m "From DVC to regenstore"
      regenstore migrate-from dvc -n --json | jq '.files[] | select(.present | not) | .path'
    """
    repository = open_repository()
    require_filter(repository)
    migration = DvcMigration(repository.workbench)
    plan = migration.plan()
    staged = True
    if plan.files and not dry_run:
        require(plan)
        if plan.lacking and not track:
            raise not_tracked(plan.lacking)
        with ConsoleProgress() as progress:
            taken = migration.take_in(plan, progress.counts("taken in", len(plan.files)))
        if plan.lacking:
            staged = track_too(repository, plan.lacking)
        migration.apply(plan, taken)
    if as_json:
        _emit(plan)
        sys.exit(0)
    _tell(plan, track=track, dry_run=dry_run)
    if not staged:
        say("Commit the patterns with them: git add .gitattributes")
    sys.exit(report_failures(plan.refused.items()) if dry_run else 0)


def _tell(plan: DvcPlan, *, track: bool, dry_run: bool) -> None:
    for path, why in plan.left:
        say(f"{show_path(path)} stays with DVC: {why}", err=True)
    if not plan.files:
        say("Git's index has no file of DVC with outputs to migrate")
        return
    tell_missing([found.path for found in plan.missing], "DVC")
    tell_taken(len(plan.files), "file", plan.bytes, dry_run=dry_run, of=" of DVC")
    for stage in plan.stages:
        if stage.generator is not None:
            verb = "would become" if dry_run else "became"
            say(f"the stage {visible(stage.name)} {verb} the generator {stage.generator}")
        else:
            say(f"the stage {visible(stage.name)} cannot become a generator: {visible(stage.why)}", err=True)
    if plan.declared and not dry_run:
        say("Read what regenstore.toml has now, and approve what may run here: regenstore trust")
    for pattern in plan.lacking:
        say(f"{'Tracking' if not dry_run else 'Would track' if track else 'Not tracked; --track adds'} {pattern}")
    if not dry_run:
        say("Next: git commit; afterwards 'dvc destroy' if nothing else in this repository uses DVC")


def _emit(plan: DvcPlan) -> None:
    files = [{"path": path_text(f.path), "size": f.size, "present": f.source is not None} for f in plan.files]
    failed = refused_fields(plan.refused)
    told = {"source": "dvc", "files": files, "patterns": list(plan.lacking), "failed": failed}
    left = [{"path": path_text(path), "why": why} for path, why in plan.left]
    stages = [
        {"file": path_text(each.file), "name": each.name, "generator": each.generator, "why": each.why or None}
        for each in plan.stages
    ]
    emit_json("migrate-from", {**told, "left": left, "stages": stages, **history_fields(None, None)})
