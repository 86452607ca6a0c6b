"""Runs the built-in generators as a worker does, in this process or, as a script, in one of its own.

As a script it takes a JSON list of jobs on standard input and answers with the digest of each output.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from regenstore.generators.api import Cancelled, Item
from regenstore.generators.registry import built_in

DECLARATIONS = {name: entry.load() for name, entry in built_in().items()}


@dataclass
class Heard:
    """A context that writes down progress, and cancels after so many reports."""

    patience: int | None = None
    reports: list[tuple[float, float, str]] = field(default_factory=list)

    def progress(self, item: Item, done: float, total: float, note: str = "") -> None:
        self.reports.append((done, total, note))
        if self.cancelled():
            raise Cancelled

    def cancelled(self) -> bool:
        return self.patience is not None and len(self.reports) > self.patience


def make(
    generator: str,
    outdir: Path,
    inputs: Mapping[str, Path] | None = None,
    media_type: str = "",
    context: Heard | None = None,
    **params: Any,
) -> Path:
    """One item of a built-in generator; gives the path of its main output."""
    declaration = DECLARATIONS[generator]
    module, _, name = declaration.implementation.partition(":")
    implementation = getattr(importlib.import_module(module), name)({})
    folder = tempfile.mkdtemp(dir=outdir)
    item = Item(
        "item",
        declaration.params.check(params),
        {slot: str(path) for slot, path in (inputs or {}).items()},
        media_type or declaration.media_types[0],
        folder,
    )
    heard = context or Heard()
    session = implementation.load("", heard)
    (made,) = session.generate([item], heard)
    session.unload()
    path, kind = made.outputs["main"]
    assert (os.path.dirname(path), kind) == (folder, item.media_type)
    assert os.listdir(folder) == [os.path.basename(path)]
    return Path(path)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        digests = []
        for job in json.load(sys.stdin):
            inputs = {name: Path(path) for name, path in job["inputs"].items()}
            made = make(job["generator"], Path(folder), inputs, job["media_type"], **job["params"])
            digests.append(digest(made))
        json.dump(digests, sys.stdout)


if __name__ == "__main__":
    main()
