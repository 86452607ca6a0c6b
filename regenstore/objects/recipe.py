"""The recipe as a frozen value. Its text is in :mod:`regenstore.objects.toml`, its key in ``canonical``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple

from regenstore.objects import canonical
from regenstore.objects.ids import Digest, RecipeKey

FORMAT_VERSION = 1
Table = Mapping[str, Any]
_NOTHING: Table = {}


class Input(NamedTuple):
    """An input of a recipe, pinned by digest; the path is a hint for people and for finding it again."""

    digest: Digest
    path: str | None = None
    extra: Table = _NOTHING


class Take(NamedTuple):
    """The content that a recipe blob records: what the artist saw and committed."""

    digest: Digest
    size: int


class Output(NamedTuple):
    """The output of the run that a path holds, with its take if the recipe was ever run."""

    media_type: str
    name: str = "main"
    take: Take | None = None
    seconds: float | int | None = None
    """How long the take took to make."""
    extra: Table = _NOTHING
    key: str | None = None
    """The mark of the recipe key that gave the take; None if the text does not say."""
    outdated: Take | None = None
    """The content that the text names although other parameters gave it; ``take`` is None then."""

    @property
    def named(self) -> Take | None:
        """The content that the text names, whether these parameters or others gave it."""
        return self.take or self.outdated


@dataclass(frozen=True)
class Recipe:
    """How a medium is made. ``generator`` is None for imported media. Never mutate the tables."""

    generator: str | None
    version: str
    output: Output
    model: Table = field(default_factory=dict)
    params: Table = field(default_factory=dict)
    inputs: Mapping[str, Input] = field(default_factory=dict)
    about: Table = field(default_factory=dict)
    extra: Table = field(default_factory=dict)
    """Unknown top-level fields and tables, preserved unchanged."""

    @cached_property
    def key(self) -> RecipeKey | None:
        """The input address; None for imported media."""
        return canonical.recipe_key(self)

    @property
    def imported(self) -> bool:
        return self.generator is None

    @property
    def wanted(self) -> bool:
        """Whether the recipe has no take: it was never run, or only with other parameters."""
        return self.output.take is None

    @property
    def edited_from(self) -> str | None:
        origin = self.about.get("edited_from")
        return origin if isinstance(origin, str) else None

    @property
    def captured(self) -> str | None:
        """How much the medium's own metadata told, if the recipe was captured from them."""
        level = self.about.get("captured")
        return level if isinstance(level, str) else None

    def with_take(self, take: Take | None, seconds: float | int | None) -> Recipe:
        """Return the recipe with another take (or none), recorded as given by its own key."""
        mark = None if take is None or self.key is None else self.key.mark
        return replace(self, output=self.output._replace(take=take, seconds=seconds, key=mark, outdated=None))

    def with_take_of(self, other: Recipe) -> Recipe:
        """Return the recipe with everything that another one records of its take."""
        given = other.output
        return replace(
            self,
            output=self.output._replace(take=given.take, seconds=given.seconds, key=given.key, outdated=given.outdated),
        )

    def of_key(self) -> Recipe:
        """Return the recipe, its take marked as outdated if the text says that another key gave it."""
        output = self.output
        if output.key is None or self.key is None or output.take is None or output.key == self.key.mark:
            return self
        return self.with_outdated()

    def with_outdated(self) -> Recipe:
        """Return the recipe with its take marked as made with other parameters."""
        return replace(self, output=self.output._replace(take=None, outdated=self.output.named))

    @classmethod
    def of_imported(cls, take: Take, media_type: str, about: Table | None = None) -> Recipe:
        return cls(None, "", Output(media_type, take=take), about=dict(about or {}))
