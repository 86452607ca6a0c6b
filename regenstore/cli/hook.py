"""``regenstore hook``: what the hooks in ``hooks/`` call."""

from __future__ import annotations

import os
import sys

import click

from regenstore.cli.context import show_path
from regenstore.config import GitEnvironment
from regenstore.repository import Repository
from regenstore.tracked.check import check_index


@click.command()
@click.argument("name", type=click.Choice(["pre-commit"]))
@click.argument("arguments", nargs=-1)
def command(name: str, arguments: tuple[str, ...]) -> None:
    """Run the check of a Git hook: pre-commit refuses raw media, bad recipes and conflict markers.

    \b
    Example (in .git/hooks/pre-commit):
      exec regenstore hook pre-commit "$@"
    """
    # The index is locked now: nothing is repaired or placed here, only read.
    repository = Repository.discover(os.getcwd(), GitEnvironment.read())
    bench = repository.workbench
    staged = set(repository.git.output("diff", "--cached", "--name-only", "-z", "--diff-filter=AMT").split(b"\0"))
    entries = {path: oid for path, oid in bench.tracked().items() if path in staged}
    found = list(check_index(repository.git, repository.blobs, entries))
    for f in found:
        click.echo(f"regenstore: {show_path(f.path)}: {f.message}", err=True)
    sys.exit(1 if found else 0)
