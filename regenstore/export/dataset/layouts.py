"""The sink of each layout."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from regenstore.export.dataset.manifest import Manifest
from regenstore.export.dataset.sinks import FolderSink, Sink
from regenstore.worktree.link import Linker


@contextmanager
def open_sink(out: str, layout: str, linker: Linker, previous: Manifest | None, *, replace: bool) -> Iterator[Sink]:
    """A sink for a fresh dataset, or (with ``previous``) for changes of the one at ``out``. What was not
    committed in the block is abandoned."""
    os.makedirs(os.path.dirname(out), exist_ok=True)
    sink: Sink = FolderSink(out, linker, fresh=previous is None, replace=replace)
    try:
        yield sink
    finally:
        sink.abandon()
