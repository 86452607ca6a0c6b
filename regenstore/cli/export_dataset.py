"""``regenstore export dataset``"""

from __future__ import annotations

import gc
import io
import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import click

from regenstore.cli.announce import announcing_dataset
from regenstore.cli.console import say
from regenstore.cli.context import (
    emit_json,
    json_option,
    open_repository,
    worktree_paths,
)
from regenstore.cli.measuring import known_of
from regenstore.cli.progress_lines import progress_for
from regenstore.errors import InvalidInput, NotFound
from regenstore.export.dataset import exporting, places, splits, trainers
from regenstore.export.dataset.exporting import DatasetOutcome
from regenstore.export.dataset.manifest import LAYOUTS
from regenstore.export.dataset.order import DatasetOrder, explicit_splits
from regenstore.export.dataset.row import whole_text
from regenstore.export.dataset.sample_rows import Drops, SampleRows
from regenstore.export.dataset.selection import Limits
from regenstore.export.media_facts import Measurements
from regenstore.export.media_set import MediaSet, Tree
from regenstore.fs import presence
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
@click.option("--stratify", default="scene_type", show_default=True, help="Column to balance across splits.")
@click.option("--split-method", type=click.Choice(["balanced", "hash"]), default="balanced", show_default=True)
@click.option("--on-leak", type=click.Choice(["exclude", "train", "error"]), default="exclude", show_default=True)
@click.option("--salt", default="regenstore", help="Change this for a different division.", show_default=True)
@click.option("--format", "layout", type=click.Choice(LAYOUTS), default="dir", show_default=True)
@click.option("--frames", is_flag=True, help="Measure frames that were not measured yet, for CSVs, scores and faces.")
@click.option("--trainer", multiple=True, help="Write configurations for these trainers only, or 'none'.")
@click.option("--name", help="The dataset's name in its card.")
@click.option("--license", default="other", show_default=True, help="The license in its card.")
@click.option("--update", is_flag=True, help="Update the existing dataset: write only what is new or changed.")
@click.option("--force", is_flag=True, help="Replace an existing dataset.")
@click.option("--dry-run", "-n", is_flag=True, help="Show what each condition excludes and what would be made.")
@json_option
def command(out: str, paths: tuple[str, ...], rev: str | None, dry_run: bool, as_json: bool, **given: Any) -> None:
    """Write a training dataset to OUT from the media at and below PATHS (or matching globs; default: all).

    Missing media are made first, within the budget. Samples keep their split in later exports; samples that share
    a scene, a prompt with its seed, or a lineage are never in two splits.

    \b
    Examples:
      regenstore export dataset ../clips
      regenstore export dataset ../clips shots/ --min-quality 0.8 --without-failure '*' --update
      regenstore export dataset ../clips.zip --format zip --scene-type interior --dry-run
      regenstore export dataset ../clips --select 'duration >= 2.0 && "ann" in characters'
    """
    gc.set_threshold(_OBJECTS)
    repository = open_repository()
    order = _order(repository, out, rev, given)
    tree = Tree(repository.git, repository.index, repository.blobs, repository.pending, repository.workbench.current)
    known = known_of(repository, measure=order.measure)
    with exporting.sample_rows(order, known, os.fsdecode(repository.location.top)) as rows:
        media_set = MediaSet(repository.store, repository.cache, repository.realiser)
        where = worktree_paths(repository, paths)
        left = list(rows.recall(tree.entries(where, rev), media_set.locate))
        chosen, other = exporting.select(tree.read(left, where), rows)
        plan = media_set.plan(chosen, repository.settings.budget)
        if dry_run and plan.steps:
            _tell_dry(rows, other, [], as_json, missing=len(plan.steps))
            return
        with progress_for(as_json, len(plan.steps) + len(chosen) + rows.early.kept) as progress:
            for medium in media_set.realise(chosen, plan, progress):
                rows.add(medium)
                progress.finished(medium.path, None)
            rows.keep()
            parts = places.parts(order, rows) if rows.samples or not dry_run else []
            if dry_run:
                done = [(part.out, exporting.compare(part, samples, known)) for part, samples in parts]
            else:
                done = _write(repository, parts, known, lambda path: progress.finished(path, None))
        if dry_run:
            _tell_dry(rows, other, done, as_json)
        else:
            _tell(order, rows, done, as_json)


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


def _order(repository: Repository, out: str, rev: str | None, given: dict[str, Any]) -> DatasetOrder:
    place = os.path.abspath(out)
    if given["layout"] == "zip" and not place.endswith(".zip"):
        place += ".zip"
    top = os.path.realpath(os.fsdecode(repository.location.top))
    if os.path.realpath(place) == top or top.startswith(os.path.realpath(place) + os.sep):
        raise InvalidInput("bad-export", f"{out} is or contains the worktree", hint="Choose a folder beside it.")
    assign = {}
    if given["assign"]:
        listed = presence.read(given["assign"])
        if listed is None:
            raise NotFound("no-such-path", f"{given['assign']} does not exist")
        text = io.TextIOWrapper(io.BytesIO(listed), encoding="utf-8-sig").read()
        assign = explicit_splits(text, given["assign"])
    rules = splits.Rules(
        splits.parse_shares(given["split"]),
        splits.parse_group_by(given["group_by"]),
        given["split_method"],
        given["salt"],
        given["on_leak"],
        given["stratify"],
    )
    commit = repository.git.commit(rev) if rev else None
    return DatasetOrder(
        place,
        given["layout"],
        _limits(given),
        rules,
        assign,
        given["update"],
        given["force"],
        given["frames"],
        trainers.check(given["trainer"], place),
        whole_text(given["name"] or os.path.splitext(os.path.basename(place))[0]) or "dataset",
        given["license"],
        commit,
    )


def _limits(given: dict[str, Any]) -> Limits:
    scores = []
    for text in given["min_quality"]:
        name, separator, value = text.rpartition("=")
        try:
            scores.append((name if separator else "quality", float(value)))
        except ValueError:
            raise InvalidInput("bad-export", f"--min-quality {text}: expected a number, or SCORE=NUMBER") from None
    size: tuple[int, ...] = ()
    if given["min_size"]:
        try:
            size = tuple(int(part) for part in given["min_size"].lower().split("x"))
        except ValueError:
            size = ()
        if len(size) != 2:
            raise InvalidInput("bad-export", f"--min-size {given['min_size']}: expected something like 640x360")
    return Limits(
        given["kind"],
        tuple(scores),
        given["scene"],
        given["scene_type"],
        given["character"],
        given["tag"],
        given["without_tag"],
        given["without_failure"],
        given["generator"],
        given["model"],
        given["min_rating"],
        given["min_duration"],
        given["max_duration"],
        size,
        given["max_bytes"],
        given["proven"],
        given["select"],
    )


def _dropped(*counted: Drops) -> dict[str, int]:
    return {shown: count for drops in counted for shown, count in drops.counts.items()}


def _tell_dry(rows: SampleRows, other: int, planned: Done, as_json: bool, missing: int = 0) -> None:
    dropped = _dropped(rows.early) if missing else _dropped(rows.early, rows.drops)
    kept = rows.early.kept if missing else rows.drops.kept
    record: dict[str, Any] = {
        "considered": rows.early.seen,
        "other": other,
        "dropped": dropped,
        "kept": kept,
        "missing": missing,
    }
    if as_json:
        told = [{"out": out, **_record(outcome), "left_out": len(outcome.left_out)} for out, outcome in planned]
        emit_json("export-dataset-plan", record | (told[0] if len(told) == 1 else {"datasets": told} if told else {}))
        return
    say(f"{rows.early.seen} media" + (f" ({other} of other kinds skipped)" if other else ""))
    for shown, count in dropped.items():
        say(f"{-count:>8}  {shown}")
    say(f"{kept:>8}  left")
    if missing:
        say(f"{missing} have to be made first; only then is it known what the other conditions exclude", err=True)
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
    for key, why in list(outcome.left_out.items())[:5]:
        say(f"excluded: {key}: {why}", err=True)


def _counts(outcome: DatasetOutcome) -> list[tuple[str, int]]:
    counted = Counter(outcome.splits.values())
    return [(split, counted[split]) for split in splits.SPLITS if counted[split]]


def _tell(order: DatasetOrder, rows: SampleRows, done: Done, as_json: bool) -> None:
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
        emit_json("export-dataset", record, version=2)
        return
    _tell_several(done)
    for out, outcome in done:
        _tell_counts(outcome)
        say(os.path.relpath(out))
