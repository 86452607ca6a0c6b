"""The options of a dataset export, and explicit assignments of samples to splits."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from regenstore.errors import InvalidInput
from regenstore.export.dataset.row import USUAL, Captions
from regenstore.export.dataset.selection import Limits
from regenstore.export.dataset.splits import SPLITS, Rules


@dataclass(frozen=True)
class DatasetOrder:
    """The options of a dataset export."""

    out: str
    """Absolute path of the folder or the ZIP."""
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
    captions: Captions = USUAL
    options: Mapping[str, Any] = field(default_factory=dict)
    """What the manifest keeps for the next update, as JSON values."""
    ledger: Mapping[str, str] = field(default_factory=dict)
    """Token -> split in other datasets, which samples follow."""


def explicit_splits(text: str, what: str) -> dict[str, str]:
    """Parse an assignment file: JSON ``{"path": "split"}``, or CSV with the columns path (or key) and split. Raises
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
