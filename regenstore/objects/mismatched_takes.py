"""Detection of outdated takes in recipes that do not say which parameters gave their takes.

A recipe that records the key of its take is judged on that alone (``Recipe.of_key``). An older one is judged by the
result cache: a take is outdated if it is recorded there, and only as a result of other keys. One that is not recorded
at all is believed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from regenstore.objects import toml
from regenstore.objects.ids import Digest, RecipeKey
from regenstore.objects.recipe import Recipe
from regenstore.objects.result import BlobRecord
from regenstore.objects.results.cache import ResultCache
from regenstore.objects.scan import scan_key, scan_take


def judged(cache: ResultCache, recipes: Sequence[Recipe]) -> list[Recipe]:
    """Return the recipes, marking mismatched takes as outdated."""
    unsure = {r.output.take.digest for r in recipes if r.output.take is not None and r.output.key is None and r.key}
    makers = cache.makers(unsure) if unsure else {}
    return [recipe.with_outdated() if _outdated(recipe, makers) else recipe for recipe in recipes]


def _outdated(recipe: Recipe, makers: Mapping[Digest, set[RecipeKey]]) -> bool:
    take, key = recipe.output.take, recipe.key
    if take is None or key is None or recipe.output.key is not None:
        return False
    return key not in makers.get(take.digest, (key,))


def judged_blobs(cache: ResultCache, records: Mapping[bytes, BlobRecord]) -> Mapping[bytes, BlobRecord]:
    """Like :func:`judged`, for the records of recipe blobs."""
    unsure = {r.digest for r in records.values() if not r.sure and r.key is not None and r.digest is not None}
    makers = cache.makers(unsure) if unsure else {}
    return (
        {
            oid: r._replace(digest=None, outdated=r.digest)
            if not r.sure and r.key is not None and r.digest is not None and r.key not in makers.get(r.digest, (r.key,))
            else r
            for oid, r in records.items()
        }
        if makers
        else records
    )


def outdated_texts(cache: ResultCache, texts: Iterable[bytes]) -> set[bytes]:
    """Return the recipe texts whose takes are recorded, and only as results of other keys."""
    takes = {text: Digest(take[0]) for text in texts if (take := scan_take(text)) is not None}
    makers = cache.makers(takes.values())
    found = set()
    for text, digest in takes.items():
        if digest in makers:
            key = scan_key(text)
            recipe = toml.decode_or_none(text) if key is None else None
            known = recipe.key if recipe is not None else None if key is None else RecipeKey(key)
            if known is not None and known not in makers[digest]:
                found.add(text)
    return found
