"""The stores of other repositories on this machine as a place to bring contents from: a local clone has its media from
its origin, by reflink where the file system can."""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterable, Mapping
from functools import cached_property

from regenstore.errors import NotFound, RegenstoreError
from regenstore.objects.content_store import ContentStore
from regenstore.objects.ids import Digest
from regenstore.refs.git import Git
from regenstore.refs.nearby_stores import nearby_stores
from regenstore.remotes.remote import Told, Transfer

_RATE = 500e6
"""Bytes per second that are assumed for copying."""


class Nearby:
    """The contents of other stores on this machine. Every copy is hashed; nothing is written there."""

    name = "this machine"

    def __init__(self, git: Git, store: ContentStore) -> None:
        self._git = git
        self._store = store

    @cached_property
    def _stores(self) -> list[ContentStore]:
        try:
            return [ContentStore(root) for root in nearby_stores(self._git) if root != self._store.root]
        except RegenstoreError:
            return []  # an optional source: callers have others

    def __bool__(self) -> bool:
        return bool(self._stores)

    def having(self, digests: Collection[Digest]) -> Mapping[Digest, int]:
        """The contents that one of the stores has, with their sizes."""
        found = {}
        for digest in digests if self._stores else ():
            for store in self._stores:
                try:
                    size = store.size(digest)
                except (RegenstoreError, OSError):
                    continue  # it cannot be read
                if size is not None:
                    found[digest] = size
                    break
        return found

    def estimate(self, sizes: Collection[int]) -> float:
        """Estimated seconds to bring contents of these sizes."""
        return sum(sizes) / _RATE

    def bring(self, contents: Iterable[tuple[Digest, int | None]], told: Told) -> Generator[Transfer, None, None]:
        """Copy contents into the store; yields the outcome of each."""
        self._store.prepare()
        try:
            for digest, size in contents:
                yield self._bring(digest, size, told)
        finally:
            self._store.settle()  # one sync for all; the other stores still have what a power cut destroys before

    def _bring(self, digest: Digest, size: int | None, told: Told) -> Transfer:
        if self._store.use(digest, size) is not None:
            return Transfer(digest, size or 0, already=True)
        error: RegenstoreError = NotFound("content-missing", "no other store on this machine has it any more")
        for store in self._stores:
            try:
                if (path := store.stored(digest, size)) is not None:
                    done = self._store.put_copy(path, digest, wait=False)
                    told(digest, done)
                    return Transfer(digest, done)
            except RegenstoreError as found:
                error = found
        return Transfer(digest, 0, error=error)
