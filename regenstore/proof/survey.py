"""The survey as a value: every content of the store, its referrers, and whether it may be evicted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import IntEnum
from typing import NamedTuple

from regenstore.objects.ids import Digest, RecipeKey
from regenstore.objects.result import Proof
from regenstore.proof.rules import EVICTABLE, Fingerprint, Judgement

Definition = tuple[str, str]
"""A generator's name and contract version: the unit that proofs and probes are about."""
Confirm = Callable[[Sequence[Digest]], Mapping[Digest, int]]
"""Asks remotes now: returns the digests that one of them has just confirmed, with their sizes there."""


class Standing(IntEnum):
    """How firmly a root holds a referrer."""

    DEAD = 0
    """Reached by no root: only the result cache knows it."""
    SUPERSEDED = 1
    """Reached only by history or reflogs."""
    TIP = 2
    """In the tree of a ref's tip."""
    WORKING = 3
    """In the tree of HEAD, in a worktree's index, or pending."""


STANDINGS = {
    Standing.DEAD: "no root reaches it",
    Standing.SUPERSEDED: "only history reaches it",
    Standing.TIP: "at the tip of a ref",
    Standing.WORKING: "in a worktree's index or HEAD, or about to be added",
}


class Referrer(NamedTuple):
    """A recipe with this content as its take, or the imported medium that the content is."""

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
    """Its holder, for messages: the repository, or the result cache."""


class StoredContent(NamedTuple):
    """A content as found on disk, before any root was read."""

    digest: Digest
    size: int
    tree: str
    identity: tuple[int, int]
    """(inode, mtime in ns): changes whenever a new referrer claims it."""


class JudgedContent(NamedTuple):
    """One content of the store, judged."""

    stored: StoredContent
    referrers: tuple[Referrer, ...]
    finding: Judgement
    standing: Standing
    """The highest standing of its referrers."""
    own: float | None
    """Seconds to make it again, given its inputs, as its proof measured it; None if unknown, which counts as
    infinite. Known for everything that a proof permits to evict."""
    closure: float | None
    """Seconds to make it again with every input that is not in the store now; None if unknown."""
    proof: Proof | None
    recipe_key: RecipeKey | None
    """The key that brings it back."""

    @property
    def evictable(self) -> bool:
        return self.finding.state == EVICTABLE

    @property
    def makers(self) -> tuple[Referrer, ...]:
        """The recipes that have to bring it back: all that a root holds, else the one that would be run."""
        live = tuple(r for r in self.referrers if r.standing > Standing.DEAD)
        return live or tuple(r for r in self.referrers if r.key == self.recipe_key)[:1]


class Survey(NamedTuple):
    """All contents of a store, judged at one moment. If everything evictable is evicted at once, all of it can still
    be obtained."""

    entries: dict[Digest, JudgedContent]
    needed: frozenset[Digest]
    """Everything that any root needs: takes, inputs, and the inputs of recipes that would make missing ones."""
    complete: bool
    """False if a repository that may need something could not be asked: nothing unreachable may be removed then."""
    problems: tuple[str, ...]
    absent: Mapping[Digest, tuple[Digest, ...]] = {}
    """The inputs of contents that are not in the store, by their firmest recipes."""
    gone: Mapping[Digest, JudgedContent] = {}
    """Contents that are not in the store but would be made to bring back something evictable, judged by the same
    rules."""
    environments: Mapping[Definition, Fingerprint] = {}
    """The current fingerprint of each definition that was asked for it and can run."""
