"""What databases that were set aside as damaged still tell: results that Git does not record, and proofs.

A proof lets bytes be deleted, and another run that gave something else speaks against it. So proofs are taken over
only from a database whose tables of results and proofs are whole, and only as long as every later one that was set
aside is whole too: what is not read could have spoken against them.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any

from regenstore.fs import durable, presence
from regenstore.objects import database_file, toml
from regenstore.objects.content_store import ContentStore
from regenstore.objects.database_file import FILE
from regenstore.objects.ids import Digest, RecipeKey
from regenstore.objects.recipe import Recipe
from regenstore.objects.result import Content, Proof, Result
from regenstore.objects.result_cache import SCHEMA_VERSION, ResultCache

_ASIDE = f"{FILE}.damaged-"
_TIERS = frozenset({"bytes", "content", "equivalent", "different"})
_UNREADABLE = (sqlite3.DatabaseError, OSError, ValueError, TypeError, KeyError, OverflowError, RecursionError)


@dataclass
class Salvaged:
    """What can be taken over. ``unread`` are the names of those databases that are not whole."""

    results: list[tuple[Recipe, Result]] = field(default_factory=list)
    proofs: list[Proof] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """For people."""
        told = []
        if self.results or self.proofs:
            told.append(
                f"{len(self.results)} results and {len(self.proofs)} proofs of damaged databases are taken over"
            )
        if self.unread:
            what = "proofs and unused takes that only they knew are not; 'regenstore verify' proves again"
            told.append(f"{', '.join(self.unread)}: not whole: {what}")
        return told


def asides(root: str) -> list[str]:
    """The names of databases that were set aside as damaged, the latest first. Raises StorageError
    (``unreadable``)."""
    names = [name for name in presence.names(root) if name.startswith(_ASIDE) and name[len(_ASIDE) :].isdigit()]
    return sorted(names, key=lambda name: int(name[len(_ASIDE) :]), reverse=True)


def read(store: ContentStore, names: list[str]) -> Salvaged:
    """Read databases of the store's folder, the latest first. Reads only."""
    found = Salvaged()
    for name in names:
        try:
            with _opened(store, name) as db:
                if db.execute("PRAGMA user_version").fetchone()[0] != SCHEMA_VERSION:
                    raise ValueError("of another version")
                for table in ("recipe", "result", "output", "proof"):
                    if [row[0] for row in db.execute(f"PRAGMA integrity_check({table})")] != ["ok"]:
                        raise ValueError("not whole")
                results, proofs = list(_results(db)), list(_proofs(db))
        except _UNREADABLE:
            found.unread.append(name)
            break
        found.results += results
        found.proofs += proofs
    return found


def take_over(found: Salvaged, cache: ResultCache) -> None:
    """Record what was found; what the database knows already stays as it is."""
    for recipe, result in found.results:
        known = [(dict(r.outputs), dict(r.fingerprint)) for r in cache.results(result.key)]
        if (dict(result.outputs), dict(result.fingerprint)) not in known:
            cache.record(recipe, result)
    for proof in found.proofs:
        known_proofs = cache.proofs(proof.key, proof.take)
        if (proof.second, proof.fingerprint) not in [(p.second, p.fingerprint) for p in known_proofs]:
            cache.add_proof(proof)


@contextmanager
def _opened(store: ContentStore, name: str) -> Iterator[sqlite3.Connection]:
    """A database as it lies there: SQLite would put its log into it, so one that has a log is copied first."""
    path, copied = f"{store.root}/{name}", store.temp_path("salvage")
    try:
        if presence.found(f"{path}-wal") is not None:
            for suffix in ("-wal", ""):
                shutil.copyfile(path + suffix, copied + suffix)
            path, how = copied, "mode=rw"
        else:
            how = "immutable=1"
        with closing(sqlite3.connect(database_file.uri(path, how), uri=True, isolation_level=None)) as db:
            yield db
    finally:
        for suffix in ("-wal", "-shm", ""):
            durable.unlink(copied + suffix)


def _results(db: sqlite3.Connection) -> Iterator[tuple[Recipe, Result]]:
    """Results whose recipe has the key that it is kept under. Those whose bytes are gone are kept, too: they tell
    what a generator gave."""
    recipes: dict[bytes, Recipe] = {}
    for key, text in db.execute("SELECT key, text FROM recipe"):
        recipe = toml.decode_or_none(text)
        if recipe is not None and recipe.key is not None and recipe.key.raw == key:
            recipes[key] = recipe
    outputs: dict[int, dict[str, Content]] = {}
    for row, name, digest, size, media_type in db.execute("SELECT * FROM output"):
        outputs.setdefault(row, {})[str(name)] = Content(Digest(digest), int(size), str(media_type))
    for row, key, created, seconds, fingerprint in db.execute(
        "SELECT id, key, created, seconds, fingerprint FROM result"
    ):
        if key not in recipes or row not in outputs:
            raise ValueError("a result without its recipe or outputs")
        told = Result(RecipeKey(key), outputs[row], float(seconds), float(created), _fingerprint(fingerprint))
        yield recipes[key], told


def _proofs(db: sqlite3.Connection) -> Iterator[Proof]:
    for row in db.execute(
        "SELECT key, take, second, tier, metric, score, threshold, seconds, created, fingerprint FROM proof"
    ):
        yield _proof(*row)


def _proof(key: Any, take: Any, second: Any, tier: Any, *rest: Any) -> Proof:
    metric, score, threshold, seconds, created, fingerprint = rest
    if tier not in _TIERS or (tier == "bytes") != (take == second):
        raise ValueError("no proof")
    ids = RecipeKey(key), Digest(take), Digest(second)
    return Proof(*ids, tier, str(metric), score, threshold, float(seconds), float(created), _fingerprint(fingerprint))


def _fingerprint(text: str) -> dict[str, str]:
    found = json.loads(text)
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise ValueError("no fingerprint")
    return found
