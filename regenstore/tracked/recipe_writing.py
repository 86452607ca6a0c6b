"""Writes new and changed recipes. Nothing is staged: that is left to ``git add``."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any

from regenstore.errors import Conflict, InvalidInput, NotFound, RegenstoreError
from regenstore.fs import durable, presence
from regenstore.fs.swap import NOTHING, Seen
from regenstore.generators.api import Declaration
from regenstore.media import types
from regenstore.objects import toml
from regenstore.objects.attribution import rounded
from regenstore.objects.ids import Digest
from regenstore.objects.recipe import Input, Output, Recipe
from regenstore.objects.result import Content
from regenstore.planning import Want
from regenstore.realise import Progress, Realiser
from regenstore.tracked.workbench import Workbench
from regenstore.worktree.paths import check_relative
from regenstore.worktree.place import APPEARED, CHANGED, Placement

UNWRITTEN = "The path stays as it was. To write the recipe without its medium, use --no-generate."


@dataclass(frozen=True)
class Written:
    """The outcome of writing a recipe. ``content`` is None if only the text was written."""

    path: bytes
    recipe: Recipe
    content: Content | None
    made: bool = False
    """Whether it was made now; else the content was there already."""


def compose(
    bench: Workbench,
    path: bytes,
    generator: str,
    params: Mapping[str, str],
    inputs: Mapping[str, bytes],
    progress: Progress | None,
) -> Recipe:
    """Build a recipe from user input, checked against the generator; inputs as :func:`pin_input` returns them."""
    declaration = bench.registry.find(generator).declaration
    media_type = media_type_for(path, declaration)
    typed = {name: declaration.params.lookup(name).parse(name, text) for name, text in params.items()}
    declaration.params.check(typed)
    check_inputs(declaration, inputs)
    refuse_itself(path, inputs)
    pinned = {name: pin_input(bench, name, source, progress) for name, source in inputs.items()}
    return Recipe(generator, declaration.version, Output(media_type), params=typed, inputs=pinned)


def media_type_for(path: bytes, declaration: Declaration) -> str:
    """Return the media type that a path's name implies, if the generator makes it. Raises InvalidInput otherwise."""
    wanted = types.by_name(path)
    if wanted in declaration.media_types:
        return wanted
    makes = ", ".join(types.suffix_for(t) or t for t in declaration.media_types)
    raise InvalidInput("bad-media-type", f"{os.fsdecode(path)}: '{declaration.name}' makes {makes}")


def check_inputs(declaration: Declaration, names: Iterable[str]) -> None:
    """Raise InvalidInput for an input that the generator does not take, or one that is missing."""
    given = set(names)
    slots = set(declaration.inputs)
    for name in sorted(given - slots):
        near = get_close_matches(name, slots - given, 1, cutoff=0.75)
        if near or declaration.more_inputs is None:
            also = f"; did you mean '{near[0]}'?" if near else ""
            takes = ", ".join(declaration.inputs) or "none"
            what = f"'{declaration.name}' has no input '{name}'{also} (it takes: {takes})"
            raise InvalidInput("unknown-input", what)
    for name, slot in declaration.inputs.items():
        if slot.required and name not in given:
            raise InvalidInput("missing-input", f"'{declaration.name}' needs the input '{name}' ({slot.description})")


def refuse_itself(path: bytes, inputs: Mapping[str, bytes]) -> None:
    """Raise InvalidInput (``dependency-cycle``) for an input that is the very path it is made for."""
    for name, source in inputs.items():
        if source == path:
            raise InvalidInput(
                "dependency-cycle",
                f"{os.fsdecode(path)}: it cannot be its own input '{name}', because the new medium would replace it",
                hint="Write to another path, or rename the input first with 'git mv'.",
            )


def pin_input(bench: Workbench, name: str, source: bytes, progress: Progress | None) -> Input:
    """Return the input at a worktree path, by the digest of its present content; a recipe there is realised first.
    Without ``progress`` nothing is stored or made: NotFound (``content-missing``) for an input that is not made yet."""
    check_relative(source)
    shown = os.fsdecode(source)
    if not _is_utf8(source):
        raise InvalidInput(
            "bad-path",
            f"{shown}: a recipe is UTF-8 text, and cannot name an input whose path is not",
            hint="Rename it with 'git mv'.",
        )
    held = bench.held(source)
    if held is not None and held.digest is not None:
        if progress is not None:
            store_medium(bench, source, held.digest, held.size)
        return Input(held.digest, shown)
    recipe = bench.current(source)
    if recipe.output.take is not None:
        if progress is not None:
            bench.store.claim(recipe.output.take.digest, recipe.output.take.size)
        return Input(recipe.output.take.digest, shown)
    if progress is None:
        raise NotFound(
            "content-missing",
            f"{shown}: the input '{name}' is not made yet, and a dry run makes nothing",
            hint=f"Make it first: regenstore get {shlex.quote(shown)}",
        )
    content = realise_one(bench.realiser, shown, recipe, progress)[0]
    return Input(content.digest, shown)


def _is_utf8(path: bytes) -> bool:
    try:
        path.decode()
    except UnicodeDecodeError:
        return False
    return True


def store_medium(bench: Workbench, path: bytes, digest: Digest, size: int) -> None:
    """Store a worktree file's bytes, unless they are stored already. Raises Conflict (``edited``) if the file has
    changed."""
    if bench.store.claim(digest, size) is not None:
        return
    bench.store.prepare()
    temp = bench.store.temp_path("input")
    source = _open(bench, path)
    try:
        with durable.storage_errors(temp), open(temp, "xb") as target:
            bench.placer.linker.fill(source, target.fileno())
        found = bench.store.adopt(temp)
    finally:
        os.close(source)
        durable.unlink(temp)
    if found != (digest, size):
        raise Conflict(
            "edited", f"{os.fsdecode(path)}: it was changed while it was read", hint="Run the same command again."
        )


def _open(bench: Workbench, path: bytes) -> int:
    try:
        return presence.open_file(os.path.join(bench.location.top, path), follow=False)
    except presence.NotRegular as error:
        raise Conflict("not-a-file", f"{os.fsdecode(path)}: it is {error.what}, and is left alone") from error
    except OSError as error:
        raise presence.unreadable(error, path) from error


def realise_one(
    realiser: Realiser, label: str, recipe: Recipe, progress: Progress
) -> tuple[Content, float | int | None, bool]:
    """Return the content of a recipe, its cost, and whether it was made now, which happens if it is missing. Raises the
    error if it cannot be made or fetched."""
    plan = realiser.plan([Want(label, recipe)])
    for outcome in realiser.run(plan, progress):
        if outcome.error is not None:
            raise outcome.error
        assert outcome.content is not None
        return outcome.content, outcome.seconds, bool(plan.steps)
    raise NotFound("content-missing", f"{label}: nothing was made")


def vacant(bench: Workbench, path: bytes, *, force: bool) -> Seen:
    """Return what is at a path where a new recipe will be written: nothing, or with ``force`` what will be replaced.
    Raises Conflict (``exists``), and whatever :meth:`Workbench.seen` raises."""
    was = bench.seen(path)
    if was is not NOTHING and not force:
        shown = os.fsdecode(path)
        what, hint = "a file", "Use 'regenstore set' to change it, or --force."
        held = bench.held(path, digest=False)
        if held is not None and held.text is not None:
            what = "a recipe without its medium"
            hint = f"'regenstore get {shlex.quote(shown)}' makes the medium; 'regenstore set' changes it first."
        raise Conflict("exists", f"{shown}: there is {what} already", hint=hint)
    return was


def write(bench: Workbench, path: bytes, recipe: Recipe, was: Seen, *, generate: bool, progress: Progress) -> Written:
    """Put a recipe at a path of the worktree: its medium, made if need be, or only its text.

    The recipe's take becomes what was made. ``was`` is what was seen at the path when its recipe was read or looked
    for. It is stored before it is replaced, and is not replaced if it has changed, or something has appeared
    (Conflict). If the medium cannot be made, the path stays as it is, and the error says so.
    """
    if not generate:
        return write_text(bench, path, recipe, was)
    _keep_present(bench, path, was)
    try:
        content, seconds, made = realise_one(bench.realiser, os.fsdecode(path), recipe, progress)
    except RegenstoreError as error:
        raise error.at(os.fsdecode(path)).adding(UNWRITTEN) from error
    return replace(_write_medium(bench, path, recipe, content, seconds, was), made=made)


def write_marked(bench: Workbench, path: bytes, text: bytes, was: Seen) -> None:
    """Write a text with conflict markers at a path in conflict, instead of the one that was seen there."""
    _place(bench, Placement(path, text, was))


def adopt_take(
    bench: Workbench, path: bytes, recipe: Recipe, content: Content, seconds: float | int | None, was: Seen
) -> Written:
    """Make a stored content the take of the recipe at a path, in recipe and worktree."""
    _keep_present(bench, path, was)
    return _write_medium(bench, path, recipe, content, seconds, was)


def write_text(bench: Workbench, path: bytes, recipe: Recipe, was: Seen) -> Written:
    """Write a recipe's text at a path unchanged, with or without a take; the present content is stored first."""
    _keep_present(bench, path, was)
    return _write_text(bench, path, recipe, was)


def _keep_present(bench: Workbench, path: bytes, was: Seen) -> None:
    """Store the medium at a path, which may be the last copy, and log its recipe, by which 'history' finds it. Raises
    Conflict (``edited``) if the path no longer holds what was seen."""
    held = bench.held(path)
    if held is None:
        bench.refuse_excluded(path)
    if (NOTHING if held is None else held.identity) != was:
        raise Conflict("edited", f"{os.fsdecode(path)}: {APPEARED if was is NOTHING else CHANGED}")
    if held is not None and held.digest is not None:
        store_medium(bench, path, held.digest, held.size)
    if held is not None:
        text = held.text or bench.text_of(path, held, bench.index_text(path))
        if text != bench.pending.get(path):  # that one was logged when it became pending
            bench.path_log.add(path, text)


def _write_text(bench: Workbench, path: bytes, recipe: Recipe, was: Seen) -> Written:
    _place(bench, Placement(path, toml.encode(recipe), was))
    bench.pending.clear(path)  # not before: a medium that was not replaced still has its recipe there
    return Written(path, recipe, None)


def taking(recipe: Recipe, content: Content, seconds: float | int | None) -> Recipe:
    """Return a recipe with a content as its take. One that it already names stays verbatim: labels may have changed."""
    if recipe.output.named == content.take:
        return recipe
    return recipe.with_take(content.take, None if seconds is None else rounded(seconds))


def _write_medium(
    bench: Workbench,
    path: bytes,
    recipe: Recipe,
    content: Content,
    seconds: float | int | None,
    was: Seen,
) -> Written:
    taken = taking(recipe, content, seconds)
    source = bench.store.claim(content.digest, content.size)
    if source is None:
        raise NotFound("content-missing", f"{os.fsdecode(path)}: the medium left the store while it was placed")
    before, base = bench.pending.get(path), bench.pending.base(path)
    bench.keep_pending(path, toml.encode(taken))
    try:
        _place(bench, Placement(path, source, was))
    except RegenstoreError:  # the medium that stayed keeps its recipe
        if before is None:
            bench.pending.clear(path)
        else:
            bench.pending.set(path, before, base)
        raise
    return Written(path, taken, content)


def _place(bench: Workbench, placement: Placement) -> None:
    report = bench.placer.place([placement])
    for path, error in report.skipped:
        raise error.at(os.fsdecode(path))


def changed(
    bench: Workbench,
    recipe: Recipe,
    params: Mapping[str, str],
    inputs: Mapping[str, bytes],
    remove: Iterable[str],
    progress: Progress | None,
) -> Recipe:
    """Return a recipe with parameters and inputs set or removed, checked against the generator; new inputs as
    :func:`pin_input` does."""
    declaration = _declaration(bench, recipe)
    if declaration is None:
        return _changed_captured(bench, recipe, params, inputs, remove, progress)
    merged: dict[str, Any] = dict(recipe.params)
    pinned = dict(recipe.inputs)
    for name in remove:
        if name in merged:
            del merged[name]
        elif name in pinned:
            del pinned[name]
        else:
            declaration.params.lookup(name)
            raise InvalidInput("no-change", f"the recipe does not set '{name}'")
    for name, text in params.items():
        merged[name] = declaration.params.lookup(name).parse(name, text)
    for name, source in inputs.items():
        pinned[name] = pin_input(bench, name, source, progress)
    declaration.params.check(merged)
    check_inputs(declaration, pinned)
    return keep_take(recipe, replace(recipe, params=merged, inputs=pinned))


def _declaration(bench: Workbench, recipe: Recipe) -> Declaration | None:
    """The declaration that a recipe is checked against; None for a captured one whose generator is not installed.
    Raises NotFound (``no-such-generator``) otherwise."""
    assert recipe.generator is not None
    try:
        return bench.registry.find(recipe.generator).declaration
    except NotFound:
        if recipe.captured is None:
            raise
        return None


def _changed_captured(
    bench: Workbench,
    recipe: Recipe,
    params: Mapping[str, str],
    inputs: Mapping[str, bytes],
    remove: Iterable[str],
    progress: Progress | None,
) -> Recipe:
    from regenstore.tracked import captured_params  # seldom needed

    for name in inputs:
        if name not in recipe.inputs:
            takes = ", ".join(recipe.inputs) or "none"
            raise InvalidInput("unknown-input", f"the recipe has no input '{name}' (it has: {takes})")
    merged = captured_params.changed(recipe.params, params, remove)
    pinned = {**recipe.inputs, **{name: pin_input(bench, name, source, progress) for name, source in inputs.items()}}
    return keep_take(recipe, replace(recipe, params=merged, inputs=pinned))


def keep_take(before: Recipe, after: Recipe) -> Recipe:
    """Return the changed recipe, with the previous take only if nothing changed that determines the bytes."""
    return after.with_take_of(before) if after.key == before.key else after.with_take(None, None)


def record(bench: Workbench, path: bytes, *, dry_run: bool = False) -> Written | None:
    """Record the medium at a path as the take of its recipe; None if it is recorded already. A dry run only returns
    what would be written.

    For media that were made for a recipe without a take (after a merge), or that drifted from it.
    """
    shown = os.fsdecode(path)
    held = bench.held(path)
    if held is None:
        bench.refuse_excluded(path)
    if held is None or held.digest is None:
        raise NotFound("content-missing", f"{shown}: there is no medium in the worktree to record")
    recipe = bench.current(path)
    if recipe.imported or recipe.key is None:
        raise InvalidInput("imported-media", f"{shown}: its recipe did not make the medium, so it cannot be its take")
    take, outdated = recipe.output.take, recipe.output.outdated
    if take is not None and take.digest == held.digest:
        return None
    key = recipe.key
    if outdated is not None and outdated.digest == held.digest:
        if not bench.cache.made(key, held.digest, recipe.output.name):
            raise InvalidInput(
                "outdated-take",
                f"{shown}: the medium was made with other parameters than its recipe has",
            )
        recipe = recipe.with_take(None, None)
    seconds = next(
        (r.seconds for r in bench.cache.results(key) for c in r.outputs.values() if c.digest == held.digest),
        None,
    )
    content = Content(held.digest, held.size, recipe.output.media_type)
    if dry_run:
        return Written(path, taking(recipe, content, seconds), content)
    store_medium(bench, path, held.digest, held.size)
    return _write_medium(bench, path, recipe, content, seconds, held.identity)


def checked(bench: Workbench, before: Recipe, after: Recipe) -> Recipe:
    """Return an edited recipe, if its generator accepts it; the take stays only if the key did. Raises InvalidInput,
    NotFound or GenerationError as the generator's schema says."""
    if after.imported or after.generator is None:
        raise InvalidInput("imported-media", "the edited text names no generator")
    declaration = _declaration(bench, after)
    if declaration is not None:
        declaration.params.check(after.params)
        check_inputs(declaration, after.inputs)
        if after.output.media_type not in declaration.media_types:
            raise InvalidInput("bad-media-type", f"'{declaration.name}' does not make {after.output.media_type}")
    return keep_take(before, after)
