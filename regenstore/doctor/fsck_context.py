"""What fsck works with: the store, the repository, and ways to make or fetch contents."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
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
from regenstore.worktree.place import Placement, PlaceReport


@dataclass(frozen=True)
class Scope:
    """The extent of a check."""

    quick: bool = False
    """Trust the names of stored files."""
    worktree_only: bool = False
    """Check only the recipes of this worktree's index and HEAD."""
    regenerate: bool = False
    """Also run recipes that only other branches and history record, and that no proof covers."""
    remember: bool = False
    """Cache the content of recipe blobs for the next time."""


@dataclass(frozen=True)
class FsckContext:
    """The parts of the repository."""

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
    """Reports what is wrong with blobs at paths."""
    cache: Callable[[], ResultCache]
    """Opens the result database; called only if it is intact."""
    elsewhere: Callable[[], RemoteSet | None]
    """The remotes, used for missing contents that cannot be made."""
    place: Callable[[Sequence[Placement]], PlaceReport]
    """Replaces files of the worktree."""
    clock: Callable[[], float] = time.time

    def holders(self, cache: ResultCache, *, keep: bool) -> Iterable[Holder]:
        """All holders of the store, this repository first."""
        return Holders(self.roots, cache, self.store.root, keep=keep).holders()

    def environments(self) -> Environments:
        return Environments(self.registry, self.executor)

    def realiser(self, store: ContentStore, cache: ResultCache) -> Realiser:
        """Makes contents for a store, using a result database."""
        return Realiser(store, cache, self.registry, self.executor, self.finder.find, remotes=self.elsewhere)
