"""``regenstore init``"""

from __future__ import annotations

import os

import click

from regenstore.cli.console import say
from regenstore.cli.context import dry_run_option, emit_json, json_option, open_repository
from regenstore.errors import InvalidInput
from regenstore.fs.path_text import path_text
from regenstore.gitfilter import install
from regenstore.gitfilter.launch import starter
from regenstore.repository import Repository
from regenstore.worktree.location import in_worktree


@click.command()
@click.option(
    "--store", type=click.Path(file_okay=False), help="Keep media in this folder, which other repositories can share."
)
@click.option("--force", is_flag=True, help="Replace existing filter settings of other programs.")
@dry_run_option
@json_option
def command(store: str | None, force: bool, dry_run: bool, as_json: bool) -> None:
    """Set up this repository: configure the filter and the merge driver for it, and create the store.

    \b
    Examples:
      regenstore init
      regenstore init --store /big/disk/regenstore
      regenstore init --dry-run
    """
    repository = open_repository()
    if store is not None:
        _check_store(store, repository)
    repository.git.require_version()
    changes = install.plan_install(repository.git, "local", starter(), force=force)
    if store is not None:
        changes.append(install.ConfigChange("regenstore.store", None, os.path.abspath(store)))
    top, root = os.fsdecode(repository.location.top), repository.store.root if store is None else os.path.abspath(store)
    if not dry_run:
        install.apply(repository.git, "local", changes)
        repository = open_repository()
        repository.store.prepare()
        root = repository.store.root
    if as_json:
        names = [each.name for each in changes]
        emit_json("init", {"top": path_text(top), "store": path_text(root), "changed": names})
        return
    if dry_run:
        for each in changes:
            say(f"would set {each}")
        say(f"would set up {top}; the store would be {root}")
        return
    say(f"Set up {top}; the store is {root}")
    if not os.path.exists(os.path.join(top, ".gitattributes")):
        say("Next: regenstore track '*.png' '*.mp4' '*.wav'")
    elif repository.workbench.tracked():
        say("Next: regenstore get")


def _check_store(store: str, repository: Repository) -> None:
    if not store:
        raise InvalidInput("bad-path", "--store: expected a folder, found ''", hint="Omit it for a store of its own.")
    if in_worktree(os.path.abspath(store), repository.location):
        raise InvalidInput(
            "bad-path",
            f"--store: {store} is inside the worktree: 'git add' would take its files, and 'git clean' remove them",
            hint="Give a folder outside the worktree, or omit --store.",
        )
