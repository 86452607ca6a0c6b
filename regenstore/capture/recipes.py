"""The recipe of a medium whose embedded metadata tell how it was made."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from regenstore.capture.captured import Captured, Level
from regenstore.capture.embedded import Embedded
from regenstore.errors import FormatError
from regenstore.objects import toml
from regenstore.objects.recipe import Input, Output, Recipe, Take

if TYPE_CHECKING:
    from regenstore.capture.alike import AlikeMedia

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
        """``bind`` finds the models and inputs of the medium at a path; it must not depend on anything else that was
        captured. ``keep_workflow``: whether recipes keep the state of a graph editor, which is needed to get the same
        file again, not to get the same picture."""
        self._bind = bind
        self._enabled = enabled
        self._keep_workflow = keep_workflow

    def read(self, fd: int) -> Captured | None:
        """Return what a medium's embedded metadata tell; None if nothing, or if capturing is off."""
        pieces = self._embedded(fd)
        return _understand(pieces) if pieces else None

    def text(self, path: bytes, fd: int, media_type: str, take: Take, about: Mapping[str, Any]) -> bytes | None:
        """Return the recipe text of a medium, with labels to keep; None if its metadata tell nothing."""
        if not media_type.startswith(("image/", "video/", "audio/")):
            return None
        try:
            pieces = self._embedded(fd)
        except OSError:
            return None  # the medium is added all the same
        if not pieces:
            return None
        alike = None if about else self._alike.find(pieces)
        if alike is not None:
            pattern, numbers = alike
            if pattern.terms == (media_type, self._bind(path, pattern.captured)):
                return pattern.recipe_text(numbers, take)
        captured = _understand(pieces)
        if captured is None:
            return None
        binding = self._bind(path, captured)
        text = self._encoded(self._recipe(captured, take, media_type, binding, about))
        if captured.level is Level.GRAPH and text is not None and not about:

            def write(other: Captured, take: Take) -> Recipe:
                return self._recipe(other, take, media_type, binding, {})

            self._alike.learn(pieces, take, text, (media_type, binding), write)
        return text

    def text_of(
        self, path: bytes, captured: Captured, take: Take, media_type: str, about: Mapping[str, Any]
    ) -> bytes | None:
        """Return the recipe text for what was captured of a medium; None if no valid recipe can hold it."""
        return self._encoded(self._recipe(captured, take, media_type, self._bind(path, captured), about))

    def _embedded(self, fd: int) -> list[Embedded]:
        if not self._enabled:
            return []
        from regenstore.capture.carriers.read import embedded

        with os.fdopen(os.dup(fd), "rb") as file:
            file.seek(0)
            return embedded(file)

    @cached_property
    def _alike(self) -> AlikeMedia:
        from regenstore.capture.alike import AlikeMedia  # most media embed nothing

        return AlikeMedia(_understand)

    def _recipe(
        self, captured: Captured, take: Take, media_type: str, binding: Binding, about: Mapping[str, Any]
    ) -> Recipe:
        if not self._keep_workflow:
            captured = replace(captured, tables={})
        return recipe_of(captured, take, media_type, binding, about)

    def _encoded(self, found: Recipe) -> bytes | None:
        for recipe in (found, replace(found, extra={}), _documented(found)):
            try:
                return toml.encode_within_limits(recipe)
            except (FormatError, ValueError):  # too large, too deep, or text that is not Unicode
                continue
        return None


def _understand(pieces: Sequence[Embedded]) -> Captured | None:
    from regenstore.capture.programs.read import understand  # most media embed nothing

    return understand(pieces)


def recipe_of(
    captured: Captured, take: Take, media_type: str, binding: Binding, about: Mapping[str, Any] | None = None
) -> Recipe:
    """Return the recipe of a captured medium, which nobody has run here: nothing proves that it gives the take."""
    program = " ".join(filter(None, (captured.program, captured.program_version)))
    said: dict[str, Any] = {"captured": captured.level.value, "program": program}
    if captured.missing:
        said["missing"] = list(captured.missing)
    if captured.about:
        said["embedded"] = dict(captured.about)
    labels = {**(about or {}), **binding.about, **said}
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
