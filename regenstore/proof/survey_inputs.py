"""What a survey rests on: the store, the roots and the result cache, read in the order that makes it safe."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Set
from dataclasses import dataclass, field

from regenstore.fs import durable
from regenstore.objects import toml
from regenstore.objects.content_store import VAULT, ContentStore
from regenstore.objects.ids import Digest, RecipeKey
from regenstore.objects.mismatched_takes import judged_blobs
from regenstore.objects.result import BlobRecord, MadeOutput, Proof
from regenstore.objects.result_cache import ResultCache
from regenstore.proof.rules import Fingerprint
from regenstore.proof.survey import Referrer, Standing, StoredContent
from regenstore.refs.blobs import blob_record, mentioned
from regenstore.refs.store_repositories import Holder

RESULT_CACHE = "result cache"
Made = tuple[RecipeKey, str, Digest]


@dataclass
class ProofFacts:
    """Everything that is known, before it is judged."""

    stored: dict[Digest, StoredContent]
    held: Set[Digest] = frozenset()
    """What running processes rely on."""
    referrers: dict[Digest, list[Referrer]] = field(default_factory=dict)
    """Of any content that something mentions, in the store or not; those that a root holds most firmly first."""
    inputs: set[Digest] = field(default_factory=set)
    """What any live recipe is made from, also one without a take."""
    mentioned: set[Digest] = field(default_factory=set)
    """What stands in live recipes that cannot be read here, or that have other parameters by now."""
    pins: set[str] = field(default_factory=set)
    proofs: dict[tuple[RecipeKey, Digest], list[Proof]] = field(default_factory=dict)
    runs: dict[tuple[RecipeKey, str], list[tuple[Fingerprint, Digest]]] = field(default_factory=dict)
    """What each recorded run gave for an output, and in which environment."""
    cost: dict[RecipeKey, float] = field(default_factory=dict)
    """Seconds that the last known run of a key took."""
    typical: dict[tuple[str, str], float] = field(default_factory=dict)
    """Seconds that a run of a generator usually takes."""
    unknown: list[str] = field(default_factory=list)
    """Holders of which nobody knows what they need."""
    partial: list[str] = field(default_factory=list)
    """Holders of which some objects are not here."""

    def seconds(self, referrer: Referrer) -> float | None:
        """What a recipe's run cost: by its blob, by its last run, else by other runs of its generator."""
        if referrer.key is None or referrer.generator is None:
            return None
        if referrer.seconds is not None:
            return referrer.seconds
        return self.cost.get(referrer.key, self.typical.get((referrer.generator, referrer.version)))


def _typical(values: list[float]) -> float:
    """The lower median. (Importing ``statistics`` would cost every 'status' more than the rest of this module.)"""
    return sorted(values)[(len(values) - 1) // 2]


def gather(
    store: ContentStore,
    cache: ResultCache,
    held: Callable[[], Set[Digest]],
    holders: Callable[[], Iterable[Holder]],
    others: Callable[[], Iterable[Proof]] = tuple,
) -> ProofFacts:
    """Look at the store, then at what running processes rely on, then at roots. Who makes a new referrer of a
    content holds it, gives it another identity, and lets go of it when a root reaches it: in this order, a
    referrer that is missed here has changed an identity that was seen. ``others``: proofs that somebody else made
    and that count here."""
    facts = ProofFacts(look(store))
    facts.held = held()
    known: dict[tuple[RecipeKey | None, str, Digest], Referrer] = {}
    for holder in holders():
        _ask(facts, known, holder, cache)
    _recall(facts, known, cache)
    for proof in others():
        facts.proofs.setdefault((proof.key, proof.take), []).append(proof)
    for referrer in known.values():
        facts.referrers.setdefault(referrer.digest, []).append(referrer)
    for found in facts.referrers.values():
        found.sort(key=lambda r: (-r.standing, r.key is not None, "" if r.key is None else r.key.hex, r.output))
    return facts


def look(store: ContentStore) -> dict[Digest, StoredContent]:
    """Every content of the store, in the vault, else in the cache, else in the trash: what lies there is there
    for who looks for it, and is judged like any other before it is deleted."""
    found: dict[Digest, StoredContent] = {}
    with durable.storage_errors(store.root):
        for digest, size, tree, identity in store.inventory():
            if digest not in found or tree == VAULT:
                found[digest] = StoredContent(digest, size, tree, identity)
    return found


# ------------------------------------------------------------------------------------------- what roots hold


def _ask(
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
    """A recipe with a take as that content's referrer."""
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
    """Results and proofs. A result that no root reaches is a referrer too, a dead one."""
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
