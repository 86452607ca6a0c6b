"""What fsck looks at and works with: the store and the repository, and what makes or brings contents."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from regenstore.doctor.fsck_plan import Invalid
from regenstore.generators.registry import Registry
from regenstore.jobs.local import LocalExecutor
from regenstore.objects.content_store import ContentStore
from regenstore.objects.results.cache import ResultCache
from regenstore.proof.environments import Environments
from regenstore.proof.rules import Corrected
from regenstore.realise import Realiser
from regenstore.refs.git import Git
from regenstore.refs.pending import Pending
from regenstore.refs.recipes import RecipeFinder
from regenstore.refs.roots import Roots
from regenstore.refs.store_repositories import Holder, Holders
from regenstore.remotes.remote_set import RemoteSet
from regenstore.worktree.location import Location


@dataclass(frozen=True)
class Scope:
    """How far a check goes."""

    quick: bool = False
    """Take the names of stored files at their word."""
    worktree_only: bool = False
    """Only the recipes of this worktree's index and HEAD."""
    regenerate: bool = False
    """Run also what only other branches and history record, and nothing proved to come back."""
    remember: bool = False
    """Keep what recipe blobs say for the next time."""


@dataclass(frozen=True)
class FsckContext:
    """The parts of the repository at hand."""

    store: ContentStore
    location: Location
    oid_size: int
    git: Git
    roots: Roots
    pending: Pending
    finder: RecipeFinder
    registry: Registry
    executor: LocalExecutor
    corrected: Corrected
    judge: Callable[[Mapping[bytes, bytes]], Iterable[Invalid]]
    """Says what is wrong with blobs at paths."""
    cache: Callable[[], ResultCache]
    """The result database; asked only when it is sound."""
    elsewhere: Callable[[], RemoteSet | None]
    """The remotes, asked for what is missing and cannot be made."""
    clock: Callable[[], float] = time.time

    def holders(self, cache: ResultCache, *, keep: bool) -> Iterable[Holder]:
        """All that rely on the store, the repository at hand first."""
        return Holders(self.roots, cache, self.store.root, keep=keep).holders()

    def environments(self) -> Environments:
        return Environments(self.registry, self.executor)

    def realiser(self, store: ContentStore, cache: ResultCache) -> Realiser:
        """What makes contents of a store, known by a database."""
        return Realiser(store, cache, self.registry, self.executor, self.finder.find, remotes=self.elsewhere)
