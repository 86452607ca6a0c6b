"""``regenstore trust``"""

from __future__ import annotations

import time

import click

from regenstore.cli.context import open_repository
from regenstore.errors import NotFound, TrustRequired
from regenstore.generators.registry import describe_files
from regenstore.generators.trust import Approval


@click.command()
@click.argument("names", nargs=-1)
@click.option("--yes", "-y", is_flag=True, help="Approve without asking, for scripts.")
@click.option("--revoke", is_flag=True, help="Take the approval of NAMES back.")
def command(names: tuple[str, ...], yes: bool, revoke: bool) -> None:
    """Approve the generators that this repository declares in regenstore.toml: all, or NAMES.

    Shows what would run. The approval is yours, is kept in your own configuration, and ends when the
    definition or a file that it names changes.

    \b
    Examples:
      regenstore trust
      regenstore trust voice --yes
      regenstore trust --revoke voice
    """
    registry = open_repository().registry
    if revoke:
        for name in names:
            click.echo(f"{name}: {registry.trust.revoke(name)} approvals taken back")
        return
    declared = registry.declared
    for name in names:
        if name not in declared:
            raise NotFound("no-such-generator", f"this repository declares no generator '{name}'")
    approved = registry.trust.approvals()
    asked = [declared[name] for name in names or declared if declared[name].hash not in approved]
    if not asked:
        click.echo("Nothing to approve" if declared else "This repository declares no generators")
        return
    for found in asked:
        click.echo(f"{found.declaration.name}, version {found.declaration.version}")
        for line in describe_files(found):
            click.echo(f"  {line}")
    if not yes and not click.confirm("Let these run on your machine?", default=False):
        raise TrustRequired("untrusted-generator", "nothing was approved", hint="")
    for found in asked:
        registry.trust.approve(Approval(found.hash, found.declaration.name, time.time()))
        click.echo(f"Trusted {found.declaration.name}")
