"""Limits on listings: a server's may never end, repeat itself, or have folders inside of folders for ever."""

from __future__ import annotations

from collections.abc import Iterable

from regenstore.errors import StorageError
from regenstore.remotes.backends.contract import Head

MOST = 4_000_000
"""Objects that one listing may name."""
FOLDERS = 20_000
DEEPEST = 6
"""Folders inside of each other that are looked into: names of ours have fewer."""
_REPEATS = 1000
"""Names that come twice may be objects that are being replaced; so many are a listing that goes round."""


class Descent:
    """The folders that a listing still has to look into, by path. Raises StorageError (``remote-failed``) for more
    than a remote of ours has."""

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
        """Some that are next; none when all were looked into."""
        taken, self.todo = self.todo[-most:], self.todo[:-most]
        return taken


def whole(url: str, prefix: str, entries: Iterable[tuple[str, Head]]) -> dict[str, Head]:
    """All of a listing. Raises StorageError (``remote-failed``) where it goes round or is too long."""
    found: dict[str, Head] = {}
    repeats = 0
    for name, head in entries:
        repeats += name in found
        found[name] = head
        if repeats > _REPEATS or len(found) > MOST:
            raise endless(url, prefix)
    return found


def endless(url: str, folder: str = "") -> StorageError:
    """The error for a listing that does not come to an end."""
    return StorageError("remote-failed", f"{url}: the listing of {folder or 'it'} does not come to an end")
