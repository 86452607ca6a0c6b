"""The models and inputs of captured media, by digest as far as they are known here."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from regenstore.capture.captured import Captured
from regenstore.capture.recipes import Binding
from regenstore.errors import NotFound, StorageError
from regenstore.models.binding import bind
from regenstore.models.index import ModelIndex
from regenstore.models.inputs import InputLookup, bind_inputs
from regenstore.objects.content_store import ContentStore
from regenstore.objects.ids import Digest
from regenstore.objects.recipe import Input


class Binder:
    """Binds what captured media were made with."""

    def __init__(self, index: ModelIndex, lookup: Callable[[], InputLookup], store: ContentStore) -> None:
        self._index = index
        self._lookup = lookup
        self._store = store

    def bind(self, path: bytes, captured: Captured) -> Binding:
        """Bind the medium at a path. Inputs that are only in a program's input folder are stored."""
        models = bind(captured, self._index)
        about: dict[str, Any] = {}
        if models.unpinned:
            about["unpinned"] = list(models.unpinned)
        if not captured.inputs:
            return Binding(models.model, {}, about)
        found = bind_inputs(captured, self._lookup(), path)
        if found.unbound:
            about["unbound_inputs"] = [dict(each) for each in found.unbound]
        inputs = {name: Input(Digest.parse(table["digest"]), table.get("path")) for name, table in found.inputs.items()}
        for name, file in found.outside.items():
            with suppress(StorageError, NotFound):  # the recipe names the content all the same
                self._store.put_copy(file, inputs[name].digest)
        return Binding(models.model, inputs, about)
