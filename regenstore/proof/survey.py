"""The survey: every content of the store, who refers to it, and whether it may be evicted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

from regenstore.objects.content_store import ContentStore
from regenstore.objects.ids import Digest, RecipeKey
from regenstore.objects.result import BlobRecord, Proof
from regenstore.objects.result_cache import ResultCache
from regenstore.proof.environments import Environments
from regenstore.proof.rules import EVICTABLE, Finding

Confirm = Callable[[Sequence[Digest]], Mapping[Digest, int]]
"""Asks remotes now: those of the digests that one of them has just confirmed, with the sizes it has."""


class Standing(IntEnum):
    """How firmly a root holds a referrer."""

    DEAD = 0
    """No root reaches it: only the result cache knows it."""
    SUPERSEDED = 1
    """Only history or reflogs reach it."""
    TIP = 2
    """In the tree of some ref's tip."""
    WORKING = 3
    """In the tree of HEAD or in the index of a worktree, or pending."""


@dataclass(frozen=True)
class Referrer:
    """A recipe whose take a content is, or an imported medium that it is."""

    key: RecipeKey | None
    output: str
    generator: str | None
    version: str
    media_type: str
    digest: Digest
    size: int
    seconds: float | None
    inputs: tuple[Digest, ...]
    standing: Standing
    where: str
    """Who holds it, for people: the repository, or the result cache."""


@dataclass(frozen=True)
class Stored:
    """One content as it was found on disk, before any root was read."""

    digest: Digest
    size: int
    tree: str
    identity: tuple[int, int]
    """(inode, mtime in ns): changes when somebody makes a new referrer of it."""


@dataclass(frozen=True)
class Entry:
    """One content of the store, judged."""

    stored: Stored
    referrers: tuple[Referrer, ...]
    finding: Finding
    standing: Standing
    """The highest of its referrers."""
    own: float | None
    """Seconds to make it again, alone; None where nothing tells: that counts as infinite."""
    closure: float | None
    """Seconds to make it again with every input that is not in the store now; None as above."""
    proof: Proof | None
    recipe_key: RecipeKey | None
    """The key that brings it back."""

    @property
    def evictable(self) -> bool:
        return self.finding.state == EVICTABLE


@dataclass(frozen=True)
class Survey:
    """What the whole store holds, judged at one moment. Evicting everything evictable at once still leaves
    every one of them obtainable."""

    entries: dict[Digest, Entry]
    needed: frozenset[Digest]
    """Everything that any root needs: takes, inputs, and the inputs of what would make missing ones."""
    complete: bool
    """False where somebody who may need something could not be asked: then nothing unreachable may go."""
    problems: tuple[str, ...]


class Holder(Protocol):
    """One repository that relies on the store, as ``refs`` finds it."""

    @property
    def name(self) -> str: ...

    @property
    def reachable(self) -> bool: ...

    @property
    def records(self) -> Mapping[bytes, BlobRecord]: ...

    @property
    def unreadable(self) -> Mapping[bytes, frozenset[Digest]]: ...

    @property
    def missing(self) -> frozenset[bytes]: ...

    @property
    def pending(self) -> Sequence[bytes]: ...

    @property
    def pins(self) -> Set[str]: ...

    def standing(self, oid: bytes) -> int: ...


class Surveyor:
    """Judges every content of a store. ``environments`` and ``holders`` are asked anew for each survey, after
    the store was looked at and after ``held`` (the digests that running processes rely on) was read."""

    def __init__(
        self,
        store: ContentStore,
        cache: ResultCache,
        environments: Callable[[], Environments],
        holders: Callable[[], Iterable[Holder]],
        held: Callable[[], Set[Digest]] = frozenset,
        corrected: Callable[[Proof], bool] = lambda proof: False,
        confirm: Confirm | None = None,
    ) -> None:
        self._store = store
        self._cache = cache
        self._environments = environments
        self._holders = holders
        self._held = held
        self._corrected = corrected
        self._confirm = confirm

    def survey(self) -> Survey:
        """Look at everything. Nothing is deleted, moved or run, except to ask generators for fingerprints."""
        raise NotImplementedError
