"""``regenstore install``"""

from __future__ import annotations

import os

import click

from regenstore.cli.console import say
from regenstore.gitfilter import install
from regenstore.gitfilter.launch import starter
from regenstore.refs.git import Git


@click.command()
@click.option("--global", "scope", flag_value="global", default="global", help="For this user (default).")
@click.option("--local", "scope", flag_value="local", help="For this repository.")
@click.option("--system", "scope", flag_value="system", help="For all users of this machine.")
@click.option("--worktree", "scope", flag_value="worktree", help="For this worktree (needs extensions.worktreeConfig).")
@click.option("--force", is_flag=True, help="Replace existing values of other programs.")
@click.option("--dry-run", "-n", is_flag=True, help="Only show what would be written.")
def command(scope: str, force: bool, dry_run: bool) -> None:
    """Write the filter, the merge driver and the diff settings into Git's configuration.

    \b
    Examples:
      regenstore install                 # every repository of this user
      regenstore install --local         # this one only
    """
    git = Git(os.getcwd())
    git.require_version()
    changes = install.plan_install(git, scope, starter(), force=force)
    for change in changes:
        say(f"{'would set' if dry_run else 'set'} {change}")
    if not dry_run:
        install.apply(git, scope, changes)
    if not changes:
        say(f"Already installed in the {scope} configuration")
    for name in ("merge.renormalize", "diff.regenstore.textconv"):
        value = git.config_value(name)
        if value not in (None, "", "false"):
            say(f"Warning: {name} is {value}; it makes git bring back media of old versions. Unset it.", err=True)
