"""``regenstore clone``"""

from __future__ import annotations

import os
import sys
import tempfile

import click

from regenstore.cli.filter_report import LEFT_FILE
from regenstore.errors import InvalidInput
from regenstore.gitfilter.install import clone_options
from regenstore.gitfilter.launch import starter
from regenstore.refs.git import Git, people


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option("--store", type=click.Path(file_okay=False), help="Use this store, which other repositories may share.")
@click.argument(
    "git_arguments", nargs=-1, type=click.UNPROCESSED, required=True, metavar="[GIT OPTIONS]... SOURCE [FOLDER]"
)
def command(store: str | None, git_arguments: tuple[str, ...]) -> None:
    """Clone a repository with its media: runs 'git clone', with regenstore set up before the first checkout.

    All arguments except --store, which must come first, are passed to 'git clone'. Exits with git's code, or with 1
    if the clone succeeded but some media stayed recipes because a remote or a generator failed.

    \b
    Examples:
      regenstore clone film film2
      regenstore clone --store /big/disk/regenstore --depth 1 git@host:film.git film
    """
    if store == "":
        raise InvalidInput("bad-path", "--store: expected a folder, found ''", hint="Omit it for a store of its own.")
    Git(os.getcwd()).require_version()
    more = {} if store is None else {"regenstore.store": os.path.abspath(store)}
    options = clone_options(starter(), more)
    with tempfile.TemporaryDirectory(prefix="regenstore-clone-") as folder:
        told = os.path.join(folder, "left")
        environment = {**os.environ, LEFT_FILE: told}
        done = people.call(["clone", *options, *git_arguments], environment)
        left = os.path.exists(told)
    sys.exit(done.code or int(left))
