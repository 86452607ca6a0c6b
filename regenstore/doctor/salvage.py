"""Recover results and proofs that Git does not record from databases that were set aside as damaged.

A proof allows bytes to be deleted, and another run with a different result contradicts it. So proofs are taken over
only from a database whose tables of results and proofs are intact, and only if every later one that was set aside is
intact too: what cannot be read could contradict them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from regenstore.fs import presence
from regenstore.objects.content_store import ContentStore
from regenstore.objects.recipe import Recipe
from regenstore.objects.result import Proof, Result
from regenstore.objects.results import examination
from regenstore.objects.results.cache import ResultCache
from regenstore.objects.results.database_file import FILE
from regenstore.quantities import counted

_ASIDE = f"{FILE}.damaged-"


@dataclass
class Salvaged:
    """What can be taken over. ``unread`` are the names of databases that are not intact."""

    results: list[tuple[Recipe, Result]] = field(default_factory=list)
    proofs: list[Proof] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """For display."""
        told = []
        if self.results or self.proofs:
            found = f"{counted(len(self.results), 'result')} and {counted(len(self.proofs), 'proof')}"
            told.append(f"{found} of damaged databases are taken over")
        if self.unread:
            what = "proofs and unused takes that only they knew are not; 'regenstore verify' proves again"
            told.append(f"{', '.join(self.unread)}: not whole: {what}")
        return told


def asides(root: str) -> list[str]:
    """The names of databases that were set aside as damaged, latest first. Raises StorageError (``unreadable``)."""
    names = [name for name in presence.names(root) if name.startswith(_ASIDE) and name[len(_ASIDE) :].isdigit()]
    return sorted(names, key=lambda name: int(name[len(_ASIDE) :]), reverse=True)


def read(store: ContentStore, names: list[str]) -> Salvaged:
    """Read databases in the store's folder, latest first. Reads only."""
    found = Salvaged()
    for name in names:
        told = examination.read_damaged(f"{store.root}/{name}", store.temp_path("salvage"))
        if told is None:
            found.unread.append(name)
            break
        results, proofs = told
        found.results += results
        found.proofs += proofs
    return found


def take_over(found: Salvaged, cache: ResultCache) -> None:
    """Record what was recovered; existing records are unchanged."""
    for recipe, result in found.results:
        known = [(dict(r.outputs), dict(r.fingerprint)) for r in cache.results(result.key)]
        if (dict(result.outputs), dict(result.fingerprint)) not in known:
            cache.record(recipe, result)
    for proof in found.proofs:
        known_proofs = cache.proofs(proof.key, proof.take)
        if (proof.second, proof.fingerprint) not in [(p.second, p.fingerprint) for p in known_proofs]:
            cache.add_proof(proof)
