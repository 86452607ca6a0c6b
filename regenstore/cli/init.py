"""``regenstore init``"""

from __future__ import annotations

import os

import click

from regenstore.cli.console import say
from regenstore.cli.context import open_repository
from regenstore.errors import InvalidInput
from regenstore.gitfilter import install
from regenstore.gitfilter.launch import starter
from regenstore.repository import Repository
from regenstore.worktree.location import in_worktree


@click.command()
@click.option(
    "--store", type=click.Path(file_okay=False), help="Keep media in this folder, which other repositories can share."
)
@click.option("--force", is_flag=True, help="Replace existing filter settings of other programs.")
def command(store: str | None, force: bool) -> None:
    """Set up this repository: configure the filter and the merge driver for it, and create the store.

    \b
    Examples:
      regenstore init
      regenstore init --store /big/disk/regenstore
    """
    repository = open_repository()
    if store is not None:
        _check_store(store, repository)
    repository.git.require_version()
    changes = install.plan_install(repository.git, "local", starter(), force=force)
    install.apply(repository.git, "local", changes)
    if store is not None:
        repository.git.set_config("regenstore.store", os.path.abspath(store))
        repository = open_repository()
    repository.store.prepare()
    say(f"Set up {os.fsdecode(repository.location.top)}; the store is {repository.store.root}")
    if not os.path.exists(os.path.join(os.fsdecode(repository.location.top), ".gitattributes")):
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
