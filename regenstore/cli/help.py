"""``regenstore help``"""

from __future__ import annotations

import os

import click

from regenstore.cli.console import say
from regenstore.fs.durable import storage_errors


@click.command()
@click.argument("names", nargs=-1, metavar="[COMMAND]...")
@click.option("--man", "folder", type=click.Path(file_okay=False), help="Write all manual pages into this folder.")
@click.pass_context
def command(ctx: click.Context, names: tuple[str, ...], folder: str | None) -> None:
    """Show the help of a command, the same as its --help.

    --man writes the same texts as manual pages, one for each command.

    \b
    Examples:
      regenstore help
      regenstore help set
      regenstore help remote add
      regenstore help --man ~/.local/share/man/man1 && man regenstore-remote-add
    """
    at = ctx.find_root()
    if folder is not None:
        _write_manual(at, folder)
        return
    for name in names:
        group = at.command
        found = group.resolve_command(at, [name])[1] if isinstance(group, click.Group) else None
        if found is None:
            raise click.UsageError(f"No such command '{' '.join(names)}'.")
        at = click.Context(found, parent=at, info_name=name)
    for line in at.get_help().split("\n"):
        say(line, whole=True)


def _write_manual(root: click.Context, folder: str) -> None:
    from regenstore.cli.manual import pages  # seldom needed

    with storage_errors(folder):
        os.makedirs(folder, exist_ok=True)
        written = dict(pages(root))
        for name, text in written.items():
            with open(os.path.join(folder, name), "w", encoding="ascii") as file:
                file.write(text)
    say(f"{len(written)} pages in {folder}")
