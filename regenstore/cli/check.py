"""``regenstore check``"""

from __future__ import annotations

import os
import sys
from contextlib import suppress

import click

from regenstore.cli.console import say
from regenstore.cli.context import emit_json, json_option, show_path
from regenstore.config import GitEnvironment
from regenstore.errors import RegenstoreError
from regenstore.fs.path_text import path_text
from regenstore.refs.git import BlobReader, Git
from regenstore.repository import Repository
from regenstore.tracked.check import check_commits, check_tree


@click.command()
@click.argument("revisions", nargs=-1)
@click.option("--tree", is_flag=True, help="Check the whole tree of one revision instead of the changes in commits.")
@json_option
def command(revisions: tuple[str, ...], tree: bool, as_json: bool) -> None:
    """Find raw media in filtered paths, invalid recipes, conflict markers, takes made with other parameters, and
    pointers of Git LFS. Exits with code 1 if there are any.

    REVISIONS is a range as accepted by 'git rev-list'. The default is the whole tree of HEAD. Needs neither the
    filter nor a worktree, so it runs in CI and on bare repositories.

    \b
    Examples:
      regenstore check
      regenstore check origin/main..HEAD
    """
    git, cache, store = Git(os.getcwd()), None, None
    with suppress(RegenstoreError):  # without a worktree, paths are known only from the recipes themselves
        repository = Repository.discover(os.getcwd(), GitEnvironment.read())
        cache, store = repository.cache, repository.store
    with BlobReader(git) as blobs:
        if tree or not revisions:
            found = [f for r in revisions or ("HEAD",) for f in check_tree(git, blobs, r, cache, store)]
        else:
            found = list(check_commits(git, blobs, revisions, cache, store))
    if as_json:
        rows = [{"commit": f.commit, "path": path_text(f.path), "kind": f.kind, "message": f.message} for f in found]
        emit_json("check", {"findings": rows})
    else:
        for f in found:
            say(f"{f.commit[:12]} {show_path(f.path)}: {f.kind}: {f.message}")
        if not found:
            say("Nothing wrong")
    sys.exit(1 if found else 0)
