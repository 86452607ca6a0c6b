"""``regenstore migrate-from git``"""

from __future__ import annotations

import sys

import click

from regenstore.cli.console import say
from regenstore.cli.context import ConsoleProgress, dry_run_option, emit_json, json_option, open_repository, size_text
from regenstore.cli.presentation import counted
from regenstore.cli.rewriting_history import (
    history_fields,
    map_option,
    require_rewritable,
    switch,
    tell_rewritten,
)
from regenstore.cli.taking_over import require_filter
from regenstore.fs.path_text import path_text
from regenstore.migration.raw_media import RawHistory


@click.command()
@map_option
@dry_run_option
@json_option
def command(map_file: str | None, dry_run: bool, as_json: bool) -> None:
    """Rewrite history: media that commits have themselves become recipes, with the media in the store.

    Every commit of every branch and tag is written again: media at paths that 'regenstore track' covers now become
    recipes, with what their metadata tell, and .gitattributes track these patterns from the first commit on. Signatures
    of commits and tags are lost, and everybody has to clone anew. The old commits stay under
    refs/regenstore/before-rewrite until you delete those refs; only then can Git free their space.

    To convert the latest commit alone, without rewriting: git add --renormalize .

    \b
    Examples:
      regenstore track '*.png' && git add .gitattributes && git commit -m "Track PNG"
      regenstore migrate-from git --dry-run
      regenstore migrate-from git --map ../commits.txt
    """
    repository = open_repository()
    require_filter(repository)
    history = RawHistory(repository.workbench)
    plan = history.plan()
    done, where = None, None
    if plan.media and not dry_run:
        require_rewritable(repository)
        with ConsoleProgress() as progress:
            tell = progress.counts("taken in", len({found.oid for found in plan.media}))
            done = history.rewrite(plan, repository.rewriter, tell)
        where = switch(repository, done, map_file)
    if as_json:
        files = [{"path": path_text(found.path), "size": found.size, "present": True} for found in plan.media]
        told = {
            "source": "git",
            "files": files,
            "patterns": list(plan.patterns),
            "left": [],
            "stages": [],
            "failed": [],
        }
        emit_json("migrate-from", {**told, **history_fields(done, where)})
        sys.exit(0)
    if not plan.media:
        say("No commit of a branch or tag has media at the tracked paths themselves")
        return
    would = "would become" if dry_run else "became"
    recipes = "a recipe" if len(plan.media) == 1 else "recipes"
    say(f"{counted(len(plan.media), 'medium', 'media')} in commits {would} {recipes}: {size_text(plan.bytes)}")
    if done is not None and where is not None:
        tell_rewritten(done, where)
