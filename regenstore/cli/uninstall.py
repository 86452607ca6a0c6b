"""``regenstore uninstall``"""

from __future__ import annotations

import os

import click

from regenstore.cli.console import say
from regenstore.cli.context import emit_json, json_option
from regenstore.cli.presentation import counted
from regenstore.gitfilter import install
from regenstore.refs.git import Git
from regenstore.refs.recipes import ATTRIBUTE


@click.command()
@click.option("--global", "scope", flag_value="global", default="global", help="For this user (the default).")
@click.option("--local", "scope", flag_value="local", help="For this repository.")
@click.option("--system", "scope", flag_value="system", help="For all users of this machine.")
@click.option("--worktree", "scope", flag_value="worktree", help="For this worktree.")
@click.option("--dry-run", "-n", is_flag=True, help="Only show what would be removed.")
@json_option
def command(scope: str, dry_run: bool, as_json: bool) -> None:
    """Remove the settings that 'regenstore install' or 'regenstore init' wrote. Keeps recipes, media and the store.

    \b
    Example:
      regenstore uninstall --local
    """
    git = Git(os.getcwd())
    changes = install.plan_uninstall(git, scope)
    if as_json:
        emit_json("uninstall", {"scope": scope, "removed": [change.name for change in changes]})
    for change in () if as_json else changes:
        say(f"{'would remove' if dry_run else 'removed'} {change.name}")
    if not dry_run:
        install.apply(git, scope, changes)
    if changes:
        count = len(git.ls_files(ATTRIBUTE, check=False))
        here = f" ({counted(count, 'path is', 'paths are')} tracked here)" if count else ""
        say(
            f"Warning: without the filter, the next 'git add -A' puts media themselves into Git{here}. "
            "'regenstore drop' turns them into recipe text first",
            err=True,
        )
    elif not as_json:
        say(f"There are no regenstore settings in the {scope} configuration")
