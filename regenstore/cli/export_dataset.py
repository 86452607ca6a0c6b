"""``regenstore export dataset``"""

from __future__ import annotations

import gc
import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache, partial
from typing import Any

import click

from regenstore.cli import left_out
from regenstore.cli.announce import announcing_dataset
from regenstore.cli.console import say
from regenstore.cli.context import (
    emit_json,
    json_option,
    open_repository,
)
from regenstore.cli.dataset_order import order_of
from regenstore.cli.measuring import known_of
from regenstore.cli.progress_lines import progress_for
from regenstore.errors import RegenstoreError
from regenstore.export.context import prompt_of
from regenstore.export.dataset import exporting, places, splits
from regenstore.export.dataset.exporting import DatasetOutcome
from regenstore.export.dataset.manifest import LAYOUTS
from regenstore.export.dataset.order import DatasetOrder
from regenstore.export.dataset.sample_rows import Drops, SampleRows
from regenstore.export.media_facts import Measurements
from regenstore.export.media_set import LeftOut, MediaSet, Tree
from regenstore.fs.reflink import Linker
from regenstore.objects.hashing import hash_bytes
from regenstore.refs.leases import lease
from regenstore.repository import Repository

_OBJECTS = 200_000
"""Number of new objects before Python's cycle collector runs: thousands of samples stay alive and form no cycles."""


@click.command()
@click.argument("out", type=click.Path())
@click.argument("paths", nargs=-1)
@click.option("--rev", help="Export the media of this revision.")
@click.option(
    "--kind",
    type=click.Choice(["video", "image", "audio"]),
    help="Only this kind of media; otherwise each kind becomes a dataset.",
)
@click.option("--scene", multiple=True, help="Only these scenes. This and the following may be repeated.")
@click.option("--scene-type", multiple=True, help="Only these scene types.")
@click.option("--character", multiple=True, help="Only media with one of these characters.")
@click.option("--tag", multiple=True, help="Only media with one of these tags.")
@click.option("--without-tag", multiple=True, help="No media with any of these tags.")
@click.option("--without-failure", multiple=True, help="No media with any of these failure tags; '*' for any.")
@click.option("--generator", multiple=True, help="Only media made by these generators.")
@click.option("--model", multiple=True, help="Only media made with these models.")
@click.option("--min-quality", multiple=True, metavar="[SCORE=]VALUE", help="Least quality, or least other score.")
@click.option("--max-quality", multiple=True, metavar="SCORE=VALUE", help="Most of a score that is better if low.")
@click.option("--min-rating", type=float, help="Least rating.")
@click.option("--min-duration", type=float, metavar="SECONDS")
@click.option("--max-duration", type=float, metavar="SECONDS")
@click.option("--min-size", metavar="WIDTHxHEIGHT")
@click.option("--max-bytes", type=click.IntRange(1), help="Largest file size in bytes.")
@click.option("--proven", is_flag=True, help="Only media that a second run reproduced.")
@click.option("--select", multiple=True, metavar="EXPR", help="Only samples for which this CEL expression is true.")
@click.option("--split", default=splits.DEFAULT, show_default=True, help="Shares of the splits.")
@click.option("--assign", type=click.Path(exists=True, dir_okay=False), help="CSV or JSON: path (or key) and split.")
@click.option(
    "--group-by", default=",".join(splits.GROUP_BY), show_default=True, help="Samples sharing these stay together."
)
@click.option(
    "--stratify", default="scene_type", show_default=True, help="Column to balance across splits, if balanced."
)
@click.option(
    "--split-method",
    type=click.Choice(["hash", "balanced"]),
    default="hash",
    show_default=True,
    help="hash: by the group and the salt alone, shares met on average; balanced: exact shares, as the rest allows.",
)
@click.option("--splits-from", multiple=True, type=click.Path(), help="Put samples where this dataset has them.")
@click.option("--on-leak", type=click.Choice(["exclude", "train", "error"]), default="exclude", show_default=True)
@click.option("--salt", default="regenstore", help="Change this for a different division.", show_default=True)
@click.option("--format", "layout", type=click.Choice(LAYOUTS), help="[default: dir; zip if OUT ends with .zip]")
@click.option("--frames", is_flag=True, help="Measure frames that were not measured yet, for CSVs, scores and faces.")
@click.option("--trainer", multiple=True, help="Write configurations for these trainers only, or 'none'.")
@click.option("--caption-prefix", metavar="TEXT", help="Put this before every caption.")
@click.option("--trigger", metavar="WORD", help="Begin every caption with this word, unless it has it.")
@click.option(
    "--caption-template",
    metavar="TEXT",
    help="Make captions of columns, such as '{caption}, {scene_type}, {model}'; {caption} is the usual one.",
)
@click.option("--name", help="The dataset's name in its card.")
@click.option("--license", default="other", show_default=True, help="The license in its card.")
@click.option(
    "--update",
    is_flag=True,
    help="Update the existing dataset: write only what is new or changed, with the options of its last export where "
    "none are given.",
)
@click.option("--reset-options", is_flag=True, help="With --update: forget the options of the last export.")
@click.option("--force", is_flag=True, help="Replace an existing dataset; files that are not its own stay.")
@click.option("--dry-run", "-n", is_flag=True, help="Show what each condition excludes and what would be made.")
@left_out.strict_option
@json_option
def command(out: str, paths: tuple[str, ...], dry_run: bool, strict: bool, as_json: bool, **given: Any) -> None:
    """Write a training dataset to OUT from the media at and below PATHS (or matching globs; default: all).

    Missing media are made first, within the budget; media that cannot be read or made are left out and listed at the
    end, with exit code 1. Samples that share a scene, a prompt with its seed, or a lineage are never in two splits. A
    split depends on the group and --salt alone, so that it is the same in every dataset; an update moves nothing.
    Files that were edited by hand are kept.

    \b
    Examples:
      regenstore export dataset ../clips
      regenstore export dataset ../clips shots/ --min-quality 0.8 --without-failure '*'
      regenstore export dataset ../clips --update
      regenstore export dataset ../clips.zip --format zip --scene-type interior --dry-run
      regenstore export dataset ../clips --select 'duration >= 2.0 && "ann" in characters'
    """
    gc.set_threshold(_OBJECTS)
    repository = open_repository()
    order, where = order_of(repository, out, paths, given)
    rev = order.options.get("rev")
    left = LeftOut(strict)
    tree = Tree(repository.git, repository.index, repository.blobs, repository.pending, repository.workbench.current)
    known = known_of(repository, measure=order.measure)
    at = cache(lambda path: tree.recipe_at(os.fsencode(path), rev))
    prompt = partial(prompt_of, at=at)
    with exporting.sample_rows(order, known, os.fsdecode(repository.location.top), prompt) as rows:
        media_set = MediaSet(repository.store, repository.cache, repository.realiser)
        top = os.fsdecode(repository.location.top)
        entries, inside = places.outside_datasets(tree.entries(where, rev), top, order.out, where)
        if inside:
            say(f"note: media in datasets are passed over: {', '.join(inside)}", err=True)
        unknown = list(rows.recall(entries, media_set.locate))
        chosen, other = exporting.select(tree.read(unknown, where, left), rows)
        plan = media_set.plan(chosen, repository.settings.budget)
        if dry_run and plan.steps:
            _tell_dry(rows, other, [], left, as_json, missing=len(plan.steps))
            return
        with progress_for(as_json, len(plan.steps) + len(chosen) + rows.early.kept) as progress:
            for medium in media_set.realise(chosen, plan, progress, left):
                try:
                    rows.add(medium)
                except RegenstoreError as error:
                    left.add(medium.path, error)
                progress.finished(medium.path, None)
            rows.keep()
            for path in left.errors if order.update else ():
                rows.keep_known(path)
            if rows.undescribed:
                without = "without prompt, caption, note and scene have their file name as caption"
                say(f"note: {rows.undescribed} media {without}", err=True)
            if not rows.samples and not rows.drops.seen:
                left.refuse()
            parts = places.parts(order, rows) if rows.samples or not dry_run else []
            if dry_run:
                done = [(part.out, exporting.compare(part, samples, known)) for part, samples in parts]
            else:
                done = _write(repository, parts, known, lambda path: progress.finished(path, None))
                places.put_card(order.out)
        if dry_run:
            _tell_dry(rows, other, done, left, as_json)
        else:
            _tell(order, rows, done, left, as_json)
    left_out.end(left)


Done = list[tuple[str, DatasetOutcome]]
"""The datasets written, as (location, outcome)."""


def _write(
    repository: Repository,
    parts: list[tuple[DatasetOrder, SampleRows]],
    known: Measurements,
    told: Callable[[str], None],
) -> Done:
    """Write all datasets, once none was refused."""
    linker = Linker(reflink=repository.settings.reflink)
    with ExitStack() as stack:
        for order, _ in parts:
            stack.enter_context(_alone(repository, order.out))
        planned = [exporting.plan(order, samples, known) for order, samples in parts]
        done: Done = []
        for each in planned:
            with announcing_dataset(repository, each.order.out):
                done.append((each.order.out, each.run(linker, told)))
    return done


@contextmanager
def _alone(repository: Repository, out: str) -> Iterator[None]:
    """Hold the lock for a location: one export at a time."""
    repository.store.prepare()
    name = "dataset-" + hash_bytes(os.fsencode(os.path.realpath(out))).hex[:32]
    with lease(f"{repository.store.root}/leases", name, lambda: None):
        yield


def _unknown(*counted: Drops) -> dict[str, int]:
    """Condition -> how many media it excluded because the number is unknown."""
    return {shown: count for drops in counted for shown, count in drops.unknown.items() if count}


def _tell_unknown(unknown: dict[str, int]) -> None:
    for shown, count in unknown.items():
        say(f"note: {shown}: {count} of the excluded have no such value (--frames measures frames and faces)", err=True)


def _dropped(*counted: Drops) -> dict[str, int]:
    return {shown: count for drops in counted for shown, count in drops.counts.items()}


def _tell_dry(rows: SampleRows, other: int, planned: Done, left: LeftOut, as_json: bool, missing: int = 0) -> None:
    dropped = _dropped(rows.early) if missing else _dropped(rows.early, rows.drops)
    kept = rows.early.kept if missing else rows.drops.kept
    record: dict[str, Any] = {
        "considered": rows.early.seen,
        "other": other,
        "dropped": dropped,
        "kept": kept,
        "missing": missing,
        "unknown": (unknown := _unknown(rows.early, rows.drops)),
        "failed": left_out.record(left),
    }
    if as_json:
        told = [{"out": out, **_record(outcome), "left_out": len(outcome.left_out)} for out, outcome in planned]
        emit_json("export-dataset-plan", record | (told[0] if len(told) == 1 else {"datasets": told} if told else {}))
        return
    say(f"{rows.early.seen} media" + (f" ({other} of other kinds skipped)" if other else ""))
    for shown, count in dropped.items():
        say(f"{-count:>8}  {shown}")
    say(f"{kept:>8}  left")
    _tell_unknown(unknown)
    if missing:
        say(f"{missing} must be made first; what the other conditions exclude is known only then", err=True)
    _tell_several(planned)
    for out, outcome in planned:
        if len(planned) > 1:
            say(f"{os.path.relpath(out)}:")
        _tell_counts(outcome)


def _tell_several(done: Done) -> None:
    if len(done) > 1:
        kinds = " and ".join(outcome.manifest.kind for _, outcome in done)
        say(f"these are {kinds}: one dataset each, as loaders read one kind (select one with --kind)", err=True)


def _record(outcome: DatasetOutcome) -> dict[str, Any]:
    return {
        "splits": dict(_counts(outcome)),
        "added": len(outcome.added),
        "changed": len(outcome.changed),
        "removed": len(outcome.removed),
        "unchanged": outcome.unchanged,
        "notes": outcome.notes,
    }


def _tell_counts(outcome: DatasetOutcome) -> None:
    shares = ", ".join(f"{split} {count}" for split, count in _counts(outcome))
    say(
        f"{len(outcome.added)} new, {len(outcome.changed)} changed, {len(outcome.removed)} removed, "
        f"{outcome.unchanged} unchanged" + (f": {shares}" if shares else "")
    )
    for note in outcome.notes:
        say(f"note: {note}", err=True)
    for why in list(outcome.left_out.values())[:5]:
        say(f"excluded: {why}", err=True)


def _counts(outcome: DatasetOutcome) -> list[tuple[str, int]]:
    counted = Counter(outcome.splits.values())
    return [(split, counted[split]) for split in splits.SPLITS if counted[split]]


def _tell(order: DatasetOrder, rows: SampleRows, done: Done, left: LeftOut, as_json: bool) -> None:
    unknown = _unknown(rows.early, rows.drops)
    if as_json:
        dropped = _dropped(rows.early, rows.drops)
        told = [
            {
                "out": out,
                "format": order.layout,
                "dataset_version": outcome.manifest.version,
                "dropped": dropped,
                **_record(outcome),
                "left_out": outcome.left_out,
                "manifest": {"digest": outcome.digest},
            }
            for out, outcome in done
        ]
        record = told[0] if len(told) == 1 else {"out": order.out, "datasets": told}
        emit_json("export-dataset", record | {"unknown": unknown, "failed": left_out.record(left)}, version=2)
        return
    _tell_unknown(unknown)
    _tell_several(done)
    for out, outcome in done:
        _tell_counts(outcome)
        say(os.path.relpath(out))
