"""Taking a file that another tool keeps into the store."""

from __future__ import annotations

from collections.abc import Callable
from io import BufferedReader

from regenstore.errors import NotFound, StorageError
from regenstore.fs import durable
from regenstore.fs.reflink import Linker
from regenstore.objects.content_store import ContentStore
from regenstore.objects.recipe import Take


def take_in(store: ContentStore, linker: Linker, path: str, differs: Callable[[BufferedReader], str | None]) -> Take:
    """Store a file. ``differs`` is called with the bytes that will be stored, and says how they differ from what the
    other tool recorded, or None. Raises NotFound (``content-missing``) and StorageError, with ``source-damaged`` for
    other bytes."""
    store.prepare()
    temp = store.temp_path("migrated")
    try:
        with durable.storage_errors(temp), open(temp, "xb") as target, open(path, "rb") as source:
            linker.fill(source.fileno(), target.fileno())
        with open(temp, "rb") as file:
            if difference := differs(file):
                raise StorageError("source-damaged", f"{path}: {difference}")
        digest, size = store.adopt(temp)
    except FileNotFoundError:
        raise NotFound("content-missing", f"{path}: it has just been removed") from None
    finally:
        durable.unlink(temp)
    return Take(digest, size)
