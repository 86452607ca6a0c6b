"""A small world around a real store and a real database: recipes whose bytes follow from what they say, and a
repository that is only told what it holds."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path

from regenstore.gc.collect import Collector, GcReport
from regenstore.gc.plan import EvictionPlan, GcWish
from regenstore.objects import toml
from regenstore.objects.content_store import CACHE, VAULT, ContentStore
from regenstore.objects.evicted import Manifests
from regenstore.objects.hashing import hash_bytes
from regenstore.objects.holds import held
from regenstore.objects.ids import Digest
from regenstore.objects.recipe import Input, Output, Recipe
from regenstore.objects.result import BlobRecord, Content, Proof, Result
from regenstore.objects.results.cache import ResultCache
from regenstore.proof.survey import Standing, Survey
from regenstore.proof.surveyor import Surveyor
from regenstore.refs.blobs import blob_record
from tests.conftest import copy_tree

KIND = "application/octet-stream"
HERE: Mapping[str, str] = {"generator": "grow/1"}
DEAD, SUPERSEDED, TIP, WORKING = Standing
DAY = 86400.0


@dataclass
class Told:
    """A repository: its live recipes with their standing, what is pending, its pins."""

    name: str = "film"
    told: bool = True
    live: dict[bytes, tuple[BlobRecord, int]] = field(default_factory=dict)
    unreadable: Mapping[bytes, frozenset[Digest]] = field(default_factory=dict)
    missing: frozenset[bytes] = frozenset()
    pending: tuple[bytes, ...] = ()
    pins: set[str] = field(default_factory=set)

    @property
    def records(self) -> dict[bytes, BlobRecord]:
        return {oid: record for oid, (record, _) in self.live.items()}

    def standing(self, oid: bytes) -> int:
        return self.live[oid][1]


class Here:
    """The one environment that there is. ``grow`` can be switched off."""

    def __init__(self, fingerprint: Mapping[str, str]) -> None:
        self._fingerprint = fingerprint

    def __enter__(self) -> Here:
        return self

    def __exit__(self, *exc: object) -> None: ...

    def of(self, generator: str, version: str) -> Mapping[str, str]:
        return self._fingerprint


def grown(recipe: Recipe) -> bytes:
    """What the generator 'grow' makes of a recipe: each bit depends on its parameters and inputs."""
    seed = [recipe.params["word"], *(str(given.digest) for _, given in sorted(recipe.inputs.items()))]
    if "same" in recipe.params:  # another recipe of the very same bytes
        seed = [recipe.params["same"]]
    return hashlib.shake_256("\n".join(map(str, seed)).encode()).digest(int(recipe.params.get("bytes", 1000)))


class World:
    def __init__(self, root: Path) -> None:
        self.store = ContentStore(str(root / "store"))
        self.store.prepare()
        self.cache = ResultCache(self.store.root)
        self.film = Told()
        self.here: Mapping[str, str] = HERE
        self.now = 2_000_000_000.0
        self.before_survey: Callable[[], None] = lambda: None
        self.after_survey: Callable[[], None] = lambda: None
        self.surveys = 0
        self.names: Mapping[Digest, Sequence[str]] = {}

    def copy(self, root: Path) -> World:
        """The same world once more, on a copy of the store."""
        self.cache.close()
        copy_tree(self.store.root, f"{root}/store")
        made = World(root)
        made.film, made.here, made.now = deepcopy(self.film), self.here, self.now
        return made

    # -------------------------------------------------------------------------------- making things

    def recipe(self, word: str, *inputs: Digest, **params: object) -> Recipe:
        given = {f"in{n}": Input(digest) for n, digest in enumerate(inputs)}
        return Recipe("grow", "1", Output(KIND), params={"word": word, **params}, inputs=given)

    def make(
        self,
        word: str,
        *inputs: Digest,
        standing: int = WORKING,
        proven: bool = True,
        seconds: float = 2.0,
        tree: str = VAULT,
        output: str = "main",
        **params: object,
    ) -> Digest:
        """Run a recipe, record what it gave, and let the repository refer to it."""
        recipe = self.recipe(word, *inputs, **params)
        data = grown(recipe)
        digest = hash_bytes(data)
        self.store.put_bytes(data, digest, tree=tree)
        assert recipe.key is not None
        content = Content(digest, len(data), KIND)
        self.cache.record(recipe, Result(recipe.key, {output: content}, seconds, 1.0, dict(self.here)))
        if standing > DEAD:
            self.refer(recipe.with_take(content.take, seconds), standing)
        if proven:
            self.prove(recipe, digest, seconds)
        self.store.holds.release()
        return digest

    def prove(self, recipe: Recipe, digest: Digest, seconds: float = 2.0, tier: str = "bytes") -> None:
        assert recipe.key is not None
        second = digest if tier == "bytes" else hash_bytes(digest.raw)
        self.cache.add_proof(
            Proof(recipe.key, digest, second, tier, "", None, None, seconds, self.now, dict(self.here))
        )

    def imported(self, data: bytes, standing: int = WORKING) -> Digest:
        digest = hash_bytes(data)
        self.store.put_bytes(data, digest)
        recipe = Recipe.of_imported(Content(digest, len(data), KIND).take, KIND, {})
        if standing > DEAD:
            self.refer(recipe, standing)
        self.store.holds.release()
        return digest

    def refer(self, recipe: Recipe, standing: int = WORKING) -> None:
        """Let the repository hold a recipe."""
        oid = hashlib.sha1(toml.encode(recipe)).digest()
        record = blob_record(b"", recipe)
        self.film.live[oid] = (record, standing)

    def forget(self, *digests: Digest) -> None:
        """No root reaches these any more."""
        gone = [oid for oid, (record, _) in self.film.live.items() if record.digest in digests]
        for oid in gone:
            del self.film.live[oid]

    # -------------------------------------------------------------------------------- gc

    def told(self) -> Told:
        """What the repository holds now."""
        return self.film

    def survey(self) -> Survey:
        self.before_survey()
        self.surveys += 1
        surveyor = Surveyor(
            self.store,
            self.cache,
            lambda: Here(self.here),
            lambda: [self.told()],
            lambda: held(self.store.root),
        )
        found = surveyor.survey()
        self.after_survey()
        return found

    def producers(self, digest: Digest) -> Iterable[Recipe]:
        """What makes a content: who takes the first that serves has no manifest read."""
        yield from (toml.decode(made.recipe) for made in self.cache.known_outputs(digest))
        yield from (toml.decode(made.recipe) for made in Manifests(self.store.root).known_outputs(digest))

    @property
    def collector(self) -> Collector:
        return Collector(
            self.store,
            self.cache,
            self.survey,
            lambda: frozenset(self.film.pins),
            self.producers,
            lambda: self.names,
            lambda: self.now,
        )

    def plan(self, **wish: object) -> EvictionPlan:
        return self.collector.plan(GcWish(**wish))

    def gc(self, **wish: object) -> GcReport:
        return self.collector.execute(self.plan(**wish))

    # -------------------------------------------------------------------------------- looking

    def where(self, digest: Digest) -> list[str]:
        """The trees that have a content; 'trash' for any run."""
        return sorted(tree.split("/")[0] for found, _, tree, _ in self.store.inventory() if found == digest)

    def obtain(self, digest: Digest, depth: int = 0) -> bytes | None:
        """The bytes of a content: stored, or grown again, down to what everything is made from."""
        path = self.store.find(digest)
        if path is not None:
            data = Path(path).read_bytes()
            assert hash_bytes(data) == digest
            return data
        for recipe in self.producers(digest) if depth < 50 else ():
            if all(self.obtain(given.digest, depth + 1) is not None for given in recipe.inputs.values()):
                data = grown(recipe)
                if hash_bytes(data) == digest:
                    return data
        return None

    def all_obtainable(self) -> None:
        """The promise: whatever a root needs can be had."""
        for record in self.film.records.values():
            for digest in (record.digest, *record.inputs):
                assert digest is None or self.obtain(digest) is not None, digest

    def lose_database(self) -> None:
        self.cache.close()
        for name in os.listdir(self.store.root):
            if name.startswith("results.sqlite"):
                os.unlink(f"{self.store.root}/{name}")


__all__ = ["CACHE", "DAY", "DEAD", "KIND", "SUPERSEDED", "TIP", "VAULT", "WORKING", "World", "grown"]
