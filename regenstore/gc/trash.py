"""The trash: where contents wait between being taken and being deleted. Each run of gc has a folder of its own,
``trash/<run>/<tree>/ab/<62 hex>``; which tree a content came from stays in its path.

:meth:`Trash.purge` is the only place in regenstore that deletes a content, and it takes nothing but paths below
``trash/``. :meth:`Trash.evict` takes nothing but paths below ``cache/``, so nothing that is not proven gets there by
it; what no root needs leaves the vault by :meth:`Trash.discard` alone, when a user asked for just that.
Everything here is called under gc's lock; processes that find a content in the trash take it back without one.
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
    """One file of a content: in a tree, or (``run`` given) in the trash, having come from that tree."""

    digest: Digest
    size: int
    tree: str
    identity: tuple[int, int]
    run: str | None = None


def copies(store: ContentStore) -> Iterator[Copy]:
    """Every file of every content, with what tells it from a later one."""
    for digest, size, tree, found in store.inventory():
        top, _, rest = tree.partition("/")
        if top == TRASH:
            run, _, before = rest.partition("/")
            yield Copy(digest, size, before, found, run)
        else:
            yield Copy(digest, size, tree, found)


def new_run(now: float) -> str:
    """A name for a run: its time for people, and something that makes it the only one."""
    return f"{time.strftime(_TIME, time.gmtime(now))}-{int(now % 1 * 1000):03}{os.urandom(4).hex()}"


def age(run: str, now: float) -> float:
    """Seconds since a run, by its name; 0 for a name from elsewhere or from the future."""
    try:
        return max(0.0, now - calendar.timegm(time.strptime(run.partition("-")[0], _TIME)))
    except ValueError:
        return 0.0


class Trash:
    """Moves contents between the trees and the trash."""

    def __init__(self, store: ContentStore) -> None:
        self._store = store

    def prepare(self, run: str, tree: str, digest: Digest) -> None:
        """Make the folder that a content of the run will lie in."""
        with durable.storage_errors(self._store.root):
            durable.make_folder(os.path.dirname(self._trashed(run, tree, digest)))

    def evict(self, digest: Digest, run: str) -> tuple[int, int]:
        """Take a content out of ``cache/``; gives its identity. Raises FileNotFoundError when it is not there."""
        return self._take(CACHE, digest, run)

    def discard(self, digest: Digest, run: str) -> tuple[int, int]:
        """Take what nothing needs out of ``vault/``: only for what a user was shown and agreed to."""
        return self._take(VAULT, digest, run)

    def put_back(self, digest: Digest, run: str, tree: str, into: str | None = None) -> bool:
        """Take a content back from the trash, into the tree it came from unless another is given; False when it
        is not there any more."""
        try:
            bring_back(self._trashed(run, tree, digest), self._store.object_path(digest, into or tree))
        except FileNotFoundError:
            return False
        return True

    def move(self, digest: Digest, source: str, target: str) -> None:
        """Move a content from one tree to the other. What is in the target tree already stays there: then the
        other copy goes nowhere, and FileExistsError is raised."""
        assert {source, target} == {CACHE, VAULT}
        path = self._store.object_path(digest, target)
        if presence.lstat(path) is not None:
            raise FileExistsError(path)
        bring_back(self._store.object_path(digest, source), path)

    def share(self, digest: Digest, source: str, target: str) -> None:
        """Let a content be in both trees, as one file with two names, where the file system can do that."""
        try:
            durable.link(self._store.object_path(digest, source), self._store.object_path(digest, target))
        except OSError:
            pass  # whoever found the other path looks again

    def purge(self, copy: Copy) -> bool:
        """Delete a content of the trash for good; False when it is another file by now, or was taken back.
        Whoever calls this has just made sure that it may go."""
        assert copy.run is not None
        path = self._trashed(copy.run, copy.tree, copy.digest)
        try:
            if identity(path) != copy.identity:
                return False
        except FileNotFoundError:
            return False
        return durable.unlink(path)

    def tidy(self) -> None:
        """Remove folders of the trash that are empty."""
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
