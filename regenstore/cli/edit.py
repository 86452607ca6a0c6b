"""``regenstore edit``"""

from __future__ import annotations

import click

from regenstore.cli.console import ask, say, say_error
from regenstore.cli.context import ConsoleProgress, open_repository, worktree_path
from regenstore.cli.written import tell
from regenstore.errors import RegenstoreError
from regenstore.objects import toml
from regenstore.tracked import author


@click.command()
@click.argument("path")
@click.option("--no-generate", is_flag=True, help="Write the recipe text only; nothing is made now.")
def command(path: str, no_generate: bool) -> None:
    """Edit the recipe at PATH in $EDITOR. It is checked before it is taken; nothing is staged.

    \b
    Example:
      regenstore edit shots/sh010.mp4
    """
    repository = open_repository()
    bench = repository.workbench
    target = worktree_path(repository, path)
    before = bench.editable(target)
    text = toml.encode(before).decode()
    while True:
        edited = click.edit(text, extension=".toml", require_save=False)
        if edited is None or edited == toml.encode(before).decode():
            say("Nothing was changed")
            return
        try:
            recipe = author.checked(bench, before, toml.decode(edited.encode()))
            break
        except RegenstoreError as error:
            say_error(path, error)
            if not ask("Edit it again?", default=True, err=True):
                raise
            text = edited
    with ConsoleProgress() as progress:
        written = author.write(bench, target, recipe, generate=not no_generate, progress=progress)
    tell(written)
