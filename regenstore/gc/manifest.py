"""The manifest that a run writes before it evicts anything: the recipes that bring everything back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from regenstore.gc.plan import Eviction, main_referrer
from regenstore.objects import toml
from regenstore.objects.evicted import Evicted
from regenstore.objects.ids import Digest, RecipeKey
from regenstore.objects.recipe import Recipe
from regenstore.objects.results.cache import ResultCache
from regenstore.proof.survey import Survey

Producers = Callable[[Digest], Iterator[Recipe]]
"""Finds the recipes known to have made a content: in the database, in manifests and in Git."""


def recipe_text(cache: ResultCache, producers: Producers, key: RecipeKey, digest: Digest) -> bytes | None:
    """Return the recipe of a key, as text; None if it is not found."""
    text = cache.recipe_text(key)
    if text is not None:
        return text
    return next((toml.encode(recipe) for recipe in producers(digest) if recipe.key == key), None)


def describe(item: Eviction, text: bytes | None) -> Evicted:
    """Return the manifest's record of a content to evict."""
    entry, first = item.entry, main_referrer(item.entry)
    return Evicted(
        item.digest,
        item.size,
        first.media_type if first is not None else "",
        entry.finding.rule,
        entry.standing.name.lower(),
        entry.own,
        entry.recipe_key,
        first.output if first is not None else "main",
        text,
        entry.proof,
    )


def supports(survey: Survey, producers: Producers, records: Iterable[Evicted]) -> Iterator[Evicted]:
    """Yield the recipes of inputs that are not in the store, transitively: bringing something back needs them, even if
    Git and the database have forgotten them."""
    known = {record.digest for record in records} | survey.entries.keys()
    todo = [record.recipe for record in records if record.recipe is not None]
    while todo:
        recipe = toml.decode_or_none(todo.pop())
        for given in recipe.inputs.values() if recipe is not None else ():
            if given.digest in known:
                continue
            known.add(given.digest)
            for producer in producers(given.digest):
                take = producer.output.take
                size = take.size if take is not None and take.digest == given.digest else 0
                seconds = None if producer.output.seconds is None else float(producer.output.seconds)
                text, output = toml.encode(producer), producer.output
                yield Evicted(
                    given.digest,
                    size,
                    output.media_type,
                    "input",
                    "dead",
                    seconds,
                    producer.key,
                    output.name,
                    text,
                    taken=False,
                )
                todo.append(text)
                break
