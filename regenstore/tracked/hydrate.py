"""get and drop: media into the worktree, and recipe text back."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field

from regenstore.errors import FormatError, NotFound, RegenstoreError
from regenstore.objects import toml
from regenstore.objects.outdated import judged_blobs
from regenstore.objects.result import BlobRecord
from regenstore.planning import Plan, Want
from regenstore.realise import Progress
from regenstore.refs.blobs import read_blobs
from regenstore.tracked.workbench import Held, Workbench, select
from regenstore.worktree.place import Identity, Placement, refusal


@dataclass(frozen=True)
class Wish:
    """A path whose worktree file is a recipe text (or gone), with the index entry to tell about it."""

    path: bytes
    text: bytes
    expected: bytes | None
    oid: bytes | None
    seen: Identity | None = None
    """Of the medium that lies there and was made with other parameters."""


@dataclass
class GetPlan:
    """What ``get`` would do. A value: making it changes nothing."""

    wishes: dict[str, Wish]
    plan: Plan
    failed: list[tuple[bytes, RegenstoreError]] = field(default_factory=list)


@dataclass
class Report:
    """What was done, by path."""

    done: list[bytes] = field(default_factory=list)
    drifted: list[bytes] = field(default_factory=list)
    failed: list[tuple[bytes, RegenstoreError]] = field(default_factory=list)


def plan_get(bench: Workbench, paths: Sequence[bytes], *, generate: bool, local: bool = False) -> GetPlan:
    """Which recipes in the worktree become media, and what has to be brought and made for that. With ``local``, no
    remote is asked."""
    tracked = bench.tracked()
    everything = [*tracked, *bench.untracked()]
    chosen = select(everything, paths) if paths else everything
    wishes: dict[str, Wish] = {}
    wants: list[Want] = []
    failed: list[tuple[bytes, RegenstoreError]] = []
    said = read_blobs(bench.git, bench.cache, [tracked[path] for path in chosen if path in tracked], remember=False)
    records = judged_blobs(bench.cache, said.records)
    old = {p: records[tracked[p]] for p in chosen if p in tracked and tracked[p] in records}
    old = {path: record for path, record in old.items() if record.outdated is not None}
    for path in chosen:
        held = bench.held(path, digest=False)
        known = bench.index_text(path)
        if held is not None and held.text is None:
            held = _old_medium(bench, path, old.get(path))
            if held is None:
                continue
        text = held.text if held is not None and held.text is not None else known
        if text is None or not toml.looks_like_recipe(text):
            continue
        try:
            recipe = toml.decode(text)
        except FormatError as error:
            failed.append((path, error))
            continue
        label = os.fsdecode(path)
        oid = tracked.get(path) if text == known else None
        seen = held.identity if held is not None and held.text is None else None
        wishes[label] = Wish(path, text, held.text if held is not None else None, oid, seen)
        wants.append(Want(label, recipe))
    plan = bench.realiser.plan(wants, local=local)
    return GetPlan(wishes, plan if generate else plan.within(-1.0), failed)


def _old_medium(bench: Workbench, path: bytes, record: BlobRecord | None) -> Held | None:
    """What lies at a path, if it is the medium of other parameters that its recipe still names, and stored."""
    held = None if record is None else bench.held(path)
    if held is None or held.digest is None or record is None or held.digest != record.outdated:
        return None
    if record.key is None or bench.cache.made(record.key, held.digest, record.output):
        return None
    return held if bench.store.claim(held.digest, held.size) is not None else None


def get(bench: Workbench, planned: GetPlan, progress: Progress) -> Report:
    """Carry out a plan: make what is missing, place everything, tell Git's index."""
    report = Report(failed=list(planned.failed))
    waiting: list[Placement] = []

    def flush() -> None:
        done = bench.placer.place(waiting)
        report.done.extend(done.placed)
        for path, reason in done.skipped:
            report.failed.append((path, refusal(reason)))
        waiting.clear()

    for outcome in bench.realiser.run(planned.plan, progress):
        wish = planned.wishes[outcome.want.label]
        if outcome.content is None:
            assert outcome.error is not None
            report.failed.append((wish.path, outcome.error))
            continue
        # A recipe that Git's index does not have is a new referrer of what may have been stored for long.
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
            made = outcome.want.recipe.with_take(outcome.content.take, outcome.seconds)
            bench.pending.set(wish.path, toml.encode(made), bench.index.oid(wish.path) or b"")
        waiting.append(Placement(wish.path, source, wish.expected, wish.oid, wish.seen))
        if len(waiting) >= 1000:
            flush()
    flush()
    return report


def plan_drop(bench: Workbench, paths: Sequence[bytes]) -> tuple[list[Placement], list[tuple[bytes, str]]]:
    """The media that become recipe text again, and those that are kept, with the reason.

    A medium is dropped only if the store holds its bytes.
    """
    placements: list[Placement] = []
    kept: list[tuple[bytes, str]] = []
    for path, oid in bench.tracked(paths).items():
        held = bench.held(path)
        if held is None or held.digest is None:
            continue
        known = bench.index_text(path)
        text = bench.text_of(path, held, known)
        recipe = toml.decode(text)
        if text != known and recipe.imported:
            kept.append((path, "it was edited, and is not in Git's index: 'git add' it first"))
        elif bench.store.claim(held.digest, held.size) is None:
            kept.append((path, "the store does not hold its bytes"))
        else:
            placements.append(Placement(path, text, None, oid if text == known else None, held.identity))
    return placements, kept


def drop(bench: Workbench, placements: Sequence[Placement]) -> Report:
    """Put recipe text at the paths, and tell Git's index."""
    done = bench.placer.place(placements)
    added = {placement.path for placement in placements if placement.oid is not None}
    for path in done.placed:
        if path in added:  # of what is not added yet, the pending recipe is all that keeps the medium
            bench.pending.clear(path)
    return Report(done=done.placed, failed=[(path, refusal(reason)) for path, reason in done.skipped])
