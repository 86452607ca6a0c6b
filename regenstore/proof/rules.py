"""The rules that decide about a take, and the judgement that names the deciding one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

from regenstore.errors import RegenstoreError
from regenstore.objects.ids import Digest
from regenstore.objects.result import LAPSED, UNPINNED, Proof

KEPT, EVICTABLE, WANTED = "kept", "evictable", "wanted"
RULES = {
    "proven": "a second run proved that the take comes back here",
    "corrected": "a second run and a small correction proved that the take comes back here, to the byte",
    "confirmed": "a remote has just confirmed that it holds the same bytes",
    "wanted": "the recipe was never run: there is no take to keep",
    "pinned": "it is pinned",
    "held": "a running program relies on it",
    "damaged": "its file does not have the size that its recipe records",
    "imported": "it is imported media: no recipe can bring it back",
    "unknown": "no recipe is known for it",
    "generator": "its generator cannot run here",
    "unproven": "no second run has proved that its take comes back",
    "lapsed": "its proof was made in another environment, or has lapsed",
    "unpinned": "its generator depends on something that is not pinned and can change at any time",
    "unprobed": "its generator is not built in, and making one of its takes again would exceed regenstore.gcBudget",
    "different": "the second run gave a different output",
    "varies": "its generator gives different bytes from run to run, and not all of them were compared",
    "inputs": "an input is not in the store, and nothing proves that it comes back",
    "needed": "another recipe needs exactly these bytes, and the second run gave only similar ones",
    "shared": "another recipe has the same bytes and keeps them",
    "incomplete": "a repository that may need it could not be read completely",
}
Fingerprint = Mapping[str, str]
Corrected = Callable[[Proof], bool]
"""Whether a correction, tested once, turns the output of a proof's second run back into the take."""
_WEAKNESS = {"bytes": 0, "content": 2, "equivalent": 3}
_STATES = {"proven": EVICTABLE, "corrected": EVICTABLE, "confirmed": EVICTABLE, "wanted": WANTED}


class Judgement(NamedTuple):
    """The rule that decides about a take. ``proof`` is the one considered: that of this environment, else the
    newest."""

    rule: str
    detail: str = ""
    proof: Proof | None = None
    differs: Mapping[str, tuple[str | None, str | None]] = {}
    """The entries in which the environment fingerprint differs from the proof's: name -> (there, here)."""
    holds: bool = False
    """Whether the proof was made in this environment."""
    others: tuple[Digest, ...] = ()
    """Other contents that runs in this environment gave; if there are any, the generator varies."""
    blocked: Digest | None = None
    """The content that the rule is about if it is another one: an input."""

    @property
    def exact(self) -> bool:
        """Whether it comes back byte for byte."""
        return self.rule in ("corrected", "confirmed") or (
            self.rule == "proven" and self.proof is not None and self.proof.exact
        )

    @property
    def reason(self) -> str:
        return self.detail or RULES[self.rule]

    @property
    def state(self) -> str:
        return _STATES.get(self.rule, KEPT)


def own_finding(
    take: Digest,
    proofs: Sequence[Proof],
    runs: Collection[tuple[Fingerprint, Digest]],
    here: Callable[[], Fingerprint],
    corrected: Corrected,
) -> Judgement:
    """Return the rule for the take of a recipe, considering that recipe alone. ``proofs`` are the take's, newest first;
    ``runs`` the content and environment of each recorded run for the same output; ``here`` returns this environment's
    fingerprint, or raises the error that makes the generator unusable."""
    if not proofs and all(given == take for _, given in runs):
        return Judgement("unproven")
    newest = proofs[0] if proofs else None
    try:
        now = here()
    except RegenstoreError as error:
        return Judgement("generator", error.message, newest)
    if UNPINNED in now:
        return Judgement("unpinned", now[UNPINNED], newest)
    valid = [proof for proof in proofs if proof.fingerprint == now]
    compared = {proof.second for proof in valid} | {take}
    given = {digest for fingerprint, digest in runs if fingerprint == now}
    others = tuple(sorted((given | compared) - {take}))
    if newest is None:
        return Judgement("unproven", others=others)
    if not valid:
        names = sorted({*newest.fingerprint, *now} - {LAPSED})
        differs = {name: (newest.fingerprint.get(name), now.get(name)) for name in names}
        changed = {name: pair for name, pair in differs.items() if pair[0] != pair[1]}
        return Judgement("lapsed", newest.fingerprint.get(LAPSED, ""), newest, changed, others=others)
    weakness, proof = max(((weakness_of(proof, corrected), proof) for proof in valid), key=lambda pair: pair[0])
    if weakness > max(_WEAKNESS.values()):
        rule = "different"
    elif given - compared:
        rule = "varies"
    else:
        rule = "corrected" if weakness == 1 else "proven"
    return Judgement(rule, proof=proof, holds=True, others=others)


def weakness_of(proof: Proof, corrected: Corrected) -> int:
    """Return how far the second run's output is from the take: bytes < corrected < content < equivalent < other."""
    if proof.second != proof.take and corrected(proof):
        return 1
    return _WEAKNESS.get(proof.tier, len(_WEAKNESS) + 1)
