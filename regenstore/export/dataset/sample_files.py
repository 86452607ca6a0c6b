"""The files of a sample: the medium, its caption, its row and recipe as JSON, the table of its frames, its faces."""

from __future__ import annotations

from collections.abc import Iterator

from regenstore.export.dataset import fast_json, frames
from regenstore.export.dataset.card import FOLDERS
from regenstore.export.dataset.edited import EditedFiles
from regenstore.export.dataset.row import Row
from regenstore.export.dataset.sample_rows import Sample
from regenstore.export.dataset.sinks import ExportedFile, Sink
from regenstore.export.media_facts import Measurements


def put_sample(
    sink: Sink,
    sample: Sample,
    row: Row,
    recipe: str,
    kind: str,
    known: Measurements,
    edited: EditedFiles,
    *,
    stem: str,
) -> Iterator[ExportedFile]:
    """Put a sample's files into a sink, the medium first. ``kind``: the dataset's kind of media; ``stem``: the name of
    the files, without suffix."""
    medium = sample.medium
    base = f"{row['split']}/{FOLDERS[kind]}/{stem}"
    yield sink.put_file(base + sample.suffix, medium.file, medium.size, medium.digest)
    yield edited.put_caption(sink, sample.key, base + ".txt", (row["text"] + "\n").encode())
    told = {name: value for name, value in row.items() if name != "group"}
    told["recipe"] = recipe
    yield sink.put_bytes(base + ".json", fast_json.lines(told))
    metrics = known.metrics(medium) if sample.measured and kind == "video" else None
    if metrics is not None:
        rate = known.info(medium).video
        data = frames.csv(sample.key, row["split"], None if rate is None else rate.rate, metrics)
        yield sink.put_bytes(f"frames/{sample.key}.csv", data)
    if row["faces"]:
        for face, data in zip(row["faces"], known.faces_of(medium, row["faces"])):
            yield sink.put_bytes(f"faces/{face['path']}", data)
