"""Exporting a dataset: choose, realise, survey, divide, compare with what is there, write what differs."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from regenstore.errors import InvalidInput
from regenstore.export.dataset import manifest as manifests
from regenstore.export.dataset.kept_rows import KeptRows
from regenstore.export.dataset.layouts import finish_interrupted, open_sink
from regenstore.export.dataset.manifest import Manifest
from regenstore.export.dataset.selection import Limits, conditions
from regenstore.export.dataset.sinks import refuse_occupied
from regenstore.export.dataset.splits import SPLITS, Division, Rules, divide
from regenstore.export.dataset.survey import KINDS, MediaSurvey, early
from regenstore.export.dataset.writing import DatasetOutcome, DatasetWriter, Form
from regenstore.export.media_facts import Measurements
from regenstore.export.media_set import Chosen
from regenstore.fs.path_text import path_text
from regenstore.fs.reflink import Linker
from regenstore.media.types import kind

Told = Callable[[str], None]


@dataclass(frozen=True)
class DatasetOrder:
    """What the user asked for."""

    out: str
    """Absolute path of the folder, or of the ZIP."""
    layout: str
    limits: Limits
    rules: Rules
    explicit: Mapping[str, str] = field(default_factory=dict)
    """Path or key of a sample -> split."""
    update: bool = False
    force: bool = False
    measure: bool = False
    trainers: tuple[str, ...] = ()
    name: str = "dataset"
    license: str = "other"
    revision: str | None = None


def explicit_splits(text: str, what: str) -> dict[str, str]:
    """An assignment file: JSON ``{"path": "split"}``, or CSV with the columns path (or key) and split. Raises
    InvalidInput (``bad-export``)."""
    try:
        given = json.loads(text) if text.lstrip().startswith("{") else None
    except ValueError as error:
        raise InvalidInput("bad-export", f"{what}: {error}") from None
    pairs: Iterable[tuple[object, object]]
    if isinstance(given, dict):
        pairs = given.items()
    else:
        rows = [row for row in csv.reader(io.StringIO(text)) if row]
        if rows and "split" in rows[0]:
            at = rows[0].index("split")
            name = next((rows[0].index(each) for each in ("path", "source", "key") if each in rows[0]), 0)
            rows = [[row[name], row[at]] for row in rows[1:] if len(row) > max(name, at)]
        pairs = [(row[0], row[1] if len(row) > 1 else "") for row in rows]
    found: dict[str, str] = {}
    for path, split in pairs:
        if split not in SPLITS:
            raise InvalidInput("bad-export", f"{what}: {path} is assigned to {split!r}, not to {', '.join(SPLITS)}")
        found[str(path)] = str(split)
    return found


def survey(order: DatasetOrder, known: Measurements, worktree: str) -> MediaSurvey:
    """A survey for an order, of media from a worktree. Raises InvalidInput (``bad-export``) for
    conditions that are none."""
    rules = order.rules
    found = conditions(order.limits)
    return MediaSurvey(
        known, found, rules.group_by, rules.stratify, KeptRows(known.facts, worktree), measuring=order.measure
    )


def select(chosen: Iterable[Chosen], found: MediaSurvey) -> tuple[list[Chosen], int]:
    """The recipes that a dataset wants, before anything is made and without looking at a medium; and how many paths
    hold no picture, film or sound."""
    every = list(chosen)
    media = [each for each in every if kind(each.recipe.output.media_type) in KINDS]
    return list(early(media, found.early)), len(every) - len(media)


def division(order: DatasetOrder, found: MediaSurvey, previous: Manifest | None) -> Division:
    """Which split each sample is in. Raises InvalidInput (``bad-export``)."""
    explicit: dict[str, str] = {}
    for sample in found.samples:
        split = order.explicit.get(path_text(sample.medium.path)) or order.explicit.get(sample.key) or sample.wanted
        if split is not None and split not in SPLITS:
            raise InvalidInput("bad-export", f"{sample.medium.path}: its labels ask for the split {split!r}")
        if split is not None:
            explicit[sample.key] = split
    ledger = {} if previous is None or order.rules.method == "hash" else previous.ledger
    done = divide([sample.member for sample in found.samples], order.rules, ledger, explicit)
    unknown = len(order.explicit) - sum(
        (path_text(sample.medium.path) in order.explicit) + (sample.key in order.explicit) for sample in found.samples
    )
    if unknown > 0:
        done.notes.append(f"{unknown} of the assigned samples are not in this dataset")
    return done


def previous_of(order: DatasetOrder) -> Manifest | None:
    """The dataset that is there, for an update; else None. A change that was interrupted is finished first.

    Raises Conflict (``exists``) for what would be replaced without being asked for, InvalidInput
    (``bad-export``) for another layout, FormatError (``bad-dataset``).
    """
    if os.path.lexists(order.out):
        finish_interrupted(order.out)
    there = os.path.lexists(order.out) and not (os.path.isdir(order.out) and not os.listdir(order.out))
    if not order.update or not there:
        refuse_occupied(order.out, force=order.force, is_dataset=manifests.is_dataset(order.out))
        return None
    found = manifests.load(order.out)
    if found.layout != order.layout:
        raise InvalidInput("bad-export", f"{order.out} has the format {found.layout}; --update keeps it")
    return found


def kind_of(found: MediaSurvey, previous: Manifest | None) -> str:
    """The one kind of media of the samples. Raises InvalidInput (``bad-export``) where there is none."""
    kinds = sorted({kind(sample.medium.media_type) for sample in found.samples})
    if not kinds:
        raise InvalidInput(
            "bad-export", "no sample is left to export", hint="--dry-run says what each condition dropped."
        )
    if len(kinds) > 1:
        raise ValueError(f"one dataset holds one kind of media: {kinds}")
    if previous is not None and previous.kind != kinds[0]:
        raise InvalidInput("bad-export", f"the dataset holds {previous.kind} samples, and these are {kinds[0]}")
    return kinds[0]


def writer_of(order: DatasetOrder, found: MediaSurvey, known: Measurements, previous: Manifest | None) -> DatasetWriter:
    """What writes the dataset. Raises InvalidInput (``bad-export``)."""
    filters = tuple(condition.shown for condition in conditions(order.limits))
    form = Form(
        order.out, order.layout, kind_of(found, previous), order.name, order.license, filters, order.rules,
        order.trainers, order.revision,
    )  # fmt: skip
    return DatasetWriter(form, found, division(order, found, previous), known, previous)


def compare(order: DatasetOrder, found: MediaSurvey, known: Measurements) -> DatasetOutcome:
    """What an export would do; nothing is written."""
    previous = manifests.load(order.out) if order.update and manifests.is_dataset(order.out) else None
    return writer_of(order, found, known, previous).compare(lambda _: True)


@dataclass
class Planned:
    """An export that can be carried out."""

    order: DatasetOrder
    previous: Manifest | None
    writer: DatasetWriter


def plan(order: DatasetOrder, found: MediaSurvey, known: Measurements) -> Planned:
    """Everything that could refuse the export; nothing is written, but a change that was interrupted is finished."""
    previous = previous_of(order)
    return Planned(order, previous, writer_of(order, found, known, previous))


def export(planned: Planned, linker: Linker, told: Told) -> DatasetOutcome:
    """Write, or update, the dataset. Nothing is written where nothing differs."""
    order, previous = planned.order, planned.previous
    replace = order.force and os.path.lexists(order.out)
    with open_sink(order.out, order.layout, linker, fresh=previous is None, replace=replace) as sink:
        outcome = planned.writer.compare(sink.intact)
        if previous is not None and not outcome.differs and _alike(previous, outcome.manifest):
            outcome.manifest = previous
        else:
            planned.writer.write(outcome, sink, told)
    return outcome


def _alike(previous: Manifest, now: Manifest) -> bool:
    """Whether the tables and the card would say the same, but for the number of the export."""
    groups = {key: entry.group for key, entry in previous.samples.items()}
    same = all(groups.get(key) == entry.group for key, entry in now.samples.items())
    settled = (previous.filters, previous.split, previous.settings, previous.revision)
    return same and settled == (now.filters, now.split, now.settings, now.revision)
