"""Whether anything waits in a store's outbox: every command checks this at its end, so nothing heavy is imported."""

from __future__ import annotations

from regenstore.fs import presence

FOLDER = "events"
READY, PREPARED = ".json", ".prepared"


def nothing_waits(root: str) -> bool:
    """List one folder. Raises StorageError (``unreadable``)."""
    return not any(name.endswith((READY, PREPARED)) for name in presence.names(f"{root}/{FOLDER}"))
