"""get and drop: replace recipe text in the worktree by media, and back."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from regenstore.errors import NotFound, RegenstoreError
from regenstore.fs.swap import NOTHING, Identity, Nothing
from regenstore.objects import toml
from regenstore.objects.mismatched_takes import judged_blobs
from regenstore.objects.result import BlobRecord
from regenstore.planning import AUTO, RunPlan, Want
from regenstore.refs.blobs import read_blobs
from regenstore.tracked.workbench import Workbench, WorktreeContent, excluded, select

if TYPE_CHECKING:  # slow to import, and not needed if there is nothing to do
    from regenstore.objects.ids import Digest
    from regenstore.realise import Progress, Realiser
    from regenstore.worktree.place import Placement


Tell = Callable[[bytes], None]


def _untold(path: bytes) -> None:
    """Progress that is not shown."""


class GetWish(NamedTuple):
    """A path whose worktree file is recipe text (or missing), with the index entry to update."""

    path: bytes
    text: bytes
    replaces: bytes | Nothing | Identity
    """The text at the path, or a medium that a run gave: with other parameters, or other bytes than the take."""
    oid: bytes | None


@dataclass
class GetPlan:
    """What ``get`` would do. A value: making it changes nothing."""

    wishes: dict[str, GetWish]
    plan: RunPlan
    failed: list[tuple[bytes, RegenstoreError]] = field(default_factory=list)
    excluded: list[bytes] = field(default_factory=list)
    """Paths excluded by the sparse checkout and not named explicitly."""


@dataclass
class DropPlan:
    """What ``drop`` would do: media that become text, and those that are kept, with the reason. Changes nothing."""

    placements: list[Placement] = field(default_factory=list)
    kept: list[tuple[bytes, str]] = field(default_factory=list)
    failed: list[tuple[bytes, RegenstoreError]] = field(default_factory=list)


@dataclass
class GetReport:
    """What was done, by path."""

    done: list[bytes] = field(default_factory=list)
    drifted: list[bytes] = field(default_factory=list)
    failed: list[tuple[bytes, RegenstoreError]] = field(default_factory=list)
    fetched: int = 0


def plan_get(
    bench: Workbench, paths: Sequence[bytes], *, generate: bool, local: bool = False, prefer: str = AUTO
) -> GetPlan:
    """Plan which recipes in the worktree become media, and what has to be fetched and made for that, as preferred where
    both are possible. With ``local``, only other stores on this machine are asked,
    and no remote. Paths whose present content cannot be read are among the
    failed ones, and are not replaced."""
    tracked = bench.tracked()
    everything = [*tracked, *bench.untracked()]
    chosen = select(everything, paths) if paths else everything
    wants: list[Want] = []
    planned = GetPlan({}, RunPlan())
    refused = _refused(bench, chosen, paths)

    def realiser() -> Realiser:  # slow to import, and not needed if nothing is to be done
        bench.realiser.prefer, bench.realiser.local = prefer, local
        return bench.realiser

    def can_bring(digest: Digest) -> bool:
        return realiser().can_bring(digest)

    records = _records(bench, {path: tracked[path] for path in chosen if path in tracked})
    index_text = bench.index_texts(chosen)
    for path in chosen:
        try:
            wish = _wish(bench, path, tracked.get(path), records.get(path), index_text, can_bring)
            if wish is not None:
                wants.append(Want(os.fsdecode(path), toml.decode(wish.text)))
                planned.wishes[os.fsdecode(path)] = wish
        except RegenstoreError as error:
            if error.kind == "excluded" and path not in refused:
                planned.excluded.append(path)
            elif error.kind != "not-a-file" or path in tracked or path in paths:
                planned.failed.append((path, error))
    if wants:
        plan = realiser().plan(wants)
        planned.plan = plan if generate else plan.within(-1.0)
    return planned


def _wish(
    bench: Workbench,
    path: bytes,
    entry: bytes | None,
    record: BlobRecord | None,
    index_text: Callable[[bytes], bytes | None],
    can_bring: Callable[[Digest], bool],
) -> GetWish | None:
    """Return what ``get`` does at a path, or None. ``entry``: the index blob there; ``record``: its content."""
    held = bench.held(path, digest=False)
    known = index_text(path)
    medium = None
    if held is not None and held.text is None:
        if record is None or record.key is None:
            return None
        drifted = record.outdated is None
        medium = _drifted(bench, path, record, held, known) if drifted else _old_medium(bench, path, record)
        if medium is None or (drifted and (record.digest is None or not can_bring(record.digest))):
            return None
    replaces: bytes | Nothing | Identity = NOTHING
    text = known
    if held is None:
        bench.refuse_excluded(path)
    elif held.text is not None:
        text = replaces = held.text
    elif medium is not None:
        replaces = medium.identity
    if text is None or not toml.looks_like_recipe(text):
        return None
    return GetWish(path, text, replaces, entry if text == known else None)


def _records(bench: Workbench, oids: Mapping[bytes, bytes]) -> dict[bytes, BlobRecord]:
    """Return the contents of the index blobs of paths."""
    said = read_blobs(bench.git, bench.cache, list(oids.values()), remember=os.path.isdir(bench.store.root))
    records = judged_blobs(bench.cache, said.records)
    return {path: records[oid] for path, oid in oids.items() if oid in records}


def _refused(bench: Workbench, chosen: Iterable[bytes], paths: Sequence[bytes]) -> set[bytes]:
    """Return the requested paths that the sparse checkout excludes: named themselves, or through a folder with nothing
    else in it."""
    skipped = bench.index.skipped()
    found: set[bytes] = set()
    for asked in paths if skipped else ():
        below = {each for each in chosen if not asked or each == asked or each.startswith(asked + b"/")}
        if below <= set(skipped):
            found |= below
    return found


def _old_medium(bench: Workbench, path: bytes, record: BlobRecord) -> WorktreeContent | None:
    """Return what is at a path if it is the outdated take that its recipe still names, and the store has it."""
    held = bench.held(path)
    if held is None or held.digest is None or held.digest != record.outdated:
        return None
    if record.key is None or bench.cache.made(record.key, held.digest, record.output):
        return None
    return held if bench.store.claim(held.digest, held.size) is not None else None


def _drifted(
    bench: Workbench, path: bytes, record: BlobRecord, held: WorktreeContent, known: bytes | None
) -> WorktreeContent | None:
    """Return what is at a path, if it is what a run of its recipe gave in place of the take, and is stored. An edit is
    not, nor is what was accepted or recorded since."""
    if record.key is None or record.digest is None or known is None:
        return None
    given = (content for result in bench.cache.results(record.key) for content in result.outputs.values())
    if not any(content.size == held.size and content.digest != record.digest for content in given):
        return None
    whole = bench.held(path)
    if whole is None or whole.digest is None or whole.digest == record.digest:
        return None
    if not bench.cache.made(record.key, whole.digest, record.output) or bench.text_of(path, whole, known) != known:
        return None
    return whole if bench.store.claim(whole.digest, whole.size) is not None else None


def get(bench: Workbench, planned: GetPlan, progress: Progress, tell: Tell = _untold) -> GetReport:
    """Execute a plan: make what is missing, place everything, update Git's index. ``tell`` is called with each path
    that is placed."""
    report = GetReport(failed=list(planned.failed))
    if not planned.wishes:
        return report
    from regenstore.objects.attribution import rounded
    from regenstore.worktree.place import Placement

    waiting: list[Placement] = []

    def flush() -> None:
        done = bench.placer.place(waiting, tell)
        report.done.extend(done.placed)
        report.failed.extend(done.skipped)
        waiting.clear()

    for outcome in bench.realiser.run(planned.plan, progress):
        wish = planned.wishes[outcome.want.label]
        if outcome.content is None:
            assert outcome.error is not None
            report.failed.append((wish.path, outcome.error))
            continue
        # A recipe that Git's index does not have is a new referrer of contents that may be old.
        find = bench.store.use if wish.oid is not None else bench.store.claim
        source = find(outcome.content.digest, outcome.content.size)
        if source is None:
            report.failed.append(
                (wish.path, NotFound("content-missing", "the medium left the store while it was placed"))
            )
            continue
        if outcome.drifted:
            report.drifted.append(wish.path)
        if wish.oid is None:
            # Git's index does not have this recipe yet: keep it for the next clean of these bytes.
            seconds = None if outcome.seconds is None else rounded(outcome.seconds)
            made = outcome.want.recipe.with_take(outcome.content.take, seconds)
            bench.keep_pending(wish.path, toml.encode(made))
        waiting.append(Placement(wish.path, source, wish.replaces, wish.oid))
        if len(waiting) >= 1000:
            flush()
    flush()
    report.fetched = sum(bench.store.stored(digest) is not None for digest in planned.plan.fetches)
    return report


def plan_drop(
    bench: Workbench, paths: Sequence[bytes], count: Callable[[int], Tell] = lambda total: _untold
) -> DropPlan:
    """Plan which media become recipe text again. A medium is dropped only if the store has its bytes. ``count`` is
    called with the number of paths to examine; what it returns is called with each path."""
    planned = DropPlan()
    tracked = bench.tracked()
    everything = [*tracked, *bench.untracked()]
    chosen = select(everything, paths) if paths else everything
    tell = count(len(chosen))
    refused = _refused(bench, chosen, paths)
    index_text = bench.index_texts(chosen)
    for path in chosen:
        try:
            held = bench.held(path)
            if held is not None and held.size == 0 and not bench.index_text(path):
                continue  # no medium, and nothing that takes room
            if held is not None and held.digest is not None:
                _plan_drop(bench, path, tracked.get(path), held, planned, index_text(path))
            elif held is None and path in refused:
                raise excluded(path)
        except RegenstoreError as error:
            if error.kind != "not-a-file" or path in tracked or path in paths:
                planned.failed.append((path, error))
        tell(path)
    return planned


def _plan_drop(
    bench: Workbench, path: bytes, oid: bytes | None, held: WorktreeContent, planned: DropPlan, known: bytes | None
) -> None:
    assert held.digest is not None
    text = bench.text_of(path, held, known)
    recipe = toml.decode(text)
    if text != known and recipe.imported:
        why = "it is new" if known is None else "it was edited, and is not in Git's index"
        planned.kept.append((path, f"{why}: 'git add' it first"))
    elif bench.store.claim(held.digest, held.size) is None:
        planned.kept.append((path, "the store does not hold its bytes"))
    else:
        from regenstore.worktree.place import Placement

        planned.placements.append(Placement(path, text, held.identity, oid if text == known else None))


def drop(bench: Workbench, planned: DropPlan, tell: Tell = _untold) -> GetReport:
    """Put recipe text at the paths, and update Git's index. ``tell`` is called with each path."""
    done = bench.placer.place(planned.placements, tell)
    added = {placement.path for placement in planned.placements if placement.oid is not None}
    for path in done.placed:
        if path in added:  # until it is added, only the pending recipe keeps the medium
            bench.pending.clear(path)
    return GetReport(done=done.placed, failed=[*planned.failed, *done.skipped])
