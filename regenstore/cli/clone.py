"""``regenstore clone``"""

from __future__ import annotations

import os
import subprocess
import sys

import click

from regenstore.cli.context import filter_program
from regenstore.gitfilter.install import clone_options


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("source")
@click.argument("folder", required=False)
@click.option("--store", type=click.Path(file_okay=False), help="Use this store, shared with other repositories.")
@click.argument("git_options", nargs=-1, type=click.UNPROCESSED)
def command(source: str, folder: str | None, store: str | None, git_options: tuple[str, ...]) -> None:
    """Clone a repository with its media: 'git clone', set up for regenstore before the first checkout.

    Options of 'git clone' follow the folder, after '--' if need be.

    \b
    Examples:
      regenstore clone film film2
      regenstore clone git@host:film.git film --store /big/disk/regenstore -- --depth 1
    """
    more = {} if store is None else {"regenstore.store": os.path.abspath(store)}
    target = [] if folder is None else [folder]
    options = [*clone_options(filter_program(), more), *git_options]
    sys.exit(subprocess.run(["git", "clone", *options, "--", source, *target], check=False).returncode)
