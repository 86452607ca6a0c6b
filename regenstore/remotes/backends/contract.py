"""What a remote has to be able to do: keep objects under names, and no more.

Names are relative paths of lower-case words, digits, ``.``, ``-`` and ``/`` (:mod:`regenstore.remotes.layout`).
An object is there whole or not at all, as far as the server can do that; nobody who reads relies on it, since
everything that comes back is checked against its digest. Nothing relies on conditional writes either: most
servers ignore the condition and say nothing.

All methods may be called from several threads. They raise

* StorageError ``remote-unreachable`` for what may work when it is tried again (no connection, a time-out, a
  connection that broke off, the server's own errors 500 to 599 except 501, 505 and 507, and 408, 423, 425, 429),
* StorageError ``remote-refused`` where credentials are missing or not enough,
* StorageError ``remote-failed`` for anything else that the server cannot do,
* :class:`Absent` where there is no object of that name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from regenstore.errors import StorageError

Told = Callable[[int], None]
"""Told how many more bytes were moved; fewer than none where it begins anew."""
Credentials = Callable[[str], tuple[str, str] | None]
"""Asks for user and password of an address, where the server wants them; None: there are none."""


class Busy(StorageError):
    """A server that says when to ask again."""

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__("remote-unreachable", message)
        self.retry_after = retry_after
        """In so many seconds."""


def error_of(status: int, message: str, retry_after: float = 0.0) -> StorageError:
    """The error that a status of HTTP is. ``retry_after``: what the server says of when to ask again."""
    if status in (401, 403, 407):
        return StorageError("remote-refused", message)
    if status in (408, 423, 425, 429) or (500 <= status < 600 and status not in (501, 505, 507)):
        return Busy(message, retry_after) if retry_after else StorageError("remote-unreachable", message)
    return StorageError("remote-failed", message)


class NoPlace(StorageError):
    """The folder of the address itself is not there."""

    def __init__(self, message: str) -> None:
        super().__init__("remote-failed", message, hint="Make it there, or add the remote with --create.")


class Absent(Exception):
    """There is no object of that name."""


@dataclass(frozen=True)
class Head:
    """What a remote tells of an object without giving it."""

    size: int
    tag: str
    """Another one when the object is written again, whatever its bytes: an ETag, or times and inode. Empty where
    the server tells nothing of the kind."""
    modified: float | None = None
    """When it was written, in seconds since the epoch by the remote's own clock; None where it does not say."""


def read_small(backend: Backend, name: str, most: int) -> bytes:
    """All of a small object. Raises :class:`Absent`, and StorageError (``remote-failed``) where it has more bytes than
    any of its kind."""
    data = bytearray()
    for block in backend.read(name):
        data += block
        if len(data) > most:
            raise StorageError("remote-failed", f"{backend.url}: {name} is longer than {most} bytes")
    return bytes(data)


class Backend(Protocol):
    """One place with objects."""

    url: str
    """For people, and as the place's identity; without credentials."""

    @property
    def lists(self) -> bool:
        """Whether :meth:`names` works. May ask the place, and raises what that raises."""

    def head(self, name: str) -> Head | None:
        """What there is under a name; None for nothing."""

    def read(self, name: str, start: int = 0) -> Iterator[bytes]:
        """The bytes from ``start`` on, in blocks; nothing when ``start`` is the size. The iterator may end too
        early where a connection breaks off unnoticed: the reader counts. Raises :class:`Absent`."""

    def write_file(self, name: str, path: str, told: Told) -> None:
        """Put a file's bytes under a name, in the place of what was there."""

    def write(self, name: str, data: bytes) -> None:
        """Put a small object; durable on return."""

    def settle(self, *, everything: bool = False) -> None:
        """Make durable what :meth:`write_file` put, where a server does not do so by itself: only then may anybody be
        told that it is there. ``everything``: also what others put."""

    def names(self, prefix: str) -> Iterator[tuple[str, Head]]:
        """All objects whose name begins with a prefix that ends in ``/``, in no order."""

    def delete(self, name: str) -> None:
        """Remove an object; nothing happens where there is none. Only a remote's own gc does this."""

    def close(self) -> None:
        """Close connections; the backend can be used again."""
