"""Writing a dataset: the files of new and changed samples, then tables, card and descriptions, the manifest last.

The same samples and the same order give the same bytes.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial

from regenstore.export.context import iso_time
from regenstore.export.dataset import fast_json, frames, tables
from regenstore.export.dataset.card import FOLDERS, Summary, card
from regenstore.export.dataset.croissant import FACE_COLUMNS, FACES, croissant
from regenstore.export.dataset.manifest import Manifest, ManifestSample
from regenstore.export.dataset.row import Row
from regenstore.export.dataset.sinks import MANIFEST, ExportedFile, Sink
from regenstore.export.dataset.splits import SPLITS, Division, Rules
from regenstore.export.dataset.survey import MediaSurvey, Sample
from regenstore.export.dataset.trainers import Training, configurations
from regenstore.export.media_facts import Measurements
from regenstore.fs.path_text import path_text
from regenstore.objects.hashing import hash_bytes


@dataclass(frozen=True)
class Form:
    """How a dataset is written, whatever its samples."""

    out: str
    layout: str
    kind: str
    name: str
    license: str
    filters: tuple[str, ...]
    rules: Rules
    trainers: tuple[str, ...]
    revision: str | None = None


@dataclass
class DatasetOutcome:
    """What an export did."""

    manifest: Manifest
    added: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    unchanged: int = 0
    left_out: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    splits: dict[str, str] = field(default_factory=dict)
    """Key -> split, of all samples."""

    @property
    def digest(self) -> str:
        """Of the manifest's bytes."""
        return str(hash_bytes(self.manifest.to_bytes()))

    @property
    def differs(self) -> bool:
        return bool(self.added or self.changed or self.removed)


class DatasetWriter:
    """Writes one dataset of one kind of media through a sink."""

    def __init__(
        self,
        form: Form,
        survey: MediaSurvey,
        division: Division,
        known: Measurements,
        previous: Manifest | None,
    ) -> None:
        self._form = form
        self._survey = survey
        self._division = division
        self._known = known
        self._previous = previous
        kept = [sample for sample in survey.samples if sample.key in division.split]
        self.samples = sorted(kept, key=lambda each: (SPLITS.index(division.split[each.key]), each.key))

    def compare(self, intact: Callable[[ExportedFile], bool]) -> DatasetOutcome:
        """What there is to do. ``intact``: whether a file of the old dataset is there as recorded."""
        old = {} if self._previous is None else self._previous.samples
        outcome = DatasetOutcome(
            self._manifest(), left_out=self._division.left_out, notes=self._division.notes, splits=self._division.split
        )
        for sample in self.samples:
            entry = old.get(sample.key)
            if entry is None:
                outcome.added.append(sample.key)
            elif self._same(sample, entry) and all(intact(file) for file in entry.files):
                outcome.manifest.samples[sample.key] = replace(entry, group=self._division.group[sample.key])
                outcome.unchanged += 1
            else:
                outcome.changed.append(sample.key)
        here = {sample.key for sample in self.samples}
        outcome.removed = [key for key in old if key not in here]
        before = [] if self._previous is None else self._previous.removed
        outcome.manifest.removed = sorted({*before, *outcome.removed} - here)
        return outcome

    def _same(self, sample: Sample, entry: ManifestSample) -> bool:
        now = (str(sample.medium.digest), sample.row, self._division.split[sample.key])
        return (entry.digest, entry.row, entry.split) == now

    def _manifest(self) -> Manifest:
        form, rules = self._form, self._form.rules
        times = (self._created(sample) for sample in self.samples)
        return Manifest(
            form.layout,
            form.kind,
            1 if self._previous is None else self._previous.export + 1,
            form.revision,
            max((time for time in times if time), default=None),
            list(form.filters),
            {
                "method": rules.method,
                "salt": rules.salt,
                "group_by": list(rules.group_by),
                "shares": dict(rules.shares),
                "stratify": rules.stratify,
                "on_leak": rules.on_leak,
            },
            self._division.ledger,
            settings={"name": form.name, "license": form.license, "trainers": list(form.trainers)},
        )

    @staticmethod
    def _created(sample: Sample) -> str | None:
        return None if sample.medium.created is None else iso_time(sample.medium.created)

    # ------------------------------------------------------------------------------------- writing

    def write(self, outcome: DatasetOutcome, sink: Sink, told: Callable[[str], None]) -> None:
        """Do what an outcome says; the manifest in it is then complete, and committed."""
        with tables.SampleTables(by_split=self._form.layout != "webdataset") as made:
            summary = self._put_samples(outcome, sink, made, told)
            self._remove_old(outcome, sink)
            self._describe(outcome, sink, summary, made)
        sink.put_bytes(MANIFEST, outcome.manifest.to_bytes())
        sink.commit()

    def _put_samples(
        self, outcome: DatasetOutcome, sink: Sink, made: tables.SampleTables, told: Callable[[str], None]
    ) -> Summary:
        todo = {*outcome.added, *outcome.changed}
        summary = Summary()
        kept, outcome.manifest.samples = outcome.manifest.samples, {}
        for sample in self.samples:
            text, recipe = self._survey.texts(
                sample, self._division.split[sample.key], self._division.group[sample.key]
            )
            row: Row = fast_json.loads(text)
            if sample.key in todo:
                stored = tuple(self._put(sample, row, fast_json.loads(recipe), sink))
                source, digest = path_text(sample.medium.path), str(sample.medium.digest)
                entry = ManifestSample(source, digest, sample.row, row["split"], row["group"], stored)
                told(sample.medium.path)
            else:
                entry = kept[sample.key]
            outcome.manifest.samples[sample.key] = entry
            medium = entry.files[0]
            path = f"{medium.inside}/{medium.path}" if medium.inside else medium.path
            made.add(row["split"], f"{FOLDERS[self._form.kind]}/{sample.key}{sample.suffix}", path, text)
            summary.add(row, sample.suffix)
        return summary

    def _remove_old(self, outcome: DatasetOutcome, sink: Sink) -> None:
        """What samples that changed or left had, and have no more."""
        old = {} if self._previous is None else self._previous.samples
        for key in (*outcome.changed, *outcome.removed):
            fresh = {(file.inside, file.path) for file in self._files_of(outcome, key)}
            for stored in old[key].files:
                if (stored.inside, stored.path) not in fresh:
                    sink.remove(stored)

    @staticmethod
    def _files_of(outcome: DatasetOutcome, key: str) -> tuple[ExportedFile, ...]:
        entry = outcome.manifest.samples.get(key)
        return () if entry is None else entry.files

    def _row(self, sample: Sample) -> Row:
        return self._survey.row(sample, self._division.split[sample.key], self._division.group[sample.key])

    def _put(self, sample: Sample, row: Row, recipe: str, sink: Sink) -> Iterator[ExportedFile]:
        base = f"{row['split']}/{FOLDERS[self._form.kind]}/{sample.key}"
        medium = sample.medium
        yield sink.put_file(base + sample.suffix, medium.file, medium.size, medium.digest)
        yield sink.put_bytes(base + ".txt", (row["text"] + "\n").encode())
        told = {name: value for name, value in row.items() if name != "group"}
        told["recipe"] = recipe
        yield sink.put_bytes(base + ".json", fast_json.lines(told))
        metrics = self._known.metrics(medium) if sample.measured and self._form.kind == "video" else None
        if metrics is not None:
            rate = self._known.info(medium).video
            data = frames.csv(sample.key, row["split"], None if rate is None else rate.rate, metrics)
            yield sink.put_bytes(f"frames/{sample.key}.csv", data)
        if row["faces"]:
            for face, data in zip(row["faces"], self._known.faces_of(medium, row["faces"])):
                yield sink.put_bytes(f"faces/{face['path']}", data)

    # ------------------------------------------------------------------------------------- describing

    def _describe(self, outcome: DatasetOutcome, sink: Sink, summary: Summary, made: tables.SampleTables) -> None:
        manifest, form = outcome.manifest, self._form
        shards = self._shards(manifest)
        files = manifest.files
        finished = dict(made.done())
        table = finished[made.ALL]
        if form.layout == "dir" and manifest.counts.get("train"):
            for name, data in configurations(self._training(table, summary), form.trainers).items():
                files.append(sink.put_bytes(f"trainers/{name}", data))
        faces_sha256 = None
        if summary.faces:
            faces = f"{table}-faces"
            self._faces(faces)
            faces_sha256 = _sha256(faces)
            files.append(sink.put_made(FACES, partial(shutil.move, faces)))
        sha256 = _sha256(table)
        files += [sink.put_made(name, partial(shutil.move, path)) for name, path in finished.items()]
        types = sorted({sample.medium.media_type for sample in self.samples})
        described = croissant(manifest, form.name, form.license, sha256, types, shards, faces_sha256)
        files.append(sink.put_bytes("croissant.json", described))
        files.append(sink.put_bytes("README.md", card(manifest, summary, shards, form.name, form.license)))
        if self._previous is not None:
            now = {(stored.inside, stored.path) for stored in files}
            for old in self._previous.files:
                if (old.inside, old.path) not in now:
                    sink.remove(old)

    def _faces(self, path: str) -> None:
        def rows() -> Iterator[Row]:
            for sample in self.samples:
                row = self._row(sample)
                character = row["characters"][0] if len(row["characters"]) == 1 else None
                for face in row["faces"]:
                    told = {"file_name": face["path"], "key": row["key"], "split": row["split"], "character": character}
                    yield {**told, **{name: face[name] for name, *_ in FACE_COLUMNS[4:]}}

        tables.write(path, rows(), tables.schema_of([(name, type_) for name, type_, _ in FACE_COLUMNS]))

    def _shards(self, manifest: Manifest) -> dict[str, list[str]]:
        found: dict[str, set[str]] = {}
        for entry in manifest.samples.values():
            if entry.files[0].inside:
                found.setdefault(entry.split, set()).add(entry.files[0].inside)
        return {split: sorted(names) for split, names in sorted(found.items())}

    def _training(self, table: str, summary: Summary) -> Training:
        """``table``: that of all samples, of which captions are read where they are needed."""

        def samples() -> Iterator[tuple[str, str]]:
            for row in tables.read(table, ["path", "split", "text"]):
                if row["split"] == "train":
                    yield os.path.basename(row["path"]), row["text"]

        rates = summary.rates.get("train", set())
        fps = next(iter(rates)) if len(rates) == 1 and self._form.kind == "video" else None
        return Training(os.path.abspath(self._form.out), self._form.kind, samples, fps)


def _sha256(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
