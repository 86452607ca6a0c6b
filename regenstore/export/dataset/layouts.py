"""The sink for each layout."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from regenstore.export.dataset.sinks import FolderSink, Sink, recover
from regenstore.export.dataset.tar_sink import TarSink
from regenstore.export.dataset.zip_sink import SplitZipSink, ZipSink, roll_back
from regenstore.fs.reflink import Linker


@contextmanager
def open_sink(
    out: str, layout: str, linker: Linker, *, fresh: bool, replaced: frozenset[str] | None = None
) -> Iterator[Sink]:
    """Open a sink for a fresh dataset, or for changes to the one at ``out``. ``replaced``: the files of the dataset
    that a fresh one replaces. What is not committed within the block is discarded."""
    os.makedirs(os.path.dirname(out), exist_ok=True)
    sink: Sink
    if layout == "zip":
        sink = ZipSink(out, linker, fresh=fresh)
    else:
        folder = FolderSink(out, linker, fresh=fresh, replaced=replaced)
        if layout == "zip-splits":
            sink = SplitZipSink(folder, linker)
        else:
            sink = TarSink(folder) if layout == "webdataset" else folder
    try:
        yield sink
    finally:
        sink.abandon()


def finish_interrupted(out: str) -> bool:
    """Complete or undo an interrupted change of a dataset; False if there was none."""
    return roll_back(out) if os.path.isfile(out) else recover(out)
