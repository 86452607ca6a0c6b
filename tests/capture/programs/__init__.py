"""Tests of regenstore.capture.programs: texts as the programs write them, and hostile ones."""

from __future__ import annotations

from regenstore.capture.captured import Captured
from regenstore.capture.embedded import Embedded
from regenstore.capture.programs.read import understand
from regenstore.objects import toml
from regenstore.objects.ids import Digest
from regenstore.objects.recipe import Output, Recipe, Take


def png(**texts: str) -> list[Embedded]:
    """The text chunks of a PNG."""
    return [Embedded("png", name, text) for name, text in texts.items()]


def captured(pieces: list[Embedded]) -> Captured:
    """What the pieces say, which must be something that a recipe can hold and gives back."""
    found = understand(pieces, strict=True)
    assert found is not None
    assert_recipe_holds(found)
    return found


def assert_recipe_holds(found: Captured) -> None:
    output = Output("image/png", "main", Take(Digest(bytes(32)), 1))
    params = dict(found.params) if found.generator else {}
    version = found.generator_version if found.generator else ""
    recipe = Recipe(found.generator, version, output, params=params, about=dict(found.about), extra=dict(found.tables))
    again = toml.decode(toml.encode(recipe))
    assert (again.params, again.about, again.extra) == (params, found.about, found.tables)
