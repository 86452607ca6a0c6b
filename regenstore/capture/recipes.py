"""The recipe of a medium whose embedded metadata tell how it was made."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from regenstore.capture.captured import Captured, Level
from regenstore.errors import FormatError
from regenstore.objects import toml
from regenstore.objects.recipe import Input, Output, Recipe, Take

RUNNABLE = (Level.GRAPH, Level.PARAMETERS)


class Binding(NamedTuple):
    """The models and inputs that a medium was made with, by digest as far as they are known here."""

    model: Mapping[str, Any] = {}
    inputs: Mapping[str, Input] = {}
    about: Mapping[str, Any] = {}
    """What could not be bound, by name."""


class Capturer:
    """Reads embedded metadata, and writes the recipes that they give."""

    def __init__(
        self,
        bind: Callable[[bytes, Captured], Binding],
        *,
        enabled: bool = True,
        keep_workflow: bool = True,
    ) -> None:
        """``bind`` finds the models and inputs of the medium at a path. ``keep_workflow``: whether recipes keep the
        state of a graph editor, which is needed to get the same file again, not to get the same picture."""
        self._bind = bind
        self._enabled = enabled
        self._keep_workflow = keep_workflow

    def read(self, fd: int) -> Captured | None:
        """Return what a medium's embedded metadata tell; None if nothing, or if capturing is off."""
        if not self._enabled:
            return None
        from regenstore.capture import reader

        with os.fdopen(os.dup(fd), "rb") as file:
            file.seek(0)
            return reader.read(file).captured

    def text(self, path: bytes, fd: int, media_type: str, take: Take, about: Mapping[str, Any]) -> bytes | None:
        """Return the recipe text of a medium, with labels to keep; None if its metadata tell nothing."""
        if not media_type.startswith(("image/", "video/", "audio/")):
            return None
        try:
            captured = self.read(fd)
        except OSError:
            return None  # the medium is added all the same
        return None if captured is None else self.text_of(path, captured, take, media_type, about)

    def text_of(
        self, path: bytes, captured: Captured, take: Take, media_type: str, about: Mapping[str, Any]
    ) -> bytes | None:
        """Return the recipe text for what was captured of a medium; None if no valid recipe can hold it."""
        binding = self._bind(path, captured)
        if not self._keep_workflow:
            captured = replace(captured, tables={})
        found = recipe_of(captured, take, media_type, binding, about)
        for recipe in (found, replace(found, extra={}), _documented(found)):
            try:
                return toml.encode_within_limits(recipe)
            except (FormatError, ValueError):  # too large, too deep, or text that is not Unicode
                continue
        return None


def recipe_of(
    captured: Captured, take: Take, media_type: str, binding: Binding, about: Mapping[str, Any] | None = None
) -> Recipe:
    """Return the recipe of a captured medium, which nobody has run here: nothing proves that it gives the take."""
    program = " ".join(filter(None, (captured.program, captured.program_version)))
    said: dict[str, Any] = {"captured": captured.level.value, "program": program}
    if captured.missing:
        said["missing"] = list(captured.missing)
    labels = {**captured.about, **binding.about, **(about or {}), **said}
    if captured.level not in RUNNABLE or captured.generator is None:
        return Recipe.of_imported(take, media_type, labels)
    recipe = Recipe(
        captured.generator,
        captured.generator_version,
        Output(media_type),
        model=binding.model,
        params=captured.params,
        inputs=binding.inputs,
        about=labels,
        extra=captured.tables,
    )
    return recipe.with_take(take, None)


def _documented(recipe: Recipe) -> Recipe:
    """The recipe of imported media, with only the labels that say what was captured."""
    take = recipe.output.take
    assert take is not None
    kept = {name: value for name, value in recipe.about.items() if name in ("captured", "program", "edited_from")}
    return Recipe.of_imported(take, recipe.output.media_type, {**kept, "captured": Level.PROVENANCE.value})
