"""Export a dataset, from top to bottom: select media, collect the rows of those that are present, read the existing
dataset, assign samples to splits, find what differs; then write the files of new and changed samples, the description
and the manifest, and make all of it visible at once.

The same samples and options give the same bytes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

from regenstore.errors import InvalidInput
from regenstore.export.context import iso_time
from regenstore.export.dataset import fast_json, tables
from regenstore.export.dataset import manifest as manifests
from regenstore.export.dataset.card import FOLDERS, Summary
from regenstore.export.dataset.description import put_description
from regenstore.export.dataset.edited import EditedFiles
from regenstore.export.dataset.kept_rows import KeptRows
from regenstore.export.dataset.layouts import finish_interrupted, open_sink
from regenstore.export.dataset.manifest import Manifest, ManifestSample
from regenstore.export.dataset.order import DatasetOrder
from regenstore.export.dataset.row import Row, file_stem
from regenstore.export.dataset.sample_files import put_sample
from regenstore.export.dataset.sample_rows import KINDS, Sample, SampleRows, early
from regenstore.export.dataset.selection import conditions
from regenstore.export.dataset.sinks import MANIFEST, ExportedFile, Sink, refuse_occupied
from regenstore.export.dataset.splits import SPLITS, Division, divide
from regenstore.export.media_facts import Measurements
from regenstore.export.media_set import Chosen
from regenstore.fs.path_text import path_text
from regenstore.fs.reflink import Linker
from regenstore.media.types import kind
from regenstore.objects.hashing import hash_bytes
from regenstore.objects.recipe import Recipe

Told = Callable[[str], None]

# ------------------------------------------------------------------------------------------- which media


def sample_rows(
    order: DatasetOrder, known: Measurements, worktree: str, prompt_of: Callable[[Recipe], str | None] = lambda _: None
) -> SampleRows:
    """Create the collector of rows for an order's samples, from media of a worktree. ``prompt_of``: the prompt of a
    derivative's source. Raises InvalidInput (``bad-export``) for invalid conditions and captions."""
    order.captions.check()
    rules = order.rules
    found = conditions(order.limits)
    return SampleRows(
        known,
        found,
        rules.group_by,
        rules.stratify,
        KeptRows(known.facts, worktree),
        measuring=order.measure,
        captions=order.captions,
        prompt_of=prompt_of,
    )


def select(chosen: Iterable[Chosen], rows: SampleRows) -> tuple[list[Chosen], int]:
    """Select the recipes for a dataset, before anything is made and without reading media; also returns how many
    paths have no picture, video or audio."""
    every = list(chosen)
    media = [each for each in every if kind(each.recipe.output.media_type) in KINDS]
    return list(early(media, rows.early)), len(every) - len(media)


# ------------------------------------------------------------------------------------------- what there is to do


@dataclass
class DatasetOutcome:
    """The result of an export."""

    manifest: Manifest
    added: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    unchanged: int = 0
    left_out: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    splits: dict[str, str] = field(default_factory=dict)
    """Key -> split, for all samples."""

    @property
    def digest(self) -> str:
        """The digest of the manifest's bytes."""
        return str(hash_bytes(self.manifest.to_bytes()))

    @property
    def differs(self) -> bool:
        return bool(self.added or self.changed or self.removed)


def plan(order: DatasetOrder, rows: SampleRows, known: Measurements) -> DatasetExport:
    """Plan an export. Does everything that could refuse it; writes nothing, except to complete an interrupted change.

    Raises Conflict (``exists``), InvalidInput (``bad-export``), FormatError (``bad-dataset``).
    """
    return _planned(order, rows, known, _previous(order))


def compare(order: DatasetOrder, rows: SampleRows, known: Measurements) -> DatasetOutcome:
    """Find out what an export would do, without writing anything."""
    previous = manifests.load(order.out) if order.update and manifests.is_dataset(order.out) else None
    return _planned(order, rows, known, previous).compare(lambda _: True)


def _planned(order: DatasetOrder, rows: SampleRows, known: Measurements, previous: Manifest | None) -> DatasetExport:
    return DatasetExport(order, _kind(rows, previous), rows, _divide(order, rows, previous), known, previous)


def _previous(order: DatasetOrder) -> Manifest | None:
    """The existing dataset for an update, else None. An interrupted change is completed first.

    Raises Conflict (``exists``) if something would be replaced without ``force``, InvalidInput (``bad-export``) for
    another layout, FormatError (``bad-dataset``).
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


def _kind(rows: SampleRows, previous: Manifest | None) -> str:
    """The samples' kind of media. Raises InvalidInput (``bad-export``) if there are no samples."""
    kinds = sorted({kind(sample.medium.media_type) for sample in rows.samples})
    if not kinds:
        raise InvalidInput(
            "bad-export", "no sample is left to export", hint="--dry-run says what each condition dropped."
        )
    if len(kinds) > 1:
        raise ValueError(f"one dataset holds one kind of media: {kinds}")
    if previous is not None and previous.kind != kinds[0]:
        raise InvalidInput("bad-export", f"the dataset holds {previous.kind} samples, and these are {kinds[0]}")
    return kinds[0]


def _divide(order: DatasetOrder, rows: SampleRows, previous: Manifest | None) -> Division:
    """Assign samples to splits, together with those of other kinds of media in the same export. Raises InvalidInput
    (``bad-export``)."""
    explicit: dict[str, str] = {}
    for sample in rows.every:
        split = order.explicit.get(path_text(sample.medium.path)) or order.explicit.get(sample.key) or sample.wanted
        if split is not None and split not in SPLITS:
            raise InvalidInput("bad-export", f"{sample.medium.path}: its labels ask for the split {split!r}")
        if split is not None:
            explicit[sample.key] = split
    ledger = {**order.ledger, **({} if previous is None else previous.ledger)}
    paths = {sample.key: sample.medium.path for sample in rows.every}
    done = divide([sample.member for sample in rows.every], order.rules, ledger, explicit, paths)
    unknown = [name for name in order.explicit if name not in {*map(path_text, paths.values()), *paths}]
    if unknown:
        more = f" and {len(unknown) - 5} more" if len(unknown) > 5 else ""
        done.notes.append(f"assigned, but not in this dataset: {', '.join(unknown[:5])}{more}")
    return done.of({sample.key for sample in rows.samples})


# ------------------------------------------------------------------------------------------- comparing and writing


class DatasetExport:
    """A dataset of one kind of media that is ready to be written."""

    def __init__(
        self,
        order: DatasetOrder,
        kind: str,
        rows: SampleRows,
        division: Division,
        known: Measurements,
        previous: Manifest | None,
    ) -> None:
        self.order = order
        self._kind = kind
        self._rows = rows
        self._division = division
        self._known = known
        self._previous = previous
        self._edited = EditedFiles.of(order.out, previous)
        kept = [sample for sample in rows.samples if sample.key in division.split]
        self._samples = sorted(kept, key=lambda each: (SPLITS.index(division.split[each.key]), each.key))

    def run(self, linker: Linker, told: Told) -> DatasetOutcome:
        """Write or update the dataset. Writes nothing if nothing differs."""
        order, previous = self.order, self._previous
        replaced = manifests.load(order.out).names() if order.force and manifests.is_dataset(order.out) else None
        with open_sink(order.out, order.layout, linker, fresh=previous is None, replaced=replaced) as sink:
            outcome = self.compare(sink.intact)
            if previous is not None and not outcome.differs and _alike(previous, outcome.manifest):
                outcome.manifest = previous
            else:
                self._write(outcome, sink, told)
        outcome.notes += self._edited.notes()
        return outcome

    def compare(self, intact: Callable[[ExportedFile], bool]) -> DatasetOutcome:
        """Find what differs. ``intact``: whether a file of the old dataset exists as recorded."""
        old = {} if self._previous is None else self._previous.samples
        outcome = DatasetOutcome(
            self._new_manifest(),
            left_out=self._division.left_out,
            notes=self._division.notes,
            splits=self._division.split,
        )
        lost: set[str] = set()
        for sample in self._samples:
            entry = old.get(sample.key)
            if (
                entry is not None
                and self._same(sample, entry)
                and all(self._edited.is_caption(sample.key, file) or intact(file) for file in entry.files)
            ):
                outcome.manifest.samples[sample.key] = replace(entry, group=self._division.group[sample.key])
                outcome.unchanged += 1
            elif not sample.medium.file:
                lost.add(sample.key)
            else:
                (outcome.added if entry is None else outcome.changed).append(sample.key)
        stay = sum(not sample.medium.file for sample in self._samples) - len(lost)
        if stay:
            outcome.notes.append(f"kept as they were, as their media cannot be read now: {stay}")
        self._samples = [sample for sample in self._samples if sample.key not in lost]
        here = {sample.key for sample in self._samples}
        outcome.splits = {key: split for key, split in outcome.splits.items() if key in here}
        outcome.removed = [key for key in old if key not in here]
        before = [] if self._previous is None else self._previous.removed
        outcome.manifest.removed = sorted({*before, *outcome.removed} - here)
        return outcome

    def _same(self, sample: Sample, entry: ManifestSample) -> bool:
        now = (str(sample.medium.digest), sample.row, self._division.split[sample.key])
        return (entry.digest, entry.row, entry.split) == now

    def _new_manifest(self) -> Manifest:
        order, rules = self.order, self.order.rules
        options = {"options": dict(order.options)} if order.options else {}
        times = (self._created(sample) for sample in self._samples)
        return Manifest(
            order.layout,
            self._kind,
            1 if self._previous is None else self._previous.export + 1,
            order.revision,
            max((time for time in times if time), default=None),
            [condition.shown for condition in conditions(order.limits)],
            {
                "method": rules.method,
                "salt": rules.salt,
                "group_by": list(rules.group_by),
                "shares": dict(rules.shares),
                "stratify": rules.stratify,
                "on_leak": rules.on_leak,
            },
            self._division.ledger,
            settings={"name": order.name, "license": order.license, "trainers": list(order.trainers), **options},
        )

    @staticmethod
    def _created(sample: Sample) -> str | None:
        return None if sample.medium.created is None else iso_time(sample.medium.created)

    def _write(self, outcome: DatasetOutcome, sink: Sink, told: Told) -> None:
        """Carry out an outcome; its manifest is then complete and committed."""
        manifest = outcome.manifest
        with tables.SampleTables(by_split=self.order.layout != "webdataset") as made:
            summary = self._put_samples(outcome, sink, made, told)
            self._remove_old_samples(outcome, sink)
            types = sorted({sample.medium.media_type for sample in self._samples})
            manifest.files += put_description(
                sink, self.order, manifest, made, summary, types, self._all_rows, self._edited
            )
            self._remove_old_description(manifest, sink)
        sink.put_bytes(MANIFEST, manifest.to_bytes())
        sink.commit()

    def _put_samples(self, outcome: DatasetOutcome, sink: Sink, made: tables.SampleTables, told: Told) -> Summary:
        todo = {*outcome.added, *outcome.changed}
        summary = Summary()
        kept, outcome.manifest.samples = outcome.manifest.samples, {}
        for sample in self._samples:
            text, recipe = self._rows.texts(sample, self._division.split[sample.key], self._division.group[sample.key])
            row: Row = fast_json.loads(text)
            if sample.key in todo:
                # In shards the name is the key of the sample, by which they are sorted.
                shards = self.order.layout == "webdataset"
                stem = sample.key if shards else file_stem(sample.medium.path, sample.key)
                parts = (sample, row, fast_json.loads(recipe), self._kind, self._known, self._edited)
                stored = tuple(put_sample(sink, *parts, stem=stem))
                source, digest = path_text(sample.medium.path), str(sample.medium.digest)
                entry = ManifestSample(source, digest, sample.row, row["split"], row["group"], stored)
                told(sample.medium.path)
            else:
                entry = kept[sample.key]
            outcome.manifest.samples[sample.key] = entry
            medium = entry.files[0]
            path = f"{medium.inside}/{medium.path}" if medium.inside else medium.path
            made.add(row["split"], f"{FOLDERS[self._kind]}/{os.path.basename(medium.path)}", path, text)
            summary.add(row, sample.suffix)
        return summary

    def _remove_old_samples(self, outcome: DatasetOutcome, sink: Sink) -> None:
        """Remove obsolete files of samples that changed or were removed."""
        old = {} if self._previous is None else self._previous.samples
        for key in (*outcome.changed, *outcome.removed):
            entry = outcome.manifest.samples.get(key)
            if entry is None:
                self._edited.put_aside(sink, old[key].files, key)
            fresh = {(file.inside, file.path) for file in (() if entry is None else entry.files)}
            for stored in old[key].files:
                if (stored.inside, stored.path) not in fresh:
                    sink.remove(stored)

    def _remove_old_description(self, manifest: Manifest, sink: Sink) -> None:
        now = {(stored.inside, stored.path) for stored in manifest.files}
        for old in [] if self._previous is None else self._previous.files:
            if (old.inside, old.path) not in now:
                self._edited.put_aside(sink, [old])
                sink.remove(old)

    def _all_rows(self) -> Iterator[Row]:
        for sample in self._samples:
            yield self._rows.row(sample, self._division.split[sample.key], self._division.group[sample.key])


def _alike(previous: Manifest, now: Manifest) -> bool:
    """Whether the tables and the card would be the same, apart from the number of the export."""
    groups = {key: entry.group for key, entry in previous.samples.items()}
    same = all(groups.get(key) == entry.group for key, entry in now.samples.items())
    settled = (previous.filters, previous.split, previous.settings, previous.revision)
    return same and settled == (now.filters, now.split, now.settings, now.revision)
