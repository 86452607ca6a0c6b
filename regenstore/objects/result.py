"""Results: what one run of a recipe gave."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from regenstore.objects.ids import Digest, RecipeKey
from regenstore.objects.recipe import Take

LAPSED = "lapsed"
"""The entry in a proof's fingerprint that says why it holds nowhere any more."""
UNPINNED = "unpinned"
"""The entry in an environment's fingerprint that says what of it can become another one unnoticed: no proof that was
made there lets anything go."""


class Content(NamedTuple):
    """One named output of a run."""

    digest: Digest
    size: int
    media_type: str

    @property
    def take(self) -> Take:
        return Take(self.digest, self.size)


class Result(NamedTuple):
    """The named outputs of one run of a key, with provenance and cost. A key may have several."""

    key: RecipeKey
    outputs: Mapping[str, Content]
    seconds: float
    created: float
    """Seconds since the epoch."""
    fingerprint: Mapping[str, str] = {}
    """What of the machine and its software could change the bytes."""

    @property
    def digests(self) -> set[Digest]:
        """Of all its outputs."""
        return {content.digest for content in self.outputs.values()}


class KnownOutput(NamedTuple):
    """A content that some recipe is known to have made."""

    key: RecipeKey
    name: str
    media_type: str
    seconds: float
    recipe: bytes
    """The recipe text last used for the key."""


class Proof(NamedTuple):
    """What a second run of a recipe gave, beside its take, and in which environment."""

    key: RecipeKey
    take: Digest
    second: Digest
    """What the second run gave; the take itself where the bytes are equal."""
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
        """Of a run that gave the very take."""
        return cls(key, take, take, "bytes", "", None, None, seconds, created, fingerprint)

    @property
    def exact(self) -> bool:
        """Whether the second run gave the very take."""
        return self.tier == "bytes"

    @property
    def proves(self) -> bool:
        """Whether the take comes back, as it is or as good as."""
        return self.tier != "different"


class MadeOutput(NamedTuple):
    """One output of one recorded run, with what of its recipe and its run tells how it comes back."""

    key: RecipeKey
    name: str
    content: Content
    seconds: float
    generator: str
    version: str
    fingerprint: Mapping[str, str]


class BlobRecord(NamedTuple):
    """What a recipe blob in Git says, kept for ever because blobs never change. (A tuple, because there are
    tens of thousands.)"""

    oid: bytes
    key: RecipeKey | None
    digest: Digest | None
    size: int
    output: str
    """Name of the output that the path holds."""
    inputs: tuple[Digest, ...] = ()
    """What the recipe's inputs are pinned to."""
    generator: str | None = None
    """None for imported media."""
    version: str = ""
    media_type: str = ""
    seconds: float | None = None
    """What the take cost to make, if the blob says so."""
    outdated: Digest | None = None
    """What the blob names although other parameters gave it; then ``digest`` is None, and ``size`` is its size."""
    sure: bool = False
    """Whether the blob says which key gave what it names; if not, only results that are recorded tell."""

    @property
    def named(self) -> Digest | None:
        """The content that the blob names, whether its parameters gave it or others."""
        return self.digest or self.outdated
