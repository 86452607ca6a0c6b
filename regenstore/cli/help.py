"""``regenstore help``"""

from __future__ import annotations

import click

from regenstore.cli.console import say


@click.command()
@click.argument("names", nargs=-1, metavar="[COMMAND]...")
@click.pass_context
def command(ctx: click.Context, names: tuple[str, ...]) -> None:
    """Show the help of a command, the same as its --help.

    \b
    Examples:
      regenstore help
      regenstore help set
      regenstore help remote add
    """
    at = ctx.find_root()
    for name in names:
        group = at.command
        found = group.resolve_command(at, [name])[1] if isinstance(group, click.Group) else None
        if found is None:
            raise click.UsageError(f"No such command '{' '.join(names)}'.")
        at = click.Context(found, parent=at, info_name=name)
    for line in at.get_help().split("\n"):
        say(line)
