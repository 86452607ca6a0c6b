"""``regenstore edit``"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click

from regenstore.cli.console import ask, say, say_error
from regenstore.cli.context import ConsoleProgress, open_repository, worktree_path
from regenstore.cli.write_report import tell
from regenstore.errors import Conflict, RegenstoreError
from regenstore.fs import durable
from regenstore.objects import toml
from regenstore.tracked import recipe_writing


@click.command()
@click.argument("path")
@click.option("--no-generate", is_flag=True, help="Only write the recipe text; do not make the medium now.")
def command(path: str, no_generate: bool) -> None:
    """Edit the recipe at PATH in $EDITOR. It is validated before it is written; nothing is staged.

    \b
    Example:
      regenstore edit shots/sh010.mp4
    """
    repository = open_repository()
    bench = repository.workbench
    target = worktree_path(repository, path)
    was = bench.seen(target)
    before = bench.editable(target)
    text = toml.encode(before).decode()
    while True:
        edited = click.edit(text, extension=".toml", require_save=False)
        if edited is None or edited == toml.encode(before).decode():
            say("Nothing changed")
            return
        try:
            recipe = recipe_writing.checked(bench, before, toml.decode(edited.encode()))
            break
        except RegenstoreError as error:
            say_error(path, error)
            if not ask("Edit it again?", default=True, err=True):
                raise
            text = edited
    with ConsoleProgress() as progress, _kept(f"{repository.location.git_dir}/regenstore-edited.toml", edited):
        written = recipe_writing.write(bench, target, recipe, was, generate=not no_generate, progress=progress)
    tell(written)


@contextmanager
def _kept(file: str, text: str) -> Iterator[None]:
    """Keep the edited text if the path was written to meanwhile."""
    try:
        yield
    except Conflict as error:
        durable.write_file(file, text.encode())
        hint = f"Your text is in {file}. Compare the two, then edit again."
        raise Conflict("edited", error.message, hint=hint) from None
