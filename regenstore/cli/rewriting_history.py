"""What the commands that rewrite history have in common: when they refuse, and how index and worktree follow."""

from __future__ import annotations

import os
import time

import click

from regenstore.cli.console import say
from regenstore.cli.context import show_path
from regenstore.cli.presentation import counted
from regenstore.errors import Conflict, NotFound
from regenstore.fs import durable
from regenstore.fs.path_text import path_text
from regenstore.refs.git import BACKUP, Rewritten
from regenstore.repository import Repository

map_option = click.option(
    "--map",
    "map_file",
    type=click.Path(dir_okay=False),
    help="With a rewritten history: where to write old and new commit ids; by default into Git's folder.",
)


def require_rewritable(repository: Repository) -> None:
    """Raise NotFound (``no-such-revision``) for a clone without all of the history, and Conflict (``edited``) while
    there is work that is not committed, no branch is checked out, or there is another worktree."""
    if repository.git.is_shallow():
        raise NotFound(
            "no-such-revision",
            "this clone is shallow: rewritten, its history would begin where the clone does",
            hint="Bring the rest first: git fetch --unshallow",
        )
    if repository.git.branch() is None:
        raise Conflict(
            "edited", "HEAD is detached, and would stay at the old commits", hint="Check out a branch first."
        )
    if len(others := repository.git.worktrees()) > 1:
        raise Conflict(
            "edited",
            f"{others[1]}: another worktree of this repository would be left with the old commits",
            hint="Remove it with 'git worktree remove', and add it again afterwards.",
        )
    changed = repository.git.edited() | repository.git.staged()
    if changed:
        first = min(changed)
        raise Conflict("edited", f"{show_path(first)}: it has changes that are not committed; commit or stash them")


def switch(repository: Repository, done: Rewritten, map_file: str | None) -> str:
    """Write the map, make the refs refer to the new commits, and bring index and worktree along; returns the map's
    path."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    where = map_file or os.path.join(repository.location.common_dir, f"regenstore-rewritten-{stamp}.txt")
    durable.write_file(where, "".join(f"{old} {new}\n" for old, new in done.commits.items()).encode())
    before = repository.git.resolve("HEAD")
    repository.rewriter.apply(done, stamp)
    after = repository.git.resolve("HEAD")
    if before is not None and after is not None and before != after:
        repository.git.move_worktree(before, after)
    say(f"the refs as they were: {BACKUP}/{stamp}/", err=True)
    return where


def tell_rewritten(done: Rewritten, where: str) -> None:
    say(f"{counted(rewritten(done), 'commit')} rewritten; old and new ids are in {where}")
    say("Next: check it with 'git log' and 'regenstore fsck', then push with --force and have everybody clone anew")


def rewritten(done: Rewritten | None) -> int:
    """The number of commits that changed."""
    return 0 if done is None else sum(old != new for old, new in done.commits.items())


def history_fields(done: Rewritten | None, where: str | None) -> dict[str, object]:
    """The rewritten history, for programs."""
    refs = {} if done is None else done.refs
    return {
        "refs": [{"name": name, "before": old, "after": new} for name, (old, new) in refs.items()],
        "commits": rewritten(done),
        "map": None if where is None else path_text(where),
    }
