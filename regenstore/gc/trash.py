"""The trash: where contents wait between eviction and deletion. Each run of gc has its own folder,
``trash/<run>/<tree>/ab/<62 hex>``; the path records which tree a content came from.

:meth:`Trash.purge` is the only place in regenstore that deletes a content, and it accepts only paths below ``trash/``.
:meth:`Trash.evict` accepts only paths below ``cache/``, so it moves nothing unproven there; what no root needs leaves
the vault through :meth:`Trash.discard` alone, when a user asked for exactly that. Everything here is called under gc's
lock; processes that find a content in the trash bring it back without one.
"""

from __future__ import annotations

import calendar
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass

from regenstore.fs import durable, presence
from regenstore.objects.content_store import CACHE, TRASH, VAULT, ContentStore, bring_back, identity
from regenstore.objects.ids import Digest

_TIME = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True)
class Copy:
    """One file of a content: in a tree, or (with ``run``) in the trash, taken from that tree."""

    digest: Digest
    size: int
    tree: str
    identity: tuple[int, int]
    run: str | None = None


def copies(store: ContentStore) -> Iterator[Copy]:
    """Yield every file of every content, with its identity."""
    for digest, size, tree, found in store.inventory():
        top, _, rest = tree.partition("/")
        if top == TRASH:
            run, _, before = rest.partition("/")
            yield Copy(digest, size, before, found, run)
        else:
            yield Copy(digest, size, tree, found)


def new_run(now: float) -> str:
    """Return a unique name for a run, which begins with its time."""
    return f"{time.strftime(_TIME, time.gmtime(now))}-{int(now % 1 * 1000):03}{os.urandom(4).hex()}"


def age(run: str, now: float) -> float:
    """Return the seconds since a run, by its name; 0 for an unknown form of name or a time in the future."""
    try:
        return max(0.0, now - calendar.timegm(time.strptime(run.partition("-")[0], _TIME)))
    except ValueError:
        return 0.0


class Trash:
    """Moves contents between the trees and the trash."""

    def __init__(self, store: ContentStore) -> None:
        self._store = store

    def prepare(self, run: str, tree: str, digest: Digest) -> None:
        """Make the folder for a content of the run."""
        with durable.storage_errors(self._store.root):
            durable.make_folder(os.path.dirname(self._trashed(run, tree, digest)))

    def evict(self, digest: Digest, run: str) -> tuple[int, int]:
        """Move a content out of ``cache/``; returns its identity. Raises FileNotFoundError if it is not there."""
        return self._take(CACHE, digest, run)

    def discard(self, digest: Digest, run: str) -> tuple[int, int]:
        """Move an unreachable content out of ``vault/``: only what a user was shown and agreed to."""
        return self._take(VAULT, digest, run)

    def put_back(self, digest: Digest, run: str, tree: str, into: str | None = None) -> bool:
        """Bring a content back from the trash, into the tree it came from unless another is given; False if it is no
        longer there."""
        try:
            bring_back(self._trashed(run, tree, digest), self._store.object_path(digest, into or tree))
        except FileNotFoundError:
            return False
        return True

    def move(self, digest: Digest, source: str, target: str) -> None:
        """Move a content from one tree to the other. Raises FileExistsError, and moves nothing, if the target tree has
        it already."""
        assert {source, target} == {CACHE, VAULT}
        path = self._store.object_path(digest, target)
        if presence.lstat(path) is not None:
            raise FileExistsError(path)
        bring_back(self._store.object_path(digest, source), path)

    def share(self, digest: Digest, source: str, target: str) -> None:
        """Give a content a second name in the other tree by a hard link, where the file system can."""
        try:
            durable.link(self._store.object_path(digest, source), self._store.object_path(digest, target))
        except OSError:
            pass  # a process that found the other path will look again

    def purge(self, copy: Copy) -> bool:
        """Delete a content of the trash for good; False if the file was replaced or brought back meanwhile. The caller
        has just made sure that it may go."""
        assert copy.run is not None
        path = self._trashed(copy.run, copy.tree, copy.digest)
        try:
            if identity(path) != copy.identity:
                return False
        except FileNotFoundError:
            return False
        return durable.unlink(path)

    def tidy(self) -> None:
        """Remove empty folders of the trash."""
        top = f"{self._store.root}/{TRASH}"
        for folder, _, _ in os.walk(top, topdown=False):
            durable.remove_folder(folder)

    def _take(self, tree: str, digest: Digest, run: str) -> tuple[int, int]:
        trashed = self._trashed(run, tree, digest)
        durable.rename(self._store.object_path(digest, tree), trashed)
        return identity(trashed)

    def _trashed(self, run: str, tree: str, digest: Digest) -> str:
        assert run and "/" not in run and tree in (CACHE, VAULT)
        return self._store.object_path(digest, f"{TRASH}/{run}/{tree}")
