"""Read a dataset back: summarise it, verify its files, and compare it with the repository."""

from __future__ import annotations

import io
import math
import os
import tarfile
import tempfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import IO

from regenstore.errors import FormatError
from regenstore.export.dataset import manifest as manifests
from regenstore.export.dataset import tables
from regenstore.export.dataset.manifest import Manifest
from regenstore.export.dataset.row import Row, json_text
from regenstore.export.dataset.selection import SCORES
from regenstore.export.dataset.sinks import ExportedFile
from regenstore.export.media_set import Chosen, LeftOut
from regenstore.fs import presence
from regenstore.objects.hashing import hash_blocks

LABELS = ("scene", "scene_type", "characters", "tags", "failure_tags", "model", "generator")
HISTOGRAM = 10
_BLOCK = 1 << 20


@dataclass
class Score:
    """Statistics of a numeric column."""

    count: int
    least: float
    mean: float
    most: float
    histogram: list[int]
    """Counts in equal intervals from minimum to maximum."""


@dataclass
class Drift:
    """Differences between the repository and the dataset, as paths."""

    new: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    """Samples whose bytes or labels differ by now."""
    gone: list[str] = field(default_factory=list)


@dataclass
class Shown:
    """A summary of a dataset."""

    manifest: Manifest
    labels: dict[str, dict[str, dict[str, int]]] = field(default_factory=dict)
    """Column -> value -> split -> number of samples."""
    scores: dict[str, dict[str, Score]] = field(default_factory=dict)
    """Column -> split -> statistics."""
    seconds: dict[str, float] = field(default_factory=dict)
    bytes: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def read(out: str) -> Shown:
    """Summarise a dataset from its manifest and its table. Raises NotFound (``no-such-dataset``), FormatError
    (``bad-dataset``)."""
    shown = Shown(manifests.load(out))
    values: dict[tuple[str, str], list[float]] = {}
    labels: dict[str, dict[str, Counter[str]]] = {name: {} for name in LABELS}
    known: set[str] = set()
    for row in rows(out):
        split = row["split"]
        known.add(row["key"])
        shown.seconds[split] = shown.seconds.get(split, 0.0) + (row["duration"] or 0.0)
        shown.bytes[split] = shown.bytes.get(split, 0) + row["size"]
        for name in LABELS:
            for value in row[name] if isinstance(row[name], list) else [row[name]]:
                if value is not None:
                    labels[name].setdefault(value, Counter())[split] += 1
        for name in SCORES:
            if row[name] is not None:
                values.setdefault((name, split), []).append(row[name])
    for name in SCORES:
        found = {split: _score(each) for (column, split), each in values.items() if column == name}
        if found:
            shown.scores[name] = found
    for name, counted in labels.items():
        if counted:
            shown.labels[name] = {value: dict(splits) for value, splits in sorted(counted.items())}
    listed = shown.manifest.samples.keys()
    if known != listed:
        shown.problems.append(f"the table and the manifest differ in {len(known ^ listed)} samples")
    return shown


def _score(values: list[float]) -> Score:
    least, most = min(values), max(values)
    histogram = [0] * HISTOGRAM
    for value in values:
        at = (value - least) / (most - least) if most > least else 0.0
        histogram[min(HISTOGRAM - 1, int(at * HISTOGRAM))] += 1
    return Score(len(values), least, math.fsum(values) / len(values), most, histogram)


def rows(out: str) -> Iterator[Row]:
    """The rows of a dataset's table of all samples."""
    with local(out, "samples.parquet") as path:
        yield from tables.read(path)


@contextmanager
def local(out: str, name: str, inside: str | None = None) -> Iterator[str]:
    """A dataset's file as a path; a file in an archive is extracted for the duration of the block. Raises
    FormatError (``bad-dataset``) if it does not exist."""
    archive = out if os.path.isfile(out) else os.path.join(out, inside) if inside else None
    if archive is None or not presence.is_file(archive):
        path = os.path.join(out, name) if archive is None else archive
        if not presence.is_file(path):
            raise FormatError("bad-dataset", f"{path} does not exist, or is not a regular file")
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="regenstore-") as folder:
        path = os.path.join(folder, "file" + os.path.splitext(name)[1])
        try:
            with open(path, "wb") as file:
                file.write(_member(archive, name))
        except (OSError, KeyError, zipfile.BadZipFile, tarfile.TarError) as error:
            raise FormatError("bad-dataset", f"{archive} has no {name} ({error})") from None
        yield path


def _member(archive: str, name: str) -> bytes:
    if archive.endswith(".tar"):
        with tarfile.open(archive, "r:") as shard:
            found = shard.extractfile(name)
            return b"" if found is None else found.read()
    with zipfile.ZipFile(archive) as opened:
        return opened.read(name)


def damaged(out: str, manifest: Manifest) -> Iterator[str]:
    """Files that differ from the manifest: missing, or with other bytes. Each archive is opened once."""
    found: dict[str, list[ExportedFile]] = {}
    whole = presence.is_file(out)
    for file in (*manifest.files, *(file for entry in manifest.samples.values() for file in entry.files)):
        found.setdefault(out if whole else os.path.join(out, file.inside) if file.inside else "", []).append(file)
    for archive, files in found.items():
        with _reader(archive, out) as read_member:
            for file in files:
                shown = f"{file.inside}/{file.path}" if file.inside else file.path
                try:
                    with read_member(file.path) as given:
                        digest, _ = hash_blocks(iter(lambda: given.read(_BLOCK), b""))
                    if str(digest) != file.digest:
                        yield f"{shown}: other bytes than recorded"
                except (OSError, KeyError, presence.NotRegular, zipfile.BadZipFile, tarfile.TarError, zlib.error):
                    yield f"{shown}: missing or damaged"


@contextmanager
def _reader(archive: str, out: str) -> Iterator[Callable[[str], IO[bytes]]]:
    """Opens files by name: in an archive, or without one in the folder ``out``."""
    opened: Callable[[str], IO[bytes]]
    with ExitStack() as stack:
        try:
            if archive.endswith(".tar"):
                shard = stack.enter_context(tarfile.open(archive, "r:"))
                opened = partial(_extracted, shard, {info.name: info for info in shard})
            elif archive:
                opened = stack.enter_context(zipfile.ZipFile(archive)).open
            else:
                opened = partial(_opened, out)
        except (OSError, zipfile.BadZipFile, tarfile.TarError):
            nothing: dict[str, IO[bytes]] = {}
            opened = nothing.__getitem__  # none of its files can be read
        yield opened


def _extracted(shard: tarfile.TarFile, members: dict[str, tarfile.TarInfo], name: str) -> IO[bytes]:
    return shard.extractfile(members[name]) or io.BytesIO()


def _opened(out: str, name: str) -> IO[bytes]:
    return os.fdopen(presence.open_file(os.path.join(out, name)), "rb")


def drift(shown: Shown, out: str, chosen: Iterable[Chosen], left: LeftOut) -> Drift:
    """Compare recipes of the repository with the samples: other takes, parameters or labels. Samples whose recipes are
    unreadable, which ``left`` has once all are chosen, do not count."""
    before = {row["source"]: (row["digest"], row["params"], row["about"]) for row in rows(out)}
    found = Drift()
    here: set[str] = set()
    for each in chosen:
        path = each.path.decode(errors="surrogateescape")
        take = each.recipe.output.take
        if not each.recipe.output.media_type.startswith(shown.manifest.kind + "/"):
            continue
        here.add(path)
        if path not in before:
            found.new.append(path)
        elif before[path] != (take and str(take.digest), json_text(each.recipe.params), json_text(each.recipe.about)):
            found.changed.append(path)
    found.gone = sorted(before.keys() - here - left.errors.keys())
    return found
