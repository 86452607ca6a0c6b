"""Preview an export before anything is written."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator
from typing import Any

from regenstore.errors import utf8_text
from regenstore.export.context import text_of
from regenstore.export.sidecar.batch import Batch, PlannedFile
from regenstore.export.sidecar.writer import Row
from regenstore.fs.path_text import path_text

LINES = 40
"""Number of lines shown of a rendered file."""
_WIDE = 160


def as_json(batch: Batch, same: set[str], other: set[str]) -> dict[str, Any]:
    """The whole preview as JSON-compatible data. ``same`` and ``other``: targets that exist already."""
    return {
        "files": [
            {
                "path": path_text(file.target),
                "template": file.template or None,
                "writer": file.writer or None,
                "media": [path_text(each) for each in file.media],
                "size": size_of(file),
                "state": state(file, same, other),
                "fields": [_row(row) for row in file.rows],
                "text": text(file),
                "problems": list(file.problems),
                "warnings": [utf8_text(each) for each in file.warnings],
            }
            for file in batch.files
        ],
        "warnings": [utf8_text(each) for each in batch.warnings],
    }


def _row(row: Row) -> dict[str, Any]:
    return {
        "target": row.target,
        "source": row.source or None,
        "value": None if row.value is None else text_of(row.value),
        "status": row.status,
        "note": row.note or None,
    }


def state(file: PlannedFile, same: set[str], other: set[str]) -> str:
    """``new``, ``unchanged`` or ``overwrites``."""
    return "unchanged" if file.target in same else "overwrites" if file.target in other else "new"


def size_of(file: PlannedFile) -> int | None:
    """Size of a file in bytes; None for a copy, which is as large as its medium."""
    return None if file.data is None else len(file.data)


def text(file: PlannedFile) -> str | None:
    """A rendered file as text, decoded according to its bytes; None for copies and binary files."""
    if file.data is None:
        return None
    encoding = "utf-16" if file.data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return file.data.decode(encoding)
    except UnicodeDecodeError:
        return None


def visible(line: str) -> str:
    """A line with unprintable characters escaped."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in line)


def first_lines(file: PlannedFile) -> Iterator[str]:
    """The first lines of a rendered file, with escapes, long ones truncated."""
    whole = text(file)
    if whole is None:
        return
    lines = whole.split("\n")
    for line in lines[:LINES]:
        shown = visible(line)
        yield shown if len(shown) <= _WIDE else f"{shown[:_WIDE]}… ({len(shown)} characters)"
    if len(lines) > LINES:
        yield f"… ({len(lines) - LINES} more lines)"


def difference(file: PlannedFile) -> Iterator[str]:
    """A diff from the existing file to the rendered one."""
    new = text(file)
    if new is None or not os.path.isfile(file.target):
        return
    with open(file.target, "rb") as there:
        old = text(PlannedFile(file.target, there.read()))
    if old is None:
        return
    lines = difflib.unified_diff(old.split("\n"), new.split("\n"), "there", "new", lineterm="", n=1)
    for line in lines:
        shown = visible(line)
        yield shown if len(shown) <= _WIDE else f"{shown[:_WIDE]}…"
