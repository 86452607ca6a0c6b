"""docs/datasets.md lists the columns of the code."""

from __future__ import annotations

from pathlib import Path

from regenstore.export.dataset.row import COLUMNS


def test_the_columns_are_documented():
    text = (Path(__file__).parents[3] / "docs" / "datasets.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    assert rows == [f"| `{column.name}` | {column.type} | {column.meaning} |" for column in COLUMNS]
