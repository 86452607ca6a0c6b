"""The survey as a value: every content of the store, who refers to it, and whether it may be evicted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import IntEnum
from typing import NamedTuple

from regenstore.objects.ids import Digest, RecipeKey
from regenstore.objects.result import Proof
from regenstore.proof.rules import EVICTABLE, Fingerprint, Judgement

Definition = tuple[str, str]
"""A generator's name and contract version: what is proven, and what one probe speaks for."""
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


STANDINGS = {
    Standing.DEAD: "no root reaches it",
    Standing.SUPERSEDED: "only history reaches it",
    Standing.TIP: "at the tip of a ref",
    Standing.WORKING: "in a worktree's index or HEAD, or about to be added",
}


class Referrer(NamedTuple):
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


class StoredContent(NamedTuple):
    """One content as it was found on disk, before any root was read."""

    digest: Digest
    size: int
    tree: str
    identity: tuple[int, int]
    """(inode, mtime in ns): changes when somebody makes a new referrer of it."""


class JudgedContent(NamedTuple):
    """One content of the store, judged."""

    stored: StoredContent
    referrers: tuple[Referrer, ...]
    finding: Judgement
    standing: Standing
    """The highest of its referrers."""
    own: float | None
    """Seconds to make it again, alone, as its proof measured it; None where nothing tells: that counts as
    infinite. Known for everything that a proof lets go."""
    closure: float | None
    """Seconds to make it again with every input that is not in the store now; None as above."""
    proof: Proof | None
    recipe_key: RecipeKey | None
    """The key that brings it back."""

    @property
    def evictable(self) -> bool:
        return self.finding.state == EVICTABLE

    @property
    def makers(self) -> tuple[Referrer, ...]:
        """The recipes that have to bring it back: all that a root holds, else the one that it would be made by."""
        live = tuple(r for r in self.referrers if r.standing > Standing.DEAD)
        return live or tuple(r for r in self.referrers if r.key == self.recipe_key)[:1]


class Survey(NamedTuple):
    """What the whole store holds, judged at one moment. Evicting everything evictable at once still leaves
    every one of them obtainable."""

    entries: dict[Digest, JudgedContent]
    needed: frozenset[Digest]
    """Everything that any root needs: takes, inputs, and the inputs of what would make missing ones."""
    complete: bool
    """False where somebody who may need something could not be asked: then nothing unreachable may go."""
    problems: tuple[str, ...]
    absent: Mapping[Digest, tuple[Digest, ...]] = {}
    """What contents that are not in the store are made from, by their firmest recipes."""
    gone: Mapping[Digest, JudgedContent] = {}
    """What is not in the store and would come back on the way to something that is evictable, judged alike."""
    environments: Mapping[Definition, Fingerprint] = {}
    """The fingerprint, here and now, of each definition that was asked for it and can run."""
