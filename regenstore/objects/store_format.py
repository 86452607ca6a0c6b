"""The store's format marker: its version, and the features that a program must know, per operation.

``format.json`` in the store's folder: ``{"regenstore_store": 1, "features": {"read": [], "write": [], "gc": []}}``. A
program refuses an operation only if the store requires a feature for it that the program does not know: a future
feature that matters to gc alone does not lock older programs out of reading.
"""

from __future__ import annotations

import json

from regenstore.errors import FormatError, StorageError
from regenstore.fs import durable, presence

VERSION = 1
FILE = "format.json"
OPERATIONS = ("read", "write", "gc")
KNOWN: dict[str, frozenset[str]] = {operation: frozenset() for operation in OPERATIONS}


def create(root: str) -> None:
    """Write the marker of a new store; an existing marker is left alone."""
    path = f"{root}/{FILE}"
    if presence.lstat(path) is None:
        content = {"regenstore_store": VERSION, "features": {operation: [] for operation in OPERATIONS}}
        durable.write_file(path, json.dumps(content, indent=1).encode() + b"\n")


def check(root: str, operation: str) -> None:
    """Raise FormatError (``newer-store``) if this program must not perform the operation on the store, StorageError
    (``unreadable``, ``store-damaged``) if that is unknown."""
    path = f"{root}/{FILE}"
    data = presence.read(path, 1 << 16)
    if data is None:
        return  # the store is just being created, or lost its marker: contents verify themselves
    try:
        marker = json.loads(data)
        version, features = marker["regenstore_store"], marker["features"].get(operation, [])
        unknown = set(map(str, features)) - KNOWN[operation]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise StorageError("store-damaged", f"{path} is not a store's format marker") from None
    if not isinstance(version, int) or version > VERSION:
        raise FormatError("newer-store", f"the store {root} has format {version}; {VERSION} is the newest known here")
    if unknown:
        raise FormatError("newer-store", f"the store {root} needs {', '.join(sorted(unknown))} to {operation}")
