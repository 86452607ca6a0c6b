"""``regenstore models forget``"""

from __future__ import annotations

import click

from regenstore.cli.console import say
from regenstore.cli.context import dry_run_option, emit_json, json_option
from regenstore.cli.presentation import counted
from regenstore.config import model_index
from regenstore.errors import NotFound
from regenstore.fs.path_text import path_text
from regenstore.models.index import ModelIndex
from regenstore.models.scan import entries_of
from regenstore.models.scan import missing as missing_files

_SHOWN = 20


@click.command()
@click.argument("folders", nargs=-1, metavar="[DIR]...")
@click.option("--missing", is_flag=True, help="Forget the models whose files are gone.")
@dry_run_option
@json_option
def command(folders: tuple[str, ...], missing: bool, dry_run: bool, as_json: bool) -> None:
    """Remove models from the index: those at or below the given paths, or those whose files are gone. Deletes no files,
    and changes no recipe: a digest that a recipe has stays valid.

    \b
    Examples:
      regenstore models forget /mnt/old-disk
      regenstore models forget --missing --dry-run
    """
    if bool(folders) == missing:
        raise click.UsageError("Give folders, or --missing.")
    index = ModelIndex(model_index())
    paths = [each.path for each in (missing_files(index) if missing else entries_of(index, folders))]
    if folders and not paths:
        raise NotFound("no-such-model", f"the index has no model at or below {', '.join(folders)}")
    if not dry_run:
        index.forget(paths)
        index.tidy()
    if as_json:
        emit_json("models-forgotten", {"paths": [path_text(path) for path in paths]})
        return
    for path in paths[:_SHOWN]:
        say(f"{'would forget' if dry_run else 'forgot'} {path}")
    if len(paths) > _SHOWN:
        say(f"and {len(paths) - _SHOWN:,} more")
    say(f"{counted(len(paths), 'model')} {'to forget' if dry_run else 'forgotten'}")
