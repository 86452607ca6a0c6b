"""The backend interface: what a remote must provide, which is to keep objects under names and no more.

Names are relative paths of lower-case words, digits, ``.``, ``-`` and ``/`` (:mod:`regenstore.remotes.layout`). An
object is either complete or absent, as far as the server can guarantee that; readers do not rely on it, since
everything they read is checked against its digest. Conditional writes are not relied on either: most servers silently
ignore the condition.

All methods may be called from several threads. They raise

* StorageError ``remote-unreachable`` for failures that may pass (no connection, a time-out, a broken connection,
  HTTP status 500 to 599 except 501, 505 and 507, and 408, 423, 425, 429),
* StorageError ``remote-refused`` for missing or insufficient credentials,
* StorageError ``remote-failed`` for anything else that the server cannot do,
* :class:`Absent` if there is no object of that name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from regenstore.errors import StorageError

Told = Callable[[int], None]
"""Progress callback: the number of further bytes moved; negative when a transfer starts over."""
Credentials = Callable[[str], tuple[str, str] | None]
"""Looks up user and password for an address, when the server asks for them. None: there are none."""


class Busy(StorageError):
    """A server's error that says when to ask again."""

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__("remote-unreachable", message)
        self.retry_after = retry_after
        """Seconds to wait before asking again."""


def error_of(status: int, message: str, retry_after: float = 0.0) -> StorageError:
    """The error for an HTTP status. ``retry_after``: seconds to wait, if the server gives them."""
    if status in (401, 403, 407):
        return StorageError("remote-refused", message)
    if status in (408, 423, 425, 429) or (500 <= status < 600 and status not in (501, 505, 507)):
        return Busy(message, retry_after) if retry_after else StorageError("remote-unreachable", message)
    return StorageError("remote-failed", message)


class NoPlace(StorageError):
    """The folder in the remote's address does not exist."""

    def __init__(self, message: str) -> None:
        super().__init__("remote-failed", message, hint="Create it on the server, or add the remote with --create.")


class Absent(Exception):
    """Raised if there is no object of that name."""


@dataclass(frozen=True)
class Head:
    """Metadata of an object on a remote."""

    size: int
    tag: str
    """Changes whenever the object is written again, even with the same bytes: an ETag, or times and inode. Empty if
    the server has nothing of the kind."""
    modified: float | None = None
    """Time of writing in seconds since the epoch, by the remote's clock; None if the server does not report it."""


def read_small(backend: Backend, name: str, most: int) -> bytes:
    """Read a small object whole. Raises :class:`Absent`, and StorageError (``remote-failed``) if it is longer than
    ``most`` bytes."""
    data = bytearray()
    for block in backend.read(name):
        data += block
        if len(data) > most:
            raise StorageError("remote-failed", f"{backend.url}: {name} is longer than {most} bytes")
    return bytes(data)


class Backend(Protocol):
    """A place that stores objects."""

    url: str
    """Identifies the place and is shown to people; contains no credentials."""

    @property
    def lists(self) -> bool:
        """Whether :meth:`names` works. May contact the server, and raises accordingly."""

    def head(self, name: str) -> Head | None:
        """Metadata of an object; None if there is no object of that name."""

    def read(self, name: str, start: int = 0) -> Iterator[bytes]:
        """Yield blocks of an object's bytes from ``start`` on; nothing if ``start`` is its size.

        May end too early if the connection breaks unnoticed: callers must count. Raises :class:`Absent`.
        """

    def write_file(self, name: str, path: str, told: Told) -> None:
        """Store a file's bytes under a name, replacing any object there."""

    def write(self, name: str, data: bytes) -> None:
        """Store a small object under a name; durable on return."""

    def settle(self, *, everything: bool = False) -> None:
        """Make objects of :meth:`write_file` durable, on servers that do not do so themselves. Only after this may
        their presence be reported. ``everything``: include objects that others wrote."""

    def names(self, prefix: str) -> Iterator[tuple[str, Head]]:
        """Yield all objects whose names begin with ``prefix``, which ends in ``/``, in no particular order."""

    def delete(self, name: str) -> None:
        """Delete an object; does nothing if it is absent. Only a remote's own gc calls this."""

    def close(self) -> None:
        """Close connections; the backend can be used again afterwards."""
