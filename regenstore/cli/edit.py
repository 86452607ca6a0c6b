"""``regenstore edit``"""

from __future__ import annotations

import re
import shlex

import click

from regenstore.cli.console import ask, say, say_error
from regenstore.cli.context import ConsoleProgress, open_repository, worktree_path
from regenstore.cli.editor import Draft, draft
from regenstore.cli.write_report import preview, write_each, writing_options
from regenstore.errors import RegenstoreError
from regenstore.fs import presence
from regenstore.objects import toml
from regenstore.objects.recipe import Recipe
from regenstore.tracked import conflicts, recipe_writing
from regenstore.tracked.recipe_writing import Written
from regenstore.tracked.workbench import Workbench

_NOTE = """
# Comments, like these lines, are dropped: a recipe has exactly one text.
# Notes belong in the table [about].
"""
_TEXTS = re.compile(r'\"\"\".*?\"\"\"|\'\'\'.*?\'\'\'|"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\'', re.DOTALL)


@click.command()
@click.argument("path")
@click.option(
    "--from", "source", type=click.Path(exists=True, dir_okay=False), help="Start with the text in this file."
)
@writing_options
def command(path: str, source: str | None, no_generate: bool, dry_run: bool, as_json: bool) -> None:
    """Edit the recipe at PATH in Git's editor ('git var GIT_EDITOR'), also one in conflict. Nothing is staged.

    The text is checked before it is written. Comments are dropped. If anything fails, and with --dry-run, the text
    that you typed stays in a file, which --from opens again.

    \b
    Examples:
      regenstore edit shots/sh010.mp4
      regenstore edit --dry-run shots/sh010.mp4
    """
    repository = open_repository()
    bench = repository.workbench
    target = worktree_path(repository, path)
    again = f"regenstore edit {shlex.quote(path)}"

    def write(target: bytes) -> Written | str:
        was = bench.seen(target)
        befores, text = _present(bench, target)
        if source is not None:
            text = (presence.read(source, toml.MAX_BYTES) or b"").decode(errors="surrogateescape")
        shown = text if _NOTE in text else text + _NOTE
        with draft(repository.git, repository.location.git_dir, shown, again) as edited:
            recipe = _edited(bench, path, edited, befores, unchanged=source is None)
            if recipe is None:
                return "nothing changed"
            if "#" in _TEXTS.sub("", edited.text.replace(_NOTE, "")):
                say("Comments were dropped; a note in [about] would stay.", err=True)
            edited.keep = dry_run
            if dry_run:
                return preview(befores[0] if len(befores) == 1 else None, recipe)
            with ConsoleProgress() as progress:
                return recipe_writing.write(bench, target, recipe, was, generate=not no_generate, progress=progress)

    write_each([target], write, as_json=as_json)


def _present(bench: Workbench, path: bytes) -> tuple[list[Recipe], str]:
    """Return the recipes whose take the edited one may keep, and the text to edit: as it is if it is in conflict or
    invalid."""
    held = bench.held(path, digest=False)
    if held is not None and held.text is not None and toml.decode_or_none(held.text) is None:
        known = bench.index_text(path)
        texts = [*conflicts.texts(held.text), *bench.sides(path), *([] if known is None else [known])]
        return [found for each in texts if (found := toml.decode_or_none(each)) is not None], held.text.decode(
            errors="surrogateescape"
        )
    before = bench.editable(path)
    return [before], toml.encode(before).decode()


def _edited(bench: Workbench, path: str, edited: Draft, befores: list[Recipe], *, unchanged: bool) -> Recipe | None:
    """Let the user edit until the text is valid; None if it says what it said before."""
    while True:
        edited.edit()
        if unchanged and edited.text == edited.first:
            return None
        try:
            recipe = toml.decode(edited.text.encode(errors="surrogateescape"))
            if unchanged and toml.encode(recipe) + _NOTE.encode() == edited.first.encode(errors="surrogateescape"):
                return None
            return recipe_writing.checked(bench, _origin(recipe, befores), recipe)
        except RegenstoreError as error:
            say_error(path, error)
            if not ask("Edit it again?", default=True, err=True):
                raise


def _origin(recipe: Recipe, befores: list[Recipe]) -> Recipe:
    """Return the earlier recipe with the same key, preferably with the take that the text names."""
    same = [each for each in befores if each.key == recipe.key] or befores or [recipe]
    return next((each for each in same if each.output.named == recipe.output.named), same[0])
