"""The contents that a path has had, wherever they are still known: in all of Git's history, in the index, pending, in
the path log, among other results of the same recipes, in gc's manifests. And bringing one back."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from shlex import quote
from typing import Any, NamedTuple

from regenstore.errors import Conflict, InvalidInput, NotFound
from regenstore.fs import durable
from regenstore.fs.reflink import Linker
from regenstore.objects import evicted, toml
from regenstore.objects.attribution import rounded
from regenstore.objects.ids import Digest
from regenstore.objects.mismatched_takes import judged
from regenstore.objects.recipe import Recipe, Take
from regenstore.objects.result import Content
from regenstore.refs.blobs import read_texts
from regenstore.tracked import recipe_writing
from regenstore.tracked.recipe_writing import Written
from regenstore.tracked.workbench import Workbench

COMMIT, INDEX, PENDING, WORKTREE = "commit", "index", "pending", "worktree"
REPLACED, RESULT, GC = "replaced", "result", "gc"
_NOW = {WORKTREE: 0, PENDING: 1, INDEX: 2}
"""Sources that say what a path has now: they are listed first."""
IMPORTED = "imported media"


class FieldChange(NamedTuple):
    """A field of a recipe that differs; None where one of the two does not have it."""

    name: str
    before: Any
    after: Any


class PastContent(NamedTuple):
    """A content that a path has had."""

    recipe: Recipe
    """What gave it, as far as that is known; ``take`` may be a content that it names as outdated."""
    take: Take
    source: str
    """The surest place that tells of it: one of the constants above."""
    when: float | None = None
    commit: str | None = None
    subject: str | None = None
    state: str = "gone"
    """``placed``, ``stored``, ``trash`` or ``gone``."""
    changes: tuple[FieldChange, ...] | None = None
    """What differs from the next older content's recipe; None for the oldest."""


def history(bench: Workbench, path: bytes) -> list[PastContent]:
    """Return every content that a path is known to have had, those that it has now first, then the newest. Raises
    NotFound (``no-such-path``) if there is none, and what reading the path, Git or the store raises."""
    named = [each for each in _named(bench, path) if each is not None]
    recipes = judged(bench.cache, [each.recipe for each in named])
    known = [each._replace(recipe=recipe) for each, recipe in zip(named, recipes)]
    found: dict[Digest, PastContent] = {}
    for each in [*known, *_results(bench, known), *_evicted(bench, known)]:
        first = found.setdefault(each.take.digest, each)
        better = first.recipe.output.take is None and each.recipe.output.take is not None
        if better or first.when is None:
            recipe = each.recipe if better else first.recipe
            found[each.take.digest] = first._replace(recipe=recipe, when=first.when or each.when)
    if not found:
        raise NotFound("no-such-path", f"{os.fsdecode(path)}: neither Git nor the store knows a medium of that path")
    held = bench.held(path)
    placed = None if held is None else held.digest
    listed = sorted(found.values(), key=lambda each: (_NOW.get(each.source, len(_NOW)), -(each.when or 0.0)))
    older = [*(each.recipe for each in listed[1:]), None]
    return [
        each._replace(state=_state(bench, each.take, placed), changes=None if o is None else changes(o, each.recipe))
        for each, o in zip(listed, older)
    ]


def chosen(listed: Iterable[PastContent], path: bytes, wanted: str) -> PastContent:
    """Return the content whose digest begins with these hex digits. Raises InvalidInput (``no-such-take``)."""
    prefix = wanted.removeprefix(Digest.PREFIX).lower()
    matching = [each for each in listed if prefix and each.take.digest.hex.startswith(prefix)]
    if len(matching) != 1:
        shown = os.fsdecode(path)
        what = "several contents begin with" if matching else "it never had a content that begins with"
        raise InvalidInput(
            "no-such-take", f"{shown}: {what} {wanted!r}", hint=f"Run: regenstore history {quote(shown)}"
        )
    return matching[0]


def bring_back(bench: Workbench, path: bytes, past: PastContent) -> Written:
    """Place a content at its path again, with the recipe that gave it as the pending one; nothing is staged. What is
    there is stored first. Raises NotFound (``content-missing``), and what writing a recipe raises."""
    bench.require_tracked(path)
    was = bench.seen(path)
    require_kept(path, past)
    output = past.recipe.output
    content = Content(past.take.digest, past.take.size, output.media_type)
    return recipe_writing.adopt_take(bench, path, past.recipe, content, output.seconds, was)


def write_to(bench: Workbench, path: bytes, past: PastContent, target: str) -> None:
    """Write a content to a new file anywhere. Raises Conflict (``exists``), StorageError, and NotFound
    (``content-missing``)."""
    require_kept(path, past)
    stored = bench.store.use(past.take.digest, past.take.size)
    if stored is None:
        raise _missing(path, past)
    with durable.storage_errors(target):
        try:
            fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        except FileExistsError as error:
            raise Conflict("exists", f"{target}: there is a file already", hint="Choose another name.") from error
        try:
            with open(stored, "rb") as source:
                Linker().fill(source.fileno(), fd)
        except BaseException:
            durable.unlink(target)
            raise
        finally:
            os.close(fd)


def require_kept(path: bytes, past: PastContent) -> None:
    """Raise NotFound (``content-missing``) for a content that the store no longer has."""
    if past.state == "gone":
        raise _missing(path, past)


def _missing(path: bytes, past: PastContent) -> NotFound:
    shown = os.fsdecode(path)
    named = quote(shown)
    hint = "No recipe is known that makes it again; look for another copy."
    if past.commit is not None and not past.recipe.imported:
        hint = f"Run 'git restore -s {past.commit[:10]} {named}', then 'regenstore get {named}' fetches or makes it."
    elif past.commit is not None:
        hint = f"A remote may have it: 'git restore -s {past.commit[:10]} {named}', then 'regenstore get {named}'."
    return NotFound("content-missing", f"{shown}: the store no longer has {past.take.digest.short}", hint=hint)


# ------------------------------------------------------------------------------------------- where they are known


def _named(bench: Workbench, path: bytes) -> Iterator[PastContent | None]:
    """Yield what texts name, the surest sources first. Only a commit that changed the content counts, not one that
    changed labels."""
    commits = list(bench.git.path_changes(path))
    oids = dict.fromkeys(oid for each in commits for oid in (*each.before, each.oid) if any(oid))
    texts = {oid: toml.decode_or_none(text) for oid, text in read_texts(bench.git, list(oids)) if text is not None}
    named = {oid: recipe.output.named for oid, recipe in texts.items() if recipe is not None}
    for each in sorted(commits, key=lambda one: -one.when):
        if named.get(each.oid) not in [named.get(oid) for oid in each.before]:
            past = _past(texts[each.oid], COMMIT, each.when)
            yield None if past is None else past._replace(commit=each.commit, subject=each.subject)
    for text in (bench.index_text(path), *bench.sides(path)):
        yield _past(toml.decode_or_none(text), INDEX)
    yield _past(toml.decode_or_none(bench.pending.get(path)), PENDING)
    held = bench.held(path)
    if held is not None:
        text = held.text or bench.text_of(path, held, bench.index_text(path))
        recipe = toml.decode_or_none(text)
        if recipe is not None and held.digest is not None and recipe.output.named != (held.digest, held.size):
            recipe = recipe.with_take(Take(held.digest, held.size), None)  # drifted, or made after a merge
        yield _past(recipe, WORKTREE)
    for logged in bench.path_log.of(path):
        yield _past(toml.decode_or_none(logged.text), REPLACED, logged.when)


def _past(recipe: Recipe | None, source: str, when: float | None = None) -> PastContent | None:
    take = None if recipe is None else recipe.output.named
    return None if recipe is None or take is None else PastContent(recipe, take, source, when)


def _results(bench: Workbench, known: Iterable[PastContent]) -> Iterator[PastContent]:
    """Yield all recorded results of the recipes."""
    for recipe in _recipes(known):
        assert recipe.key is not None
        for result in bench.cache.results(recipe.key):
            content = result.outputs.get(recipe.output.name)
            if content is not None:
                made = recipe.with_take(content.take, rounded(result.seconds))
                yield PastContent(made, content.take, RESULT, result.created)


def _evicted(bench: Workbench, known: Iterable[PastContent]) -> Iterator[PastContent]:
    """Yield what gc evicted of the recipes: its manifests outlive the database."""
    recipes = {(recipe.key, recipe.output.name): recipe for recipe in _recipes(known)}
    for run in evicted.runs(bench.store.root) if recipes else ():
        for record in evicted.read(bench.store.root, run):
            recipe = recipes.get((record.key, record.output))
            if recipe is not None and record.taken:
                take = Take(record.digest, record.size)
                yield PastContent(recipe.with_take(take, None), take, GC)


def _recipes(known: Iterable[PastContent]) -> Iterable[Recipe]:
    return {(e.recipe.key, e.recipe.output.name): e.recipe for e in known if e.recipe.key is not None}.values()


def _state(bench: Workbench, take: Take, placed: Digest | None) -> str:
    if take.digest == placed:
        return "placed"
    if bench.store.stored(take.digest, take.size) is not None:
        return "stored"
    return "trash" if bench.store.is_in_trash(take.digest, take.size) else "gone"


# ------------------------------------------------------------------------------------------- what differs


def changes(before: Recipe, after: Recipe) -> tuple[FieldChange, ...]:
    """Return the fields that two recipes differ in and that determine the bytes."""
    if before.imported or after.imported:
        makers = [IMPORTED if each.imported else each.generator for each in (before, after)]
        return () if makers[0] == makers[1] else (FieldChange("generator", *makers),)
    told = [fields(before), fields(after)]
    names = dict.fromkeys((*told[1], *told[0]))
    return tuple(FieldChange(n, told[0].get(n), told[1].get(n)) for n in names if told[0].get(n) != told[1].get(n))


def fields(recipe: Recipe) -> dict[str, Any]:
    """Return the values that determine the bytes, by name; those of nested tables by dotted names."""
    found: dict[str, Any] = {"generator": recipe.generator, "version": recipe.version, "output": recipe.output.name}
    found |= {f"model.{name}": value for name, value in recipe.model.items()}
    found |= dict(_flat(recipe.params))
    found |= {f"input {n}": f"{given.path or ''} ({given.digest.short})" for n, given in recipe.inputs.items()}
    return found


def _flat(table: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in table.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value
