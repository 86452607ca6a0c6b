"""Writing a dataset: the files of new and changed samples, then tables, card and descriptions, the manifest last.

The same samples and the same order give the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from regenstore.export.context import iso_time
from regenstore.export.dataset import frames, tables
from regenstore.export.dataset.card import FOLDERS, Summary, card
from regenstore.export.dataset.croissant import croissant
from regenstore.export.dataset.manifest import Entry, Manifest
from regenstore.export.dataset.row import Row, json_lines
from regenstore.export.dataset.sinks import MANIFEST, TABLE, Sink, Stored
from regenstore.export.dataset.splits import SPLITS, Division, Rules
from regenstore.export.dataset.survey import Sample, Survey
from regenstore.export.dataset.trainers import Training, configurations
from regenstore.export.known import Known
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
class Outcome:
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


class Writer:
    """Writes one dataset of one kind of media through a sink."""

    def __init__(
        self,
        form: Form,
        survey: Survey,
        division: Division,
        known: Known,
        previous: Manifest | None,
    ) -> None:
        self._form = form
        self._survey = survey
        self._division = division
        self._known = known
        self._previous = previous
        kept = [sample for sample in survey.samples if sample.key in division.split]
        self.samples = sorted(kept, key=lambda each: (SPLITS.index(division.split[each.key]), each.key))

    def compare(self, intact: Callable[[Stored], bool]) -> Outcome:
        """What there is to do. ``intact``: whether a file of the old dataset is there as recorded."""
        old = {} if self._previous is None else self._previous.samples
        outcome = Outcome(
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

    def _same(self, sample: Sample, entry: Entry) -> bool:
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

    def write(self, outcome: Outcome, sink: Sink, told: Callable[[str], None]) -> None:
        """Do what an outcome says; the manifest in it is then complete, and committed."""
        todo = {*outcome.added, *outcome.changed}
        old = {} if self._previous is None else self._previous.samples
        summary = Summary()
        entries = outcome.manifest.samples
        kept, outcome.manifest.samples = entries, {}
        for sample in self.samples:
            row, recipe = self._row_and_recipe(sample)
            if sample.key in todo:
                stored = tuple(self._put(sample, row, recipe, sink))
                entry = Entry(
                    sample.medium.path, str(sample.medium.digest), sample.row, row["split"], row["group"], stored
                )
                told(sample.medium.path)
            else:
                entry = kept[sample.key]
            outcome.manifest.samples[sample.key] = entry
            summary.add(row, sample.suffix)
        for key in (*outcome.changed, *outcome.removed):
            fresh = {(file.inside, file.path) for file in self._files_of(outcome, key)}
            for file in old[key].files:
                if (file.inside, file.path) not in fresh:
                    sink.remove(file)
        self._describe(outcome, sink, summary)
        sink.put_bytes(MANIFEST, outcome.manifest.to_bytes())
        sink.commit()

    @staticmethod
    def _files_of(outcome: Outcome, key: str) -> tuple[Stored, ...]:
        entry = outcome.manifest.samples.get(key)
        return () if entry is None else entry.files

    def _row(self, sample: Sample) -> Row:
        return self._row_and_recipe(sample)[0]

    def _row_and_recipe(self, sample: Sample) -> tuple[Row, str]:
        return self._survey.row_and_recipe(sample, self._division.split[sample.key], self._division.group[sample.key])

    def _put(self, sample: Sample, row: Row, recipe: str, sink: Sink) -> Iterator[Stored]:
        base = f"{row['split']}/{FOLDERS[self._form.kind]}/{sample.key}"
        medium = sample.medium
        yield sink.put_file(base + sample.suffix, medium.file, medium.size, medium.digest)
        yield sink.put_bytes(base + ".txt", (row["text"] + "\n").encode())
        told = {name: value for name, value in row.items() if name != "group"}
        told["recipe"] = recipe
        yield sink.put_bytes(base + ".json", json_lines(told))
        metrics = self._known.metrics(medium) if self._form.kind == "video" else None
        if metrics is not None:
            rate = self._known.info(medium).video
            data = frames.csv(sample.key, row["split"], None if rate is None else rate.rate, metrics)
            yield sink.put_bytes(f"frames/{sample.key}.csv", data)
        if row["faces"]:
            for face, data in zip(row["faces"], self._known.faces_of(medium, row["faces"])):
                yield sink.put_bytes(f"faces/{face['path']}", data)

    # ------------------------------------------------------------------------------------- describing

    def _describe(self, outcome: Outcome, sink: Sink, summary: Summary) -> None:
        manifest, form = outcome.manifest, self._form
        shards = self._shards(manifest)
        files = manifest.files
        files += self._tables(manifest, sink)
        sha256 = hashlib.sha256()

        def table(path: str) -> None:
            tables.write(path, self._with_path(manifest), tables.schema([("path", "string")]))
            with open(path, "rb") as file:
                sha256.update(file.read())

        files.append(sink.put_made("samples.parquet", table))
        files.append(sink.put_made("samples.jsonl", lambda path: self._lines(path, manifest)))
        types = sorted({sample.medium.media_type for sample in self.samples})
        if form.layout == "dir" and manifest.counts.get("train"):
            for name, data in configurations(self._training(), form.trainers).items():
                files.append(sink.put_bytes(f"trainers/{name}", data))
        described = croissant(manifest, form.name, form.license, sha256.hexdigest(), types, shards)
        files.append(sink.put_bytes("croissant.json", described))
        files.append(sink.put_bytes("README.md", card(manifest, summary, shards, form.name, form.license)))
        if self._previous is not None:
            now = {(file.inside, file.path) for file in files}
            for file in self._previous.files:
                if (file.inside, file.path) not in now:
                    sink.remove(file)

    def _tables(self, manifest: Manifest, sink: Sink) -> Iterator[Stored]:
        """The table of each split, as folder builders want it; of the faces; none inside of tar shards."""
        for split in SPLITS:
            here = [sample for sample in self.samples if self._division.split[sample.key] == split]
            if here and self._form.layout != "webdataset":
                given = tables.schema([("file_name", "string")])

                def write(path: str, here: Sequence[Sample] = here, given: Any = given) -> None:
                    tables.write(path, (self._named(sample) for sample in here), given)

                yield sink.put_made(f"{split}/{TABLE}", write)
        if any(file.path.startswith("faces/crops/") for entry in manifest.samples.values() for file in entry.files):
            yield sink.put_made(f"faces/{TABLE}", self._faces)

    def _named(self, sample: Sample) -> Row:
        return {"file_name": f"{FOLDERS[self._form.kind]}/{sample.key}{sample.suffix}", **self._row(sample)}

    def _faces(self, path: str) -> None:
        names = ["key", "split", "character"]
        columns = [("file_name", "string"), *((name, "string") for name in names), ("frame", "int")]
        columns += [(name, "float") for name in ("confidence", "x", "y", "w", "h")]

        def rows() -> Iterator[Row]:
            for sample in self.samples:
                row = self._row(sample)
                character = row["characters"][0] if len(row["characters"]) == 1 else None
                for face in row["faces"]:
                    told = {"file_name": face["path"], "key": row["key"], "split": row["split"], "character": character}
                    yield {**told, **{name: face[name] for name, _ in columns[4:]}}

        tables.write(path, rows(), tables.schema_of(columns))

    def _with_path(self, manifest: Manifest) -> Iterator[Row]:
        for sample in self.samples:
            medium = manifest.samples[sample.key].files[0]
            path = f"{medium.inside}/{medium.path}" if medium.inside else medium.path
            yield {"path": path, **self._row(sample)}

    def _lines(self, path: str, manifest: Manifest) -> None:
        with open(path, "w", encoding="utf-8", newline="\n") as file:
            for row in self._with_path(manifest):
                file.write(json.dumps(row, ensure_ascii=False) + "\n")

    def _shards(self, manifest: Manifest) -> dict[str, list[str]]:
        found: dict[str, set[str]] = {}
        for entry in manifest.samples.values():
            if entry.files[0].inside:
                found.setdefault(entry.split, set()).add(entry.files[0].inside)
        return {split: sorted(names) for split, names in sorted(found.items())}

    def _training(self) -> Training:
        here = [sample for sample in self.samples if self._division.split[sample.key] == "train"]
        rates = {self._row(sample)["fps"] for sample in here} if self._form.kind == "video" else set()

        def samples() -> Iterator[tuple[str, str]]:
            for sample in here:
                yield sample.key + sample.suffix, self._row(sample)["text"]

        fps = rates.pop() if len(rates) == 1 else None
        return Training(os.path.abspath(self._form.out), self._form.kind, samples, fps)
