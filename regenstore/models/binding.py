"""From the models that a medium's metadata name to a recipe's ``[model]`` table, by digest where the index knows it."""

from __future__ import annotations

from typing import Any, NamedTuple

from regenstore.capture.captured import Captured, ModelReference
from regenstore.errors import StorageError, utf8_text
from regenstore.models.finding import FoundModels, ModelFinder, plain_hashes
from regenstore.models.index import ModelIndex

_WHOLE = ("blake3", "sha256", "tensors")
"""Hashes that name one file's bytes or weights for sure."""
_NAME = 1000
_SHOWN = 3
_BY_NAME = ("name", "case", "stem", "alias")


class BoundModels(NamedTuple):
    """What :func:`bind` found."""

    model: dict[str, Any]
    """The ``[model]`` table: ``name``, ``digest`` if it is known, hashes as recorded, and ``files``; empty if the
    metadata name no model."""
    unpinned: tuple[str, ...]
    """Names of the models of which neither a digest nor a whole hash is known."""
    notes: tuple[str, ...]
    """How models were found if not by hash, or why not: for people here, not for a recipe, since paths are in them."""


def bind(captured: Captured, index: ModelIndex) -> BoundModels:
    """Bind the models that metadata name. The first is the recipe's model; the others are its ``files``. An index that
    cannot be read binds nothing, and a note says so: a medium is captured all the same."""
    references = _distinct(captured)
    if not references:
        return BoundModels({}, (), ())
    notes: list[str] = []
    try:
        finder = index.finder
    except StorageError as error:
        notes.append(f"the index of models cannot be read: {error.message}")
        finder = ModelFinder(())
    unpinned: list[str] = []
    (name, main), *others = references.items()
    model = {"name": name, **_hashes(main, finder, unpinned, notes)}
    files = {key: {"role": each.role, **_hashes(each, finder, unpinned, notes)} for key, each in others}
    return BoundModels({**model, **({"files": files} if files else {})}, tuple(unpinned), tuple(notes))


def _distinct(captured: Captured) -> dict[str, ModelReference]:
    """Return each file once, by the key of its table: its name, with its role if another kind has the same name."""
    found: dict[str, ModelReference] = {}
    for each in captured.models:
        name, role = utf8_text(each.name[:_NAME]), utf8_text(each.role[:_NAME])
        if not name:
            continue
        key = name if name not in found or found[name].role == role else f"{name} ({role})"
        before = found.get(key)
        hashes = each.hashes if before is None else {**each.hashes, **before.hashes}  # the same file, named twice
        found[key] = ModelReference(name, role, hashes)
    return found


def _hashes(reference: ModelReference, finder: ModelFinder, unpinned: list[str], notes: list[str]) -> dict[str, str]:
    """Return ``digest`` and the recorded hashes of a table. A recorded BLAKE3 is the digest."""
    recorded = plain_hashes(reference)
    digest = recorded.pop("blake3", "")
    if not digest:
        try:
            found = finder.find(reference)
        except StorageError as error:
            found = FoundModels()
            notes.append(f"{reference.name}: {error.message}")
        digest = found.digest
        if note := _note(found):
            notes.append(f"{reference.name}: {note}")
    if not digest and not any(kind in recorded for kind in _WHOLE):
        unpinned.append(reference.name)
    return {**({"digest": f"blake3:{digest}"} if digest else {}), **recorded}


def _note(found: FoundModels) -> str:
    if found.digest:
        if found.by in _BY_NAME:
            return f"found by its name alone: {found.models[0].path}"
        return "" if any(each.complete for each in found.models) else "its digest is what a ComfyUI server told"
    if found.models:
        paths = [each.path for each in found.models]
        more = f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
        if found.by == "autov1":
            return f"its hash has 8 digits, which is too few to be sure: {', '.join(paths[:_SHOWN])}{more}"
        return f"several files fit: {', '.join(paths[:_SHOWN])}{more}"
    if found.others:
        return f"a file of this name is here, but its hash differs: {found.others[0].path}"
    return ""
