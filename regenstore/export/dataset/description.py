"""Descriptions of a whole dataset: trainers' configurations, the tables of samples and of faces, the card and its
machine-readable form (Croissant)."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from functools import partial

from regenstore.export.dataset import tables
from regenstore.export.dataset.card import Summary, card
from regenstore.export.dataset.croissant import FACE_COLUMNS, FACES, croissant
from regenstore.export.dataset.edited import CARD, EditedFiles
from regenstore.export.dataset.manifest import Manifest
from regenstore.export.dataset.order import DatasetOrder
from regenstore.export.dataset.row import Row
from regenstore.export.dataset.sinks import ExportedFile, Sink
from regenstore.export.dataset.trainers import Training, configurations


def put_description(
    sink: Sink,
    order: DatasetOrder,
    manifest: Manifest,
    made: tables.SampleTables,
    summary: Summary,
    media_types: list[str],
    rows: Callable[[], Iterable[Row]],
    edited: EditedFiles,
) -> list[ExportedFile]:
    """Put all descriptions into a sink. ``manifest`` lists the samples, and ``rows`` yields theirs again."""
    files: list[ExportedFile] = []
    shards = _shards(manifest)
    finished = dict(made.done())
    table = finished[made.ALL]
    if manifest.layout == "dir" and manifest.counts.get("train"):
        training = _training(order.out, manifest.kind, table, summary)
        for name, data in configurations(training, order.trainers).items():
            files.append(edited.put_description(sink, f"trainers/{name}", data))
    faces_sha256 = None
    if summary.faces:
        faces = f"{table}-faces"
        _write_faces(faces, rows())
        faces_sha256 = _sha256(faces)
        files.append(sink.put_made(FACES, partial(shutil.move, faces)))
    sha256 = _sha256(table)
    files += [sink.put_made(name, partial(shutil.move, path)) for name, path in finished.items()]
    described = croissant(manifest, order.name, order.license, sha256, media_types, shards, faces_sha256)
    files.append(edited.put_description(sink, "croissant.json", described))
    told = card(manifest, summary, shards, order.name, order.license)
    files.append(edited.put_description(sink, CARD, told))
    return files


def _shards(manifest: Manifest) -> dict[str, list[str]]:
    """The archives of each split."""
    found: dict[str, set[str]] = {}
    for entry in manifest.samples.values():
        if entry.files[0].inside:
            found.setdefault(entry.split, set()).add(entry.files[0].inside)
    return {split: sorted(names) for split, names in sorted(found.items())}


def _training(out: str, kind: str, table: str, summary: Summary) -> Training:
    """``table``: the table of all samples, from which captions are read on demand."""

    def samples(rate: float | None = None) -> Iterator[tuple[str, str]]:
        for row in tables.read(table, ["path", "split", "text", "fps"]):
            if row["split"] == "train" and rate in (None, row["fps"]):
                yield os.path.basename(row["path"]), row["text"]

    rates = tuple(sorted(rate for rate in summary.rates.get("train", ()) if rate)) if kind == "video" else ()
    size = min(summary.sizes, key=lambda each: (-summary.sizes[each], each), default=None)
    return Training(os.path.abspath(out), kind, samples, rates, summary.frames.get("train"), size)


def _write_faces(path: str, rows: Iterable[Row]) -> None:
    def faces() -> Iterator[Row]:
        for row in rows:
            character = row["characters"][0] if len(row["characters"]) == 1 else None
            for face in row["faces"]:
                told = {"file_name": face["path"], "key": row["key"], "split": row["split"], "character": character}
                yield {**told, **{name: face[name] for name, *_ in FACE_COLUMNS[4:]}}

    tables.write(path, faces(), tables.schema_of([(name, type_) for name, type_, _ in FACE_COLUMNS]))


def _sha256(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
