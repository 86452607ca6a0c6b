"""Which recipe a content belongs to, decided by digest alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from regenstore.errors import FormatError
from regenstore.objects import toml
from regenstore.objects.ids import Digest
from regenstore.objects.recipe import Recipe, Take
from regenstore.objects.result import KnownOutput
from regenstore.objects.results.cache import ResultCache

OF_ONE_TAKE = frozenset(
    {"captured", "program", "missing", "embedded", "unpinned", "unbound_inputs", "dvc_stage", "dvc_import"}
)
"""The fields of ``[about]`` that tell how one medium came to be. All others are labels, which another medium at
the path keeps."""


def one_text(text: bytes) -> bytes:
    """The one valid text of a recipe. Text that is not a valid recipe is returned unchanged."""
    try:
        return toml.encode(toml.decode(text))
    except FormatError:
        return text


def one_text_of_sides(text: bytes, sides: Iterable[bytes]) -> bytes:
    """The one valid text of a conflict that was resolved by hand. If its take comes from a side with other parameters,
    the text records that, even if the line that recorded it was removed."""
    recipe = toml.decode_or_none(text)
    if recipe is None or recipe.key is None or recipe.output.take is None or recipe.output.key is not None:
        return one_text(text)
    known = [side for side in map(toml.decode_or_none, sides) if side is not None and side.key is not None]
    marks = {
        side.output.key or side.key.mark: side.output.key
        for side in known
        if side.output.named == recipe.output.take and side.key is not None
    }
    own = recipe.key.mark
    mark = marks[own] if own in marks else next(iter(marks), None)
    return one_text(toml.encode(replace(recipe, output=recipe.output._replace(key=mark))))


def attribute(
    cache: ResultCache,
    known: bytes | None,
    digest: Digest,
    size: int,
    media_type: str,
    elsewhere: Callable[[Take], bytes | None] = lambda take: None,
    captured: Callable[[Take, Mapping[str, Any]], bytes | None] = lambda take, about: None,
) -> bytes:
    """The recipe blob for a content. In this order: the recipe that the index has at the path (``known``), if the
    content is its take or a recorded result of its key; the whole text that names the content at another path
    (``elsewhere``), from which the medium was moved or copied; a recipe that is known to have made it; the one that its
    embedded metadata give (``captured``, which is called with the labels to keep); or imported media of this type. The
    last two say which recipe the medium was edited from."""
    before = toml.decode_or_none(known)
    take = Take(digest, size)
    if known is not None and before is not None and _made_by(cache, before, take):
        return known
    moved = elsewhere(take)
    if moved is not None:
        return moved
    for made in cache.known_outputs(digest):
        recipe = toml.decode_or_none(made.recipe)
        if recipe is not None:
            return toml.encode(with_made(recipe, made, take))
    about = {} if before is None else {n: v for n, v in before.about.items() if n not in OF_ONE_TAKE}
    if before is not None and before.key is not None:
        about["edited_from"] = str(before.key)
    told = captured(take, about)
    if told is not None:
        return told
    if before is None:
        return toml.imported_text(take, media_type)
    return toml.encode(Recipe.of_imported(take, media_type, about))


def _made_by(cache: ResultCache, recipe: Recipe, take: Take) -> bool:
    """Whether a content is the one that a recipe names, or a recorded result of its key for the same output."""
    if recipe.output.named == take:
        return True
    return recipe.key is not None and cache.made(recipe.key, take.digest, recipe.output.name)


def with_made(recipe: Recipe, made: KnownOutput, take: Take) -> Recipe:
    """The recipe, recording one of its known outputs as the take."""
    output = recipe.output._replace(name=made.name, media_type=made.media_type, extra={})
    return replace(recipe, output=output).with_take(take, rounded(made.seconds))


def rounded(seconds: float) -> float | int:
    """A cost as recipes record it: two significant digits, so that reruns seldom change the text."""
    short = float(f"{seconds:.2g}")
    return int(short) if short >= 10 else short
