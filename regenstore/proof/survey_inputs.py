"""The facts that a survey rests on: store, roots and result cache, read in the order that makes eviction safe."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Set
from dataclasses import dataclass, field

from regenstore.fs import durable
from regenstore.objects import toml
from regenstore.objects.content_store import VAULT, ContentStore
from regenstore.objects.ids import Digest, RecipeKey
from regenstore.objects.mismatched_takes import judged_blobs
from regenstore.objects.result import BlobRecord, MadeOutput, Proof
from regenstore.objects.results.cache import ResultCache
from regenstore.proof.rules import Fingerprint
from regenstore.proof.survey import Referrer, Standing, StoredContent
from regenstore.refs.blobs import blob_record, mentioned
from regenstore.refs.store_repositories import Holder

RESULT_CACHE = "result cache"
Made = tuple[RecipeKey, str, Digest]


@dataclass
class ProofFacts:
    """Everything known before it is judged."""

    stored: dict[Digest, StoredContent]
    held: Set[Digest] = frozenset()
    """The contents that running processes rely on."""
    referrers: dict[Digest, list[Referrer]] = field(default_factory=dict)
    """By content, in the store or not; those that a root holds most firmly first."""
    inputs: set[Digest] = field(default_factory=set)
    """The inputs of all live recipes, including those without a take."""
    mentioned: set[Digest] = field(default_factory=set)
    """Digests in live recipes that cannot be read here, or whose parameters have changed."""
    pins: set[str] = field(default_factory=set)
    proofs: dict[tuple[RecipeKey, Digest], list[Proof]] = field(default_factory=dict)
    runs: dict[tuple[RecipeKey, str], list[tuple[Fingerprint, Digest]]] = field(default_factory=dict)
    """The content and environment of each recorded run, by output."""
    cost: dict[RecipeKey, float] = field(default_factory=dict)
    """The seconds that the last known run of a key took."""
    typical: dict[tuple[str, str], float] = field(default_factory=dict)
    """The seconds that a run of a generator usually takes."""
    unknown: list[str] = field(default_factory=list)
    """Holders whose needs are unknown."""
    partial: list[str] = field(default_factory=list)
    """Holders that lack some of their objects."""

    def seconds(self, referrer: Referrer) -> float | None:
        """Return the cost of a recipe's run: from its blob, its last run, else from other runs of its generator."""
        if referrer.key is None or referrer.generator is None:
            return None
        if referrer.seconds is not None:
            return referrer.seconds
        return self.cost.get(referrer.key, self.typical.get((referrer.generator, referrer.version)))


def _typical(values: list[float]) -> float:
    """Return the lower median. (Importing ``statistics`` would cost 'status' more than the rest of this module.)"""
    return sorted(values)[(len(values) - 1) // 2]


def gather(
    store: ContentStore,
    cache: ResultCache,
    held: Callable[[], Set[Digest]],
    holders: Callable[[], Iterable[Holder]],
    others: Callable[[], Iterable[Proof]] = tuple,
) -> ProofFacts:
    """Read the store, then what running processes hold, then the roots.

    A process that makes a new referrer of a content holds it, changes its identity, and releases it once a root
    reaches it. In this order, a referrer that is missed here has changed an identity that was seen. ``others``: proofs
    made elsewhere that count here.
    """
    facts = ProofFacts(look(store))
    facts.held = held()
    known: dict[tuple[RecipeKey | None, str, Digest], Referrer] = {}
    for holder in holders():
        _add_holder(facts, known, holder, cache)
    _recall(facts, known, cache)
    for proof in others():
        facts.proofs.setdefault((proof.key, proof.take), []).append(proof)
    for referrer in known.values():
        facts.referrers.setdefault(referrer.digest, []).append(referrer)
    for found in facts.referrers.values():
        found.sort(key=lambda r: (-r.standing, r.key is not None, "" if r.key is None else r.key.hex, r.output))
    return facts


def look(store: ContentStore) -> dict[Digest, StoredContent]:
    """Return every content of the store, from the vault, else the cache, else the trash: a content in the trash can
    still be found, and is judged like any other before it is deleted."""
    found: dict[Digest, StoredContent] = {}
    with durable.storage_errors(store.root):
        for digest, size, tree, identity in store.inventory():
            if digest not in found or tree == VAULT:
                found[digest] = StoredContent(digest, size, tree, identity)
    return found


# ------------------------------------------------------------------------------------------- what roots hold


def _add_holder(
    facts: ProofFacts,
    known: dict[tuple[RecipeKey | None, str, Digest], Referrer],
    holder: Holder,
    cache: ResultCache,
) -> None:
    if not holder.told:
        facts.unknown.append(holder.name)
    if holder.missing:
        facts.partial.append(holder.name)
    facts.pins |= holder.pins
    facts.mentioned.update(*holder.unreadable.values())
    for oid, record in judged_blobs(cache, holder.records).items():
        _add(facts, known, record, Standing(holder.standing(oid)), holder.name)
    for text in holder.pending:
        recipe = toml.decode_or_none(text)
        if recipe is None:
            facts.mentioned |= mentioned(text)
        else:
            _add(facts, known, blob_record(b"", recipe), Standing.WORKING, holder.name)


def _add(
    facts: ProofFacts,
    known: dict[tuple[RecipeKey | None, str, Digest], Referrer],
    record: BlobRecord,
    standing: Standing,
    where: str,
) -> None:
    facts.inputs.update(record.inputs)
    if record.outdated is not None:
        facts.mentioned.add(record.outdated)
    if record.digest is None:
        return
    name = (record.key, record.output, record.digest)
    before = known.get(name)
    if before is None or before.standing < standing:
        known[name] = referrer(record, record.digest, standing, where)


def referrer(record: BlobRecord, digest: Digest, standing: Standing, where: str) -> Referrer:
    """Return a recipe with a take as a referrer of that content."""
    return Referrer(
        record.key,
        record.output,
        record.generator,
        record.version,
        record.media_type,
        digest,
        record.size,
        record.seconds,
        record.inputs,
        standing,
        where,
    )


# ------------------------------------------------------------------------------------------- what was run


def _recall(facts: ProofFacts, known: dict[tuple[RecipeKey | None, str, Digest], Referrer], cache: ResultCache) -> None:
    """Add results and proofs. A result that no root reaches is a referrer too, a dead one."""
    dead: list[MadeOutput] = []
    seconds: dict[tuple[str, str], list[float]] = {}
    for made in cache.every_output():
        digest = made.content.digest
        facts.runs.setdefault((made.key, made.name), []).append((made.fingerprint, digest))
        facts.cost[made.key] = made.seconds
        seconds.setdefault((made.generator, made.version), []).append(made.seconds)
        if (made.key, made.name, digest) not in known:
            dead.append(made)
    facts.typical = {name: _typical(values) for name, values in seconds.items()}
    inputs = cache.inputs({made.key for made in dead})
    for made in dead:
        if made.key in inputs:
            known[made.key, made.name, made.content.digest] = Referrer(
                made.key,
                made.name,
                made.generator,
                made.version,
                made.content.media_type,
                made.content.digest,
                made.content.size,
                made.seconds,
                inputs[made.key],
                Standing.DEAD,
                RESULT_CACHE,
            )
    for proof in cache.every_proof():
        facts.proofs.setdefault((proof.key, proof.take), []).append(proof)
