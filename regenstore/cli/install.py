"""``regenstore install``"""

from __future__ import annotations

import os

import click

from regenstore.cli.console import say
from regenstore.cli.context import emit_json, json_option
from regenstore.gitfilter import install
from regenstore.gitfilter.launch import starter
from regenstore.refs.git import Git


@click.command()
@click.option("--global", "scope", flag_value="global", default="global", help="For this user (default).")
@click.option("--local", "scope", flag_value="local", help="For this repository.")
@click.option("--system", "scope", flag_value="system", help="For all users of this machine.")
@click.option("--worktree", "scope", flag_value="worktree", help="For this worktree (needs extensions.worktreeConfig).")
@click.option("--force", is_flag=True, help="Replace existing values of other programs.")
@click.option("--hooks", is_flag=True, help="Also put the hooks pre-commit and pre-push into this repository.")
@click.option("--dry-run", "-n", is_flag=True, help="Only show what would be written.")
@json_option
def command(scope: str, force: bool, hooks: bool, dry_run: bool, as_json: bool) -> None:
    """Write the filter, the merge driver and the diff settings into Git's configuration.

    \b
    Examples:
      regenstore install                 # every repository of this user
      regenstore install --local         # this one only
      regenstore install --local --hooks
    """
    git = Git(os.getcwd())
    git.require_version()
    changes = install.plan_install(git, scope, starter(), force=force)
    for change in () if as_json else changes:
        say(f"{'would set' if dry_run else 'set'} {change}")
    if not dry_run:
        install.apply(git, scope, changes)
    if not changes and not as_json:
        say(f"Already installed in the {scope} configuration")
    running: list[str] = []
    if hooks:
        folder = os.path.join(git.git_dir(), git.git_path("hooks"))
        written = [] if dry_run else install.install_hooks(folder)
        running = [path for path, ours in written if ours]
        for path, ours in written:
            say(
                f"{path} {'runs' if ours else 'is not from regenstore; add this line to it:'} regenstore hook "
                f"{os.path.basename(path)}{'' if ours else ' || exit 1'}",
                err=as_json,
            )
        if dry_run:
            say(f"would write the hooks into {folder}", err=as_json)
    if as_json:
        emit_json("install", {"scope": scope, "changed": [each.name for each in changes], "hooks": running})
    for name in ("merge.renormalize", "diff.regenstore.textconv"):
        value = git.config_value(name)
        if value not in (None, "", "false"):
            say(f"Warning: {name} is {value}; it makes git bring back media of old versions. Unset it.", err=True)
