"""``regenstore clone``"""

from __future__ import annotations

import os
import shlex
import sys
import tempfile

import click

from regenstore.cli.console import say
from regenstore.cli.context import emit_json, json_option
from regenstore.cli.filter_report import LEFT_FILE
from regenstore.errors import InvalidInput
from regenstore.fs.path_text import path_text
from regenstore.gitfilter.install import ConfigChange, clone_options, git_values
from regenstore.gitfilter.launch import starter
from regenstore.refs.git import Git, people


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option("--store", type=click.Path(file_okay=False), help="Use this store, which other repositories may share.")
@click.option("--dry-run", is_flag=True, help="Only show what would be run ('-n' is git's own).")
@json_option
@click.argument(
    "git_arguments", nargs=-1, type=click.UNPROCESSED, required=True, metavar="[GIT OPTIONS]... SOURCE [FOLDER]"
)
def command(store: str | None, dry_run: bool, as_json: bool, git_arguments: tuple[str, ...]) -> None:
    """Clone a repository with its media: runs 'git clone', with regenstore set up before the first checkout.

    All arguments except --store, --dry-run and --json, which must come first, are passed to 'git clone'. Exits with
    git's code, or with 1 if the clone succeeded but some media stayed recipes because a remote or a generator failed.

    \b
    Examples:
      regenstore clone film film2
      regenstore clone --dry-run film film2
      regenstore clone --store /big/disk/regenstore --depth 1 git@host:film.git film
    """
    if store == "":
        raise InvalidInput("bad-path", "--store: expected a folder, found ''", hint="Omit it for a store of its own.")
    Git(os.getcwd()).require_version()
    settings = git_values(starter()) | ({} if store is None else {"regenstore.store": os.path.abspath(store)})
    told = {"arguments": list(map(path_text, git_arguments)), "settings": settings}
    if dry_run and as_json:
        emit_json("clone", {**told, "code": None, "complete": None})
    elif dry_run:
        say(f"would run git clone {shlex.join(git_arguments)}, with these settings:")
        for name, value in settings.items():
            say(f"  {ConfigChange(name, None, value)}")
    if dry_run:
        return
    with tempfile.TemporaryDirectory(prefix="regenstore-clone-") as folder:
        left_file = os.path.join(folder, "left")
        environment = {**os.environ, LEFT_FILE: left_file}
        done = people.call(["clone", *clone_options(settings), *git_arguments], environment)
        left = os.path.exists(left_file)
    if as_json:
        emit_json("clone", {**told, "code": done.code, "complete": None if done.code else not left})
    sys.exit(done.code or int(left))
