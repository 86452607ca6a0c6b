"""Results: what a run of a recipe gave."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from regenstore.objects.ids import Digest, RecipeKey
from regenstore.objects.recipe import Take

LAPSED = "lapsed"
"""The entry in a proof's fingerprint that says why the proof no longer holds anywhere."""
UNPINNED = "unpinned"
"""The entry in an environment's fingerprint that says what in it can change unnoticed: no proof made there allows
an eviction."""


class Content(NamedTuple):
    """One named output of a run."""

    digest: Digest
    size: int
    media_type: str

    @property
    def take(self) -> Take:
        return Take(self.digest, self.size)


class Result(NamedTuple):
    """The named outputs of one run of a recipe, with provenance and cost. A key may have several results."""

    key: RecipeKey
    outputs: Mapping[str, Content]
    seconds: float
    created: float
    """Seconds since the epoch."""
    fingerprint: Mapping[str, str] = {}
    """What could change the bytes about the machine and its software."""

    @property
    def digests(self) -> set[Digest]:
        """The digests of all outputs."""
        return {content.digest for content in self.outputs.values()}


class KnownOutput(NamedTuple):
    """A content that a recipe is known to have made."""

    key: RecipeKey
    name: str
    media_type: str
    seconds: float
    recipe: bytes
    """The recipe text last used with the key."""


class Proof(NamedTuple):
    """What a second run of a recipe gave compared with its take, and in which environment."""

    key: RecipeKey
    take: Digest
    second: Digest
    """What the second run gave; the take itself if the bytes are equal."""
    tier: str
    """``bytes``, ``content``, ``equivalent`` or ``different``."""
    metric: str
    score: float | None
    threshold: float | None
    seconds: float
    created: float
    """Seconds since the epoch."""
    fingerprint: Mapping[str, str]

    @classmethod
    def again(
        cls, key: RecipeKey, take: Digest, seconds: float, created: float, fingerprint: Mapping[str, str]
    ) -> Proof:
        """Return the proof of a run that gave exactly the take."""
        return cls(key, take, take, "bytes", "", None, None, seconds, created, fingerprint)

    @property
    def exact(self) -> bool:
        """Whether the second run gave exactly the take."""
        return self.tier == "bytes"

    @property
    def proves(self) -> bool:
        """Whether the take comes back, exactly or close enough."""
        return self.tier != "different"


class MadeOutput(NamedTuple):
    """One output of a recorded run, with the details that decide how it can be made again."""

    key: RecipeKey
    name: str
    content: Content
    seconds: float
    generator: str
    version: str
    fingerprint: Mapping[str, str]


class BlobRecord(NamedTuple):
    """What a recipe blob in Git says; cached forever, since blobs never change. (A tuple, because there are tens of
    thousands.)"""

    oid: bytes
    key: RecipeKey | None
    digest: Digest | None
    size: int
    output: str
    """The name of the output that the path holds."""
    inputs: tuple[Digest, ...] = ()
    """The digests that the recipe's inputs are pinned to."""
    generator: str | None = None
    """None for imported media."""
    version: str = ""
    media_type: str = ""
    seconds: float | None = None
    """How long the take took to make, if the blob says so."""
    outdated: Digest | None = None
    """The content that the blob names although other parameters gave it; ``digest`` is None then, and ``size`` is its
    size."""
    sure: bool = False
    """Whether the blob says which key gave the content that it names; otherwise only recorded results can tell."""
    captured: str = ""
    """How much the medium's metadata told, if the recipe was captured from them: ``graph``, ``parameters``, ``prompt``
    or ``provenance``."""

    @property
    def named(self) -> Digest | None:
        """The content that the blob names, whether its parameters or others gave it."""
        return self.digest or self.outdated
