"""What is wrong with files that writers render, found without the code that rendered them: a module per format."""

from __future__ import annotations

import importlib

from regenstore.export.sidecar import syntax
from regenstore.export.sidecar.writers import WRITERS


def check(writer: str, data: bytes, name: str = "any") -> list[str]:
    """Problems of a file of a writer; empty when it is fine."""
    if writer in ("text", "batch-text"):
        return syntax.problems(data, name)
    found: list[str] = importlib.import_module(f"{__name__}.{WRITERS[writer]}").check(data)
    return found
