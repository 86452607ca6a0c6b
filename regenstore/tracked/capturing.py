"""What media in the worktree tell of how they were made, and recipes from it for media that were imported before."""

from __future__ import annotations

import os
from typing import NamedTuple

from regenstore.capture.captured import Captured
from regenstore.errors import Conflict, NotFound
from regenstore.fs import presence
from regenstore.objects import toml
from regenstore.objects.recipe import Recipe
from regenstore.objects.result import Content
from regenstore.tracked import recipe_writing
from regenstore.tracked.workbench import Workbench, WorktreeContent


class Capturing(NamedTuple):
    """What the metadata of a medium tell, and the recipe that they give it."""

    captured: Captured | None
    pieces: tuple[str, ...]
    """What is embedded, understood or not: ``png:prompt``."""
    recipe: Recipe | None = None
    """The recipe of the medium, captured or not; None outside of a worktree."""
    changes: bool = False
    """Whether the medium was imported before and gets a recipe now."""


def read_file(path: str) -> Capturing:
    """Read the metadata of any file. Raises StorageError (``unreadable``), NotFound and Conflict (``not-a-file``)."""
    try:
        fd = presence.open_file(path)
    except presence.ABSENT:
        raise NotFound("no-such-path", f"{path}: there is no such file") from None
    except presence.NotRegular as error:
        raise Conflict("not-a-file", f"{path}: it is {error.what}") from error
    except OSError as error:
        raise presence.unreadable(error, os.fsencode(path)) from error
    try:
        return _read(fd)
    finally:
        os.close(fd)


def _read(fd: int) -> Capturing:
    from regenstore.capture.reader import read

    with os.fdopen(os.dup(fd), "rb") as file:
        file.seek(0)
        pieces, captured = read(file)
    return Capturing(captured, tuple(dict.fromkeys(f"{piece.carrier}:{piece.name}" for piece in pieces)))


def capture(bench: Workbench, path: bytes, *, dry_run: bool) -> Capturing:
    """Read the metadata of the medium at a path of the worktree. If it was imported and they give it a recipe, the
    next ``git add`` takes that recipe; a dry run only says so. Raises NotFound for a path without a medium, and
    whatever :meth:`Workbench.held` raises."""
    held = bench.held(path)
    if held is None or held.digest is None:
        bench.refuse_excluded(path)
        raise NotFound("no-such-path", f"{os.fsdecode(path)}: there is no medium in the worktree to read")
    fd = bench.open(path)
    if fd is None:
        raise NotFound("no-such-path", f"{os.fsdecode(path)}: it has just been removed")
    try:
        found = _read(fd)
    finally:
        os.close(fd)
    recipe = bench.current(path)
    if not recipe.imported or found.captured is None or recipe.captured is not None:
        return found._replace(recipe=recipe)
    given = _given(bench, path, held, found.captured, recipe)
    if given is None or given == recipe:
        return found._replace(recipe=recipe)
    if not dry_run:
        assert held.digest is not None
        content = Content(held.digest, held.size, given.output.media_type)
        recipe_writing.store_medium(bench, path, held.digest, held.size)
        recipe_writing.adopt_take(bench, path, given, content, None, held.identity)
    return found._replace(recipe=given, changes=True)


def _given(bench: Workbench, path: bytes, held: WorktreeContent, captured: Captured, recipe: Recipe) -> Recipe | None:
    """The recipe that captured metadata give an imported medium; its labels stay."""
    take = recipe.output.take
    if take is None or take.digest != held.digest:
        return None
    text = bench.capturer.text_of(path, captured, take, recipe.output.media_type, recipe.about)
    return toml.decode_or_none(text)
