"""Finding media by what their recipes say: in Git's index, in a revision, or in all of history.

What a recipe says is kept in the result database by blob, so each blob is read once (see ``objects/search_text.py``).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import accumulate
from typing import Any, NamedTuple

from regenstore.errors import Conflict, NotFound, StorageError
from regenstore.objects import toml
from regenstore.objects.results.cache import ResultCache
from regenstore.objects.results.search_table import (
    KnownTexts,
    add_search_texts,
    known_texts,
    search_texts,
    searched_blobs,
)
from regenstore.objects.search_text import SearchText, search_text, typed_values, values
from regenstore.refs.blobs import blob_record, read_texts
from regenstore.refs.git import Git
from regenstore.tracked.query import Expression
from regenstore.tracked.workbench import Workbench, select

_TOGETHER = 1000
"""Recipes of which the database learns at once."""


class Found(NamedTuple):
    """A recipe at a path that every expression matches."""

    path: bytes
    oid: bytes
    values: tuple[tuple[Any, ...], ...]
    """For each expression, the values that its name has."""
    commit: str | None = None
    """When all of history was searched: the newest commit that put the recipe there; None if none did yet."""


class Search(NamedTuple):
    """What was found, and how many texts that look like recipes could not be read."""

    found: list[Found]
    unreadable: int


Told = Callable[[int], Callable[[], None]]
"""Called with the number of recipes to read for the first time; returns what is called for each."""


def in_index(bench: Workbench, expressions: Sequence[Expression], paths: Sequence[bytes], told: Told) -> Search:
    """Search Git's index. Raises NotFound (``no-such-path``) for a path at and below which it has nothing."""
    return _at_paths(bench, bench.git.index_blobs(), expressions, paths, told)


def in_revision(
    bench: Workbench, revision: str, expressions: Sequence[Expression], paths: Sequence[bytes], told: Told
) -> Search:
    """Search a revision. Raises NotFound (``no-such-revision``), and as :func:`in_index`."""
    commit = bench.git.commit(revision)
    if commit is None:
        raise NotFound("no-such-revision", f"Git knows no commit '{revision}'")
    oids = {entry.path: entry.oid for entry in bench.git.ls_tree(commit) if entry.is_file}
    return _at_paths(bench, oids, expressions, paths, told)


def in_history(
    bench: Workbench,
    reached: Iterable[bytes],
    expressions: Sequence[Expression],
    paths: Sequence[bytes],
    told: Told,
) -> Search:
    """Search the index and everything that commits put anywhere, given all blobs that refs and reflogs reach. A recipe
    counts once at each path. Sorted by path, the newest first."""
    index = bench.git.index_blobs()
    matched, unreadable = _matched(bench.git, bench.cache, {*reached, *index.values()}, expressions, told)
    places: dict[tuple[bytes, bytes], str | None] = {}
    for moment in bench.git.moments(matched) if matched else ():
        if moment.change.oid in matched:
            places.setdefault((moment.change.path, moment.change.oid), moment.commit)
    for path, oid in index.items():
        if oid in matched:
            places.setdefault((path, oid), None)
    meant = set(_below({path for path, _ in places}, paths)) if places else set()
    newest = [Found(path, oid, matched[oid], commit) for (path, oid), commit in places.items() if path in meant]
    return Search(sorted(newest, key=lambda each: (each.path, each.commit is not None)), unreadable)


def _at_paths(
    bench: Workbench,
    oids: Mapping[bytes, bytes],
    expressions: Sequence[Expression],
    paths: Sequence[bytes],
    told: Told,
) -> Search:
    meant = _below(oids, paths)
    matched, unreadable = _matched(bench.git, bench.cache, {oids[path] for path in meant}, expressions, told)
    found = [Found(path, oids[path], matched[oids[path]]) for path in sorted(meant) if oids[path] in matched]
    return Search(found, unreadable)


def _below(known: Iterable[bytes], paths: Sequence[bytes]) -> Iterable[bytes]:
    return select(known, paths) if paths else known


def _matched(
    git: Git, cache: ResultCache, oids: Iterable[bytes], expressions: Sequence[Expression], told: Told
) -> tuple[dict[bytes, tuple[tuple[Any, ...], ...]], int]:
    """Return the values of the blobs that all expressions match, and how many recipes cannot be read."""
    wanted = set(oids)
    unknown = wanted - searched_blobs(cache)
    known = search_texts(cache, wanted, [each.parts for each in expressions if each.parts])
    unknown -= cache.plain_blobs(unknown)
    matched = dict(_matching(known, expressions))
    unreadable = 0
    if unknown:
        for some, wrong in _read(git, cache, sorted(unknown), told(len(unknown))):
            matched.update(_matching(some, expressions))
            unreadable += wrong
    return matched, unreadable


def _matching(
    known: KnownTexts, expressions: Sequence[Expression]
) -> Iterator[tuple[bytes, tuple[tuple[Any, ...], ...]]]:
    """Yield the blobs that all expressions match, with the values of each one's name. Their texts are searched as one:
    what is done for each recipe takes most of the time."""
    rows = [(oid, own, nested) for oid, (own, nested) in known.own.items()]
    for each in expressions:
        ends = list(accumulate(len(own) for _, own, _ in rows))
        hits = {bisect_right(ends, at) for at in _hits("".join(own for _, own, _ in rows), each)}
        shared = {number for number, text in known.nested.items() if any(True for _ in _hits(text, each))}
        rows = [row for at, row in enumerate(rows) if (at in hits or row[2] in shared) != each.negated]
    for oid, own, nested in rows:
        texts = (own, known.nested[nested])
        found = ([v for text in texts for v in typed_values(text, each.name)] for each in expressions)
        yield oid, tuple(tuple(dict.fromkeys(values)) for values in found)


def _hits(text: str, each: Expression) -> Iterator[int]:
    fits: dict[str, bool] = {}
    for at, value in values(text, each.name):
        if (holds := fits.get(value)) is None:
            holds = fits[value] = each.holds(value)
        if holds:
            yield at


def _read(
    git: Git, cache: ResultCache, oids: Sequence[bytes], one: Callable[[], None]
) -> Iterator[tuple[KnownTexts, int]]:
    """Read recipes for the first time, and have the database learn of them, as far as it can be written."""
    for start in range(0, len(oids), _TOGETHER):
        texts: dict[bytes, SearchText] = {}
        plain, records, unreadable = [], [], 0
        for oid, text in read_texts(git, oids[start : start + _TOGETHER]):
            one()
            recipe = toml.decode_or_none(text)
            if recipe is not None:
                texts[oid] = search_text(recipe)
                records.append(blob_record(oid, recipe))  # what other commands would parse it for again
            elif text is not None and toml.looks_like_recipe(text):
                unreadable += 1
            else:
                plain.append(oid)
        known = known_texts(texts)
        with suppress(StorageError, Conflict):  # else the next search reads them again
            cache.add_blobs(records, plain)
            add_search_texts(cache, known)
        yield known, unreadable
