"""How the commands on models show them: as tables, and as JSON."""

from __future__ import annotations

from collections.abc import Iterable

from regenstore.cli.presentation import Cell, Heading, show_table, size_text
from regenstore.fs.path_text import path_text
from regenstore.models.indexed_model import IndexedModel
from regenstore.models.model_files import name_below_folder

_HEADS = (Heading("name"), Heading("kind"), Heading("base"), Heading("size", right=True), Heading("AutoV2"))
_SHORT = 12


def show_models(models: Iterable[IndexedModel], *, paths: bool) -> None:
    """Print a table of models: with the first digits of their digests, or with their paths."""
    rows: list[tuple[str | Cell, ...]] = []
    for each in models:
        name = Cell(name_below_folder(each.path), "bold")
        size = size_text(each.state.size)
        last = each.path if paths else each.hashes.blake3[:_SHORT]
        rows.append((name, each.kind, each.header.base, size, each.hashes.autov2, last))
    show_table((*_HEADS, Heading("path" if paths else "blake3")), rows)


def model_fields(model: IndexedModel) -> dict[str, object]:
    """Return the JSON fields of a model."""
    hashes, header = model.hashes, model.header
    return {
        "path": path_text(model.path),
        "name": path_text(name_below_folder(model.path)),
        "kind": model.kind or None,
        "base": header.base or None,
        "size": model.state.size,
        "digest": f"blake3:{hashes.blake3}",
        "sha256": hashes.sha256 or None,
        "tensors": hashes.tensors or None,
        "autov1": hashes.autov1 or None,
        "autov2": hashes.autov2 or None,
        "autov3": hashes.autov3 or None,
    }
