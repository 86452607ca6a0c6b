"""Compares the output of a second run with the take, for everything that makes second runs."""

from __future__ import annotations

from regenstore.errors import NotFound
from regenstore.media.likeness import BYTES, Likeness
from regenstore.objects.content_store import ContentStore
from regenstore.objects.result import Proof
from regenstore.objects.results.cache import ResultCache
from regenstore.planning import Outcome
from regenstore.realise import Realiser


def compare_run(
    realiser: Realiser, store: ContentStore, cache: ResultCache, outcome: Outcome, now: float
) -> tuple[Proof, Likeness]:
    """Compare a successful outcome with its recipe's take, and record and return the proof. Raises NotFound
    (``content-missing``) if the bytes differ and the take is not in the store to compare with."""
    recipe, content = outcome.want.recipe, outcome.content
    take = recipe.output.take
    assert content is not None and take is not None and recipe.key is not None
    seconds = float(outcome.seconds or 0.0)
    if content.digest == take.digest:  # the run itself was recorded as a proof
        return Proof.again(recipe.key, take.digest, seconds, now, outcome.fingerprint), Likeness(BYTES)
    files = realiser.restore(take.digest), store.use(content.digest, content.size)
    if files[0] is None or files[1] is None:
        raise NotFound("content-missing", "the second run gave other bytes, and the take is not here to compare")
    from regenstore.media.comparison import compare

    likeness = compare(files[0], files[1], recipe.output.media_type)
    verdict = (likeness.tier, likeness.metric, likeness.score, likeness.threshold)
    proof = Proof(recipe.key, take.digest, content.digest, *verdict, seconds, now, outcome.fingerprint)
    cache.add_proof(proof)
    return proof, likeness
