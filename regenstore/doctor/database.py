"""The result database: is it sound, and making it again from Git's recipes and the store's contents.

The old database is never deleted: a damaged one is moved aside; of a sound one a copy is set aside, and what
Git tells is added to it, since it also knows what Git does not (proofs, other takes, other repositories).
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field

from regenstore.doctor import git_recipes, salvage
from regenstore.doctor.salvage import Salvaged
from regenstore.errors import FormatError
from regenstore.fs import durable, presence, sharing
from regenstore.objects import database_file, evicted, toml
from regenstore.objects.content_store import ContentStore
from regenstore.objects.database_file import FILE
from regenstore.objects.evicted import Evicted
from regenstore.objects.ids import Digest
from regenstore.objects.recipe import Recipe
from regenstore.objects.result import Content, Result
from regenstore.objects.result_cache import SCHEMA_VERSION, ResultCache
from regenstore.refs.roots import Roots

SOUND, DAMAGED, NONE = "sound", "damaged", "none"
_SHOWN = 5
_PATIENCE = 30.0


@dataclass(frozen=True)
class Examined:
    """``state`` is SOUND, DAMAGED or NONE (there is no database)."""

    state: str
    problems: tuple[str, ...] = ()
    incomplete: int = 0
    """Recorded outputs whose bytes the store does not have: no error, as they are never answered."""

    def fields(self) -> dict[str, object]:
        return {"state": self.state, "problems": list(self.problems), "outputs_without_bytes": self.incomplete}


def examine(store: ContentStore, *, quick: bool = False) -> Examined:
    """Check the database: the whole of it, or with ``quick`` its structure. Raises FormatError
    (``newer-store``), Conflict (``store-busy``)."""
    path = f"{store.root}/{FILE}"
    if presence.found(path) is None:
        return Examined(NONE)
    try:
        with closing(_open(path)) as db:
            version = db.execute("PRAGMA user_version").fetchone()[0]
            if version > SCHEMA_VERSION:
                raise FormatError("newer-store", f"{path} has version {version}; {SCHEMA_VERSION} is known here")
            problems = [row[0] for row in db.execute(f"PRAGMA {'quick' if quick else 'integrity'}_check({_SHOWN})")]
            if problems != ["ok"]:
                return Examined(DAMAGED, tuple(problems))
            mistyped = [] if quick else list(_mistyped(db))
            if mistyped:
                return Examined(DAMAGED, tuple(mistyped))
            rows = db.execute("SELECT DISTINCT digest, size FROM output").fetchall() if version and not quick else []
            missing = sum(store.stored(Digest(digest), size) is None for digest, size in rows)
            return Examined(SOUND, (), missing)
    except sqlite3.DatabaseError as error:
        refused = database_file.refusal(error, path)
        if refused is not None:
            raise refused from error  # while the log is read in, say: a sound database must not be moved aside
        return Examined(DAMAGED, (str(error),))
    except ValueError as error:  # a digest of another length
        return Examined(DAMAGED, (f"it holds what is no digest: {error}",))


def _mistyped(db: sqlite3.Connection) -> Iterator[str]:
    """Values of another type than their column's: one wrong bit does that, and SQLite's own check lets it pass."""
    columns = db.execute(
        "SELECT m.name, c.name, lower(c.type) FROM sqlite_schema m JOIN pragma_table_info(m.name) c"
        " WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
    ).fetchall()
    for table, column, kind in columns:
        query = f'SELECT count(*) FROM "{table}" WHERE typeof("{column}") NOT IN (?, ?)'  # noqa: S608  its own names
        ((wrong,),) = db.execute(query, (kind, "null"))
        if wrong:
            yield f"{wrong} values of {table}.{column} are no {kind}"


def _open(path: str) -> sqlite3.Connection:
    only_open = database_file.uri(path, "mode=rw")  # creates nothing
    return sqlite3.connect(only_open, uri=True, isolation_level=None, timeout=_PATIENCE)


# ------------------------------------------------------------------------------------------- rebuilding


@dataclass(frozen=True)
class KnownResult:
    """A recipe blob, and its take when the store has the bytes, with their age."""

    oid: bytes
    recipe: Recipe
    content: Content | None
    created: float


@dataclass
class RebuildPlan:
    """What a rebuild would record. A value: making it changes nothing."""

    examined: Examined
    known: list[KnownResult] = field(default_factory=list)
    salvaged: Salvaged = field(default_factory=Salvaged)
    """What databases that were set aside, and a damaged one that is about to be, still tell."""
    evicted: list[Evicted] = field(default_factory=list)
    """What gc took, with the recipe that brings it back and its proof, as manifests tell it."""

    @property
    def results(self) -> list[KnownResult]:
        return [known for known in self.known if known.content is not None and known.recipe.key is not None]

    def fields(self) -> dict[str, object]:
        takes = [known for known in self.known if known.recipe.key is not None and not known.recipe.wanted]
        return {
            "database": self.examined.fields(),
            "recipe_blobs": len(self.known),
            "results": len(self.results),
            "takes_without_bytes": len(takes) - len(self.results),
            "evicted": len(self.evicted),
            "salvaged_results": len(self.salvaged.results),
            "salvaged_proofs": len(self.salvaged.proofs),
            "not_whole": self.salvaged.unread,
        }

    def lines(self) -> list[str]:
        """For people."""
        told = self.fields()
        old = {SOUND: "a copy is set aside", DAMAGED: "it is moved aside", NONE: "a new one is made"}
        return [
            f"database: {self.examined.state}; {old[self.examined.state]}",
            f"{told['recipe_blobs']} recipe blobs in Git, {told['results']} results to record, "
            f"{told['takes_without_bytes']} takes whose bytes the store does not have",
            *(
                [f"{len(self.evicted)} contents that gc took, whose recipes and proofs are known"]
                if self.evicted
                else []
            ),
            *self.salvaged.lines(),
        ]


def plan_rebuild(store: ContentStore, roots: Roots, examined: Examined | None = None) -> RebuildPlan:
    """Read every recipe blob that Git leads to, and look for its take in the store; and what damaged databases
    still tell."""
    plan = RebuildPlan(examined or examine(store))
    damaged = [FILE] if plan.examined.state == DAMAGED else []
    plan.salvaged = salvage.read(store, [*damaged, *salvage.asides(store.root)])
    plan.evicted = list(evicted.everything(store.root))
    reachable = list(git_recipes.reachable(roots))
    sure = {(recipe.output.take, recipe.key) for _, recipe in reachable if recipe.output.key is not None}
    told = {take for take, _ in sure}
    for oid, recipe in reachable:
        take = recipe.output.take
        if recipe.output.key is None and take in told and (take, recipe.key) not in sure:
            take = None  # another recipe says that its parameters gave it
        path = None if take is None else store.stored(take.digest, take.size)
        if take is None or path is None:
            plan.known.append(KnownResult(oid, recipe, None, 0.0))
        else:
            content = Content(take.digest, take.size, recipe.output.media_type)
            plan.known.append(KnownResult(oid, recipe, content, os.stat(path).st_mtime))
    return plan


def rebuild(store: ContentStore, plan: RebuildPlan) -> str | None:
    """Carry out a plan; gives where the old database is now. Every step alone is safe beside other
    commands, and doing it again after an interruption ends the same."""
    store.prepare()
    aside = set_aside(store, plan.examined.state)
    cache = ResultCache(store.root)
    try:
        salvage.take_over(plan.salvaged, cache)
        for known in plan.results:
            key, content, seconds = known.recipe.key, known.content, known.recipe.output.seconds
            assert key is not None and content is not None
            if not cache.made(key, content.digest, known.recipe.output.name):
                outputs = {known.recipe.output.name: content}
                cache.record(known.recipe, Result(key, outputs, float(seconds or 0.0), known.created))
        for one in plan.evicted:
            _recall(cache, one)
    finally:
        cache.close()
    return aside


def _recall(cache: ResultCache, one: Evicted) -> None:
    """Record how a content that gc took was made, and the proof that it comes back."""
    recipe = toml.decode_or_none(one.recipe)
    if recipe is None or recipe.key is None or recipe.key != one.key:
        return
    if not cache.made(recipe.key, one.digest, one.output):
        content = Content(one.digest, one.size, one.media_type)
        created = 0.0 if one.proof is None else one.proof.created
        cache.record(recipe, Result(recipe.key, {one.output: content}, one.seconds or 0.0, created))
    if one.proof is not None and one.proof not in cache.proofs(recipe.key, one.digest):
        cache.add_proof(one.proof)


def set_aside(store: ContentStore, state: str) -> str | None:
    """Keep the old database under another name: a damaged one is moved there, a sound one copied. None when
    there is none, or when another process has replaced the damaged one meanwhile."""
    root = store.root
    path = f"{root}/{FILE}"
    with durable.storage_errors(path):
        if state == DAMAGED:
            with database_file.replacing(root):
                return database_file.move_aside(root) if examine(store).state == DAMAGED else None
        with database_file.working(root):
            if presence.found(path) is None:
                return None
            aside = f"{path}.before-{time.time_ns()}"
            try:
                with closing(_open(path)) as db:
                    db.execute("VACUUM INTO ?", (database_file.uri(aside, "mode=rwc"),))
            except sqlite3.OperationalError as error:
                for suffix in ("", "-journal"):
                    durable.unlink(aside + suffix)
                raise database_file.failure(error, aside) or error from error
            sharing.fit(aside, root)
            durable.fsync_file(aside)
            durable.fsync_folder(root)
            return aside
