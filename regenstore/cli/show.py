"""``regenstore show``"""

from __future__ import annotations

import os
from collections.abc import Sequence

import click

from regenstore.cli.console import say, write
from regenstore.cli.context import emit_json, for_each, json_lines_option, open_repository, show_path, worktree_path
from regenstore.cli.presentation import headline
from regenstore.errors import NotFound
from regenstore.fs.path_text import path_text
from regenstore.objects import canonical, toml
from regenstore.objects.recipe import Recipe
from regenstore.refs.git import BlobReader, Git
from regenstore.refs.recipes import read_text
from regenstore.repository import Repository


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="[REV:]PATH...")
@click.option("--key", is_flag=True, help="Print the recipe key only.")
@click.option("--canonical", "as_canonical", is_flag=True, help="Print the bytes that are hashed to the key.")
@json_lines_option
def command(names: tuple[str, ...], key: bool, as_canonical: bool, as_json: bool) -> None:
    """Show the recipes at PATHS, in the worktree or at a revision.

    \b
    Examples:
      regenstore show shots/sh010.mp4
      regenstore show HEAD~3:shots/sh010.mp4
      regenstore show --key shots/
    """
    read = _Reader()
    named = read.named(names)

    def show(name: bytes | str) -> None:
        recipe, shown = read.recipe(name), show_path(name) if isinstance(name, bytes) else name
        if key or as_canonical:
            if recipe.key is None:
                raise NotFound("not-a-recipe", f"{shown}: imported media have no recipe key")
            if key:
                say(str(recipe.key))
            else:
                write(canonical.key_material(recipe) + b"\n")
        elif as_json:
            emit_json("recipe", {"path": path_text(name), **recipe_fields(recipe)})
        else:
            if len(named) > 1:
                headline(f"# {shown}", first=name == named[0])
            write(toml.encode(recipe))
            if recipe.output.outdated is not None:
                from regenstore.tracked.check import OUTDATED

                say(f"{shown}: {OUTDATED}", err=True)

    for_each(named, show)


class _Reader:
    """Reads recipes of paths in the worktree, and of names like ``REV:PATH``."""

    def __init__(self) -> None:
        self._repository: Repository | None = None
        try:
            self._repository = open_repository()
        except NotFound as error:  # perhaps a bare repository
            self._nowhere = error

    def named(self, names: Sequence[str]) -> list[bytes | str]:
        """The worktree paths that names stand for, media in place of folders and patterns; other names as they are."""
        found: list[bytes | str] = []
        for name in names:
            if ":" in name and not os.path.lexists(name):
                found.append(name)
            elif self._repository is None:
                raise self._nowhere
            else:
                found += self._repository.workbench.named([worktree_path(self._repository, name)])
        return list(dict.fromkeys(found))

    def recipe(self, name: bytes | str) -> Recipe:
        """The recipe of a path or name. Raises NotFound, FormatError, StorageError."""
        repository = self._repository
        if isinstance(name, bytes):
            assert repository is not None
            return repository.workbench.current(name)
        if repository is None:
            with BlobReader(Git(os.getcwd())) as blobs:
                return toml.decode(_text(blobs, name, os.fsencode(name)))
        revision, _, path = name.partition(":")
        inside = os.fsdecode(worktree_path(repository, path)) if path else ""
        recipe = toml.decode(_text(repository.blobs, name, os.fsencode(f"{revision}:{inside}")))
        if recipe.output.key is not None:
            return recipe
        from regenstore.objects.mismatched_takes import judged

        return judged(repository.cache, [recipe])[0]


def _text(blobs: BlobReader, name: str, named: bytes) -> bytes:
    text = read_text(blobs, named)
    if not toml.looks_like_recipe(text):
        raise NotFound("not-a-recipe", f"{name}: Git has no recipe there")
    return text


def recipe_fields(recipe: Recipe) -> dict[str, object]:
    """A recipe as JSON-compatible data."""
    take = recipe.output.take
    return {
        "key": None if recipe.key is None else str(recipe.key),
        "generator": recipe.generator,
        "generator_version": recipe.version or None,
        "model": plain(recipe.model),
        "params": plain(recipe.params),
        "inputs": {n: {"path": i.path, "digest": str(i.digest)} for n, i in recipe.inputs.items()},
        "output": {
            "name": recipe.output.name,
            "media_type": recipe.output.media_type,
            "digest": None if take is None else str(take.digest),
            "size": None if take is None else take.size,
            "seconds": recipe.output.seconds,
            "outdated": None if recipe.output.outdated is None else str(recipe.output.outdated.digest),
        },
        "about": plain(recipe.about),
    }


def plain(value: object) -> object:
    """A value of a recipe as JSON-compatible data."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value if isinstance(value, (str, int, float, bool)) else str(value)
