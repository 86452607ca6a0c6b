"""Limits on listings, as a server's may be endless, repeat itself, or nest folders without end."""

from __future__ import annotations

from collections.abc import Iterable

from regenstore.errors import StorageError
from regenstore.remotes.backends.contract import Head

MOST = 4_000_000
"""Largest number of objects in a listing."""
FOLDERS = 20_000
DEEPEST = 6
"""Depth to which folders are listed; regenstore's names have fewer levels."""
_REPEATS = 1000
"""Repeated names that are tolerated, as objects may be replaced meanwhile; more mean that the listing loops."""


class Descent:
    """The folders that are still to be listed, by path. Raises StorageError (``remote-failed``) for more folders
    than a remote can have."""

    def __init__(self, url: str, prefix: str) -> None:
        self._url = url
        self._count = 0
        self.todo = [prefix.rstrip("/")]

    def add(self, folder: str) -> None:
        if folder.count("/") > DEEPEST:
            return
        self._count += 1
        if self._count > FOLDERS:
            raise StorageError("remote-failed", f"{self._url}: its listing has more than {FOLDERS} folders")
        self.todo.append(folder)

    def take(self, most: int = 1) -> list[str]:
        """Take some of the next folders; empty once all have been listed."""
        taken, self.todo = self.todo[-most:], self.todo[:-most]
        return taken


def whole(url: str, prefix: str, entries: Iterable[tuple[str, Head]]) -> dict[str, Head]:
    """Collect a whole listing. Raises StorageError (``remote-failed``) if it loops or is too long."""
    found: dict[str, Head] = {}
    repeats = 0
    for name, head in entries:
        repeats += name in found
        found[name] = head
        if repeats > _REPEATS or len(found) > MOST:
            raise endless(url, prefix)
    return found


def endless(url: str, folder: str = "") -> StorageError:
    """The error for a listing that does not end."""
    return StorageError("remote-failed", f"{url}: the listing of {folder or 'its objects'} does not end")
