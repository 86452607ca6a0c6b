"""The result cache: recipe key -> results, content -> the recipes that made it, blob id -> key and take.

All of it can be restored from Git's recipe blobs and by running recipes. The database itself is in database.py.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import cache
from typing import Any

from regenstore.objects import toml
from regenstore.objects.hashing import hash_bytes
from regenstore.objects.ids import Digest, RecipeKey
from regenstore.objects.recipe import Recipe
from regenstore.objects.result import BlobRecord, Content, KnownOutput, MadeOutput, Proof, Result
from regenstore.objects.results.database import BATCH, Database

_OUTPUTS_OF_KEY = (
    " FROM result r JOIN output o ON o.result = r.id WHERE r.key = ? ORDER BY r.created DESC, r.id DESC, o.name"
)
_BLOB_TYPES = (
    *(bytes, bytes | None, bytes | None, int, str, bytes, str | None, str, str, float | None),
    *(bytes | None, int, str),
)


class ResultCache:
    """Opens its database on first use. Thread-safe: operations are serialised."""

    def __init__(self, root: str) -> None:
        self.database = Database(root)
        self.path = self.database.path

    def close(self) -> None:
        """Close the database; it is reopened on the next use."""
        self.database.close()

    def exclusively(self, work: Callable[[], object]) -> None:
        """Do some work while no other process can record results or proofs."""
        self.database.write(lambda db: work())

    # -------------------------------------------------------------------------------- results

    def record(self, recipe: Recipe, result: Result, proofs: Iterable[Proof] = ()) -> None:
        """Store a result, and the proofs that it constitutes, atomically. Repeated outputs of the same key and
        environment are stored once, as the newest."""

        def work(db: sqlite3.Connection) -> None:
            self._remember(db, recipe)
            for proof in proofs:
                self._prove(db, proof)
            for row, fingerprint, outputs in self._outputs(db, result.key):
                if outputs == dict(result.outputs) and fingerprint == _text(result.fingerprint):
                    db.execute(
                        "UPDATE result SET created = ?, seconds = ? WHERE id = ?", (result.created, result.seconds, row)
                    )
                    return
            cursor = db.execute(
                "INSERT INTO result (key, created, seconds, generator, version, fingerprint) VALUES (?, ?, ?, ?, ?, ?)",
                (
                    result.key.raw,
                    result.created,
                    result.seconds,
                    recipe.generator,
                    recipe.version,
                    _text(result.fingerprint),
                ),
            )
            db.executemany(
                "INSERT INTO output VALUES (?, ?, ?, ?, ?)",
                [(cursor.lastrowid, name, c.digest.raw, c.size, c.media_type) for name, c in result.outputs.items()],
            )

        self.database.write(work)

    def remember(self, recipe: Recipe) -> None:
        """Store a recipe's text for its key, replacing an older one."""
        self.database.write(lambda db: self._remember(db, recipe))

    @staticmethod
    def _remember(db: sqlite3.Connection, recipe: Recipe) -> None:
        if recipe.key is not None:
            row = (recipe.key.raw, toml.encode(recipe), _inputs(recipe))
            db.execute("INSERT OR REPLACE INTO recipe (key, text, inputs) VALUES (?, ?, ?)", row)

    def recipe_text(self, key: RecipeKey) -> bytes | None:
        """Return the recipe text last used with a key."""
        rows = self.database.rows("SELECT text FROM recipe WHERE key = ?", (key.raw,))
        return bytes(rows[0][0]) if rows else None

    def recipe_texts(self) -> dict[RecipeKey, bytes]:
        """Return the text of every known recipe."""
        rows = self.database.rows("SELECT key, text FROM recipe", ())
        return {RecipeKey(bytes(key)): bytes(text) for key, text in rows}

    @staticmethod
    def _outputs(db: sqlite3.Connection, key: RecipeKey) -> Iterator[tuple[int, str, dict[str, Content]]]:
        query = "SELECT r.id, r.fingerprint, o.name, o.digest, o.size, o.media_type" + _OUTPUTS_OF_KEY
        grouped: dict[tuple[int, str], dict[str, Content]] = {}
        for row, fingerprint, name, digest, size, media_type in db.execute(query, (key.raw,)).fetchall():
            grouped.setdefault((row, fingerprint), {})[name] = Content(Digest(digest), size, media_type)
        yield from ((row, fingerprint, outputs) for (row, fingerprint), outputs in grouped.items())

    def results(self, key: RecipeKey) -> list[Result]:
        """Return all results of a key, newest first."""
        query = "SELECT r.id, r.created, r.seconds, r.fingerprint, o.name, o.digest, o.size, o.media_type"
        found: dict[int, Result] = {}
        outputs: dict[int, dict[str, Content]] = {}
        for row, created, seconds, fingerprint, name, digest, size, media_type in self.database.rows(
            query + _OUTPUTS_OF_KEY, (key.raw,)
        ):
            if row not in found:
                outputs[row] = {}
                found[row] = Result(key, outputs[row], seconds, created, json.loads(fingerprint))
            outputs[row][name] = Content(Digest(digest), size, media_type)
        return list(found.values())

    def known_outputs(self, digest: Digest) -> list[KnownOutput]:
        """Return the recipes known to have made a content, newest first."""
        rows = self.database.rows(
            "SELECT r.key, o.name, o.media_type, r.seconds, c.text FROM output o JOIN result r ON r.id = o.result "
            "JOIN recipe c ON c.key = r.key WHERE o.digest = ? ORDER BY r.created DESC, r.id DESC",
            (digest.raw,),
        )
        return [
            KnownOutput(RecipeKey(key), name, media_type, seconds, text)
            for key, name, media_type, seconds, text in rows
        ]

    def made(self, key: RecipeKey, digest: Digest, output: str = "main") -> bool:
        """Return whether a content is recorded as the named output of a key."""
        found = "SELECT 1 FROM result r JOIN output o ON o.result = r.id"
        query = f"{found} WHERE r.key = ? AND o.digest = ? AND o.name = ? LIMIT 1"
        return bool(self.database.rows(query, (key.raw, digest.raw, output)))

    def makers(self, digests: Iterable[Digest]) -> dict[Digest, set[RecipeKey]]:
        """Return the keys that have these contents as recorded results; those without a recorded run are left out."""
        query = "SELECT o.digest, r.key FROM output o JOIN result r ON r.id = o.result WHERE o.digest IN"
        found: dict[Digest, set[RecipeKey]] = {}
        for digest, key in self.database.rows_in(query, {digest.raw for digest in digests}):
            found.setdefault(Digest(digest), set()).add(RecipeKey(key))
        return found

    def typical_seconds(self, generator: str, version: str) -> float | None:
        """Return the median cost of a generator's last runs here; None if it never ran."""
        rows = self.database.rows(
            "SELECT seconds FROM result WHERE generator = ? AND version = ? ORDER BY created DESC LIMIT 101",
            (generator, version),
        )
        values = sorted(row[0] for row in rows)
        return values[len(values) // 2] if values else None

    def every_output(self) -> Iterator[MadeOutput]:
        """Yield every output of every recorded run, in no particular order."""
        rows = self.database.rows(
            "SELECT r.key, o.name, o.digest, o.size, o.media_type, r.seconds, r.generator, r.version, r.fingerprint "
            "FROM output o JOIN result r ON r.id = o.result",
            (),
        )
        read = cache(json.loads)
        for key, name, digest, size, media_type, seconds, generator, version, fingerprint in rows:
            content = Content(Digest(digest), size, media_type)
            yield MadeOutput(RecipeKey(key), name, content, seconds, generator, version, read(fingerprint))

    def inputs(self, keys: Iterable[RecipeKey]) -> dict[RecipeKey, tuple[Digest, ...]]:
        """Return the inputs of the recipes of these keys; keys without a known recipe are left out."""
        rows = self.database.rows_in("SELECT key, inputs, text FROM recipe WHERE key IN", (key.raw for key in keys))
        found: dict[RecipeKey, tuple[Digest, ...]] = {}
        parsed = []
        for key, inputs, text in rows:
            if inputs is None:
                recipe = toml.decode_or_none(text)
                if recipe is None:
                    continue
                inputs = _inputs(recipe)
                parsed.append((inputs, key))
            found[RecipeKey(key)] = _digests(inputs)
        if parsed:
            self.database.write(lambda db: db.executemany("UPDATE recipe SET inputs = ? WHERE key = ?", parsed))
        return found

    # -------------------------------------------------------------------------------- proofs

    def add_proof(self, proof: Proof) -> None:
        """Store a proof, replacing one for the same key, take, environment and second output."""
        self.database.write(lambda db: self._prove(db, proof))

    @staticmethod
    def _prove(db: sqlite3.Connection, proof: Proof) -> None:
        row = (proof.key.raw, proof.take.raw, _text(proof.fingerprint), proof.second.raw, proof.tier, proof.metric)
        more = (proof.score, proof.threshold, proof.seconds, proof.created)
        db.execute("INSERT OR REPLACE INTO proof VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", (*row, *more))

    def proofs(self, key: RecipeKey, take: Digest) -> list[Proof]:
        """Return all proofs of a take, from every environment, newest first."""
        query = "SELECT * FROM proof WHERE key = ? AND take = ? ORDER BY created DESC, second"
        return list(_proofs(self.database.rows(query, (key.raw, take.raw))))

    def every_proof(self) -> Iterator[Proof]:
        """Return all proofs of all takes, newest first."""
        return _proofs(self.database.rows("SELECT * FROM proof ORDER BY created DESC, second", ()))

    def lapse(self, fingerprint: Mapping[str, str], lapsed: Mapping[str, str]) -> None:
        """Move every proof of an environment to one that no machine has: ``lapsed``. Proofs of that environment made
        elsewhere no longer count here either (:meth:`standing`)."""

        def work(db: sqlite3.Connection) -> None:
            db.execute(
                "UPDATE OR REPLACE proof SET fingerprint = ? WHERE fingerprint = ?", (_text(lapsed), _text(fingerprint))
            )
            db.execute("INSERT OR REPLACE INTO gc_value VALUES (?, 1)", (_lapsed(fingerprint),))

        self.database.write(work)

    def standing(self, proofs: Iterable[Proof]) -> Iterator[Proof]:
        """Return those of the proofs made elsewhere whose environment has not lapsed here."""
        lapsed = {name for (name,) in self.database.rows("SELECT name FROM gc_value WHERE name LIKE 'lapsed %'", ())}
        yield from (proof for proof in proofs if not lapsed or _lapsed(proof.fingerprint) not in lapsed)

    # -------------------------------------------------------------------------------- Git's blobs

    def blobs(self, oids: Iterable[bytes]) -> dict[bytes, BlobRecord]:
        """Return the records of recipe blobs, by Git object id. Rows of the wrong types, a kind of damage that SQLite
        does not notice, are skipped: the blobs are read again."""
        found = {}
        for row in self._rows_of("blob", oids):
            if all(map(isinstance, row, _BLOB_TYPES)):
                oid, key, digest, size, name, inputs, generator, version, media_type, seconds, *rest = row
                outdated, sure, captured = rest
                with suppress(ValueError):
                    ids = key and RecipeKey(key), digest and Digest(digest)
                    named = outdated and Digest(outdated)
                    made = (generator, version, media_type, seconds)
                    found[oid] = BlobRecord(oid, *ids, size, name, _digests(inputs), *made, named, bool(sure), captured)
        return found

    def plain_blobs(self, oids: Iterable[bytes]) -> set[bytes]:
        """Return the blobs known not to be recipes."""
        return {oid for (oid,) in self._rows_of("plain_blob", oids)}

    def add_blobs(self, records: Iterable[BlobRecord], plain: Iterable[bytes] = ()) -> None:
        """Store the records of recipe blobs, and the ids of blobs that are not recipes."""
        rows = [
            (
                *(r.oid, r.key and r.key.raw, r.digest and r.digest.raw, r.size, r.output),
                *(b"".join(i.raw for i in r.inputs), r.generator, r.version, r.media_type, r.seconds),
                *(r.outdated and r.outdated.raw, r.sure, r.captured),
            )
            for r in records
        ]
        others = [(oid,) for oid in plain]

        def work(db: sqlite3.Connection) -> None:
            db.executemany("INSERT OR REPLACE INTO blob VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
            db.executemany("INSERT OR REPLACE INTO plain_blob VALUES (?)", others)

        if rows or others:
            self.database.write(work)

    def _rows_of(self, table: str, oids: Iterable[bytes]) -> Iterator[Any]:
        """Return the rows of some blobs: by key, or by one scan if they are most of the table."""
        wanted = set(oids)
        query = f"SELECT * FROM {table}"  # noqa: S608  one of two names
        if len(wanted) > BATCH:
            ((rows,),) = self.database.rows(query.replace("*", "count(*)"), ()) or [(0,)]
            if rows < 3 * len(wanted):
                return (row for row in self.database.rows(query, ()) if row[0] in wanted)
        return self.database.rows_in(f"{query} WHERE oid IN", wanted)

    # -------------------------------------------------------------------------------- the journal of runs

    def start_run(self, key: RecipeKey, recipe: Recipe, now: float) -> int:
        """Record that a run begins: recipe and inputs are fixed before anything is made."""
        row = (key.raw, toml.encode(recipe), now, os.getpid())
        query = "INSERT INTO run (key, recipe, started, process, state) VALUES (?, ?, ?, ?, 'running')"
        return int(self.database.write(lambda db: db.execute(query, row)).lastrowid or 0)

    def end_run(self, run: int, state: str, message: str = "") -> None:
        """Record how a run ended: ``done``, ``failed`` or ``cancelled``."""
        row = (state, message[:4000].encode(errors="replace").decode(), run)  # paths may contain non-UTF-8 bytes
        self.database.write(lambda db: db.execute("UPDATE run SET state = ?, message = ? WHERE id = ?", row))


def _inputs(recipe: Recipe) -> bytes:
    return b"".join(given.digest.raw for given in recipe.inputs.values())


def _proofs(rows: Iterable[Any]) -> Iterator[Proof]:
    read = cache(json.loads)
    for key, take, fingerprint, second, tier, metric, score, threshold, seconds, created in rows:
        ids, told = (RecipeKey(key), Digest(take), Digest(second)), (metric, score, threshold, seconds, created)
        yield Proof(*ids, tier, *told, read(fingerprint))


def _digests(joined: bytes) -> tuple[Digest, ...]:
    if not joined:
        return ()
    return tuple(Digest(joined[at : at + 32]) for at in range(0, len(joined), 32))


def _text(fingerprint: Mapping[str, str]) -> str:
    return json.dumps(dict(fingerprint), sort_keys=True)


def _lapsed(fingerprint: Mapping[str, str]) -> str:
    return f"lapsed {hash_bytes(_text(fingerprint).encode())}"
