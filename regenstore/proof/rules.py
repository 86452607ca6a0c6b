"""The rules that decide about a take, and the finding that says which one did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from regenstore.objects.result import Proof

KEPT, EVICTABLE, WANTED = "kept", "evictable", "wanted"
RULES = {
    "proven": "a second run proved that the take comes back here",
    "corrected": "a second run and a small correction proved that the take comes back here, to the byte",
    "confirmed": "a remote has just confirmed that it holds the same bytes",
    "wanted": "the recipe was never run: there is no take to keep",
    "pinned": "it is pinned",
    "held": "a running program relies on it",
    "imported": "it is imported media: no recipe can bring it back",
    "unknown": "no recipe is known for it",
    "generator": "its generator cannot run here",
    "unproven": "no second run was made of its take",
    "lapsed": "its proof is from another environment",
    "different": "the second run gave something else",
    "varies": "its generator gives now these bytes, now others",
    "cost": "nothing tells what it costs to make it again",
    "inputs": "an input is not in the store, and nothing proves that it comes back",
    "needed": "another recipe needs these very bytes, and a second run gave only similar ones",
    "shared": "the same bytes belong to another recipe that keeps them",
    "incomplete": "not every place that may need it could be asked",
}
_STATES = {"proven": EVICTABLE, "corrected": EVICTABLE, "confirmed": EVICTABLE, "wanted": WANTED}


@dataclass(frozen=True)
class Finding:
    """The rule that decides about one take. ``proof`` is the one it looked at: that of this environment,
    else the newest."""

    rule: str
    detail: str = ""
    proof: Proof | None = None
    differs: Mapping[str, tuple[str | None, str | None]] = field(default_factory=dict)
    """What of the environment fingerprint differs from the proof's: name -> (there, here)."""
    holds: bool = False
    """Whether the proof is of this environment."""

    @property
    def state(self) -> str:
        return _STATES.get(self.rule, KEPT)
