"""Examines a result database in place, intact or not: checking it, copying it, reading a damaged one."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

from regenstore.errors import FormatError
from regenstore.fs import durable, presence
from regenstore.objects import toml
from regenstore.objects.ids import Digest, RecipeKey
from regenstore.objects.recipe import Recipe
from regenstore.objects.result import Content, Proof, Result
from regenstore.objects.results import database_file
from regenstore.objects.results.database import PATIENCE, SCHEMA_VERSION

_SHOWN = 5
_TIERS = frozenset({"bytes", "content", "equivalent", "different"})
_UNREADABLE = (sqlite3.DatabaseError, OSError, ValueError, TypeError, KeyError, OverflowError, RecursionError)


@dataclass(frozen=True)
class Examination:
    """What is wrong with a database, and the outputs that it records; none after a quick check."""

    problems: tuple[str, ...] = ()
    outputs: tuple[tuple[Digest, int], ...] = ()
    """Digest and size of each."""


def examine(path: str, *, quick: bool = False) -> Examination:
    """Check a database: the whole of it, or with ``quick`` its structure. Raises FormatError (``newer-store``),
    Conflict (``store-busy``) and StorageError."""
    try:
        with closing(_open(path)) as db:
            version = db.execute("PRAGMA user_version").fetchone()[0]
            if version > SCHEMA_VERSION:
                raise FormatError("newer-store", f"{path} has version {version}; {SCHEMA_VERSION} is known here")
            problems = [row[0] for row in db.execute(f"PRAGMA {'quick' if quick else 'integrity'}_check({_SHOWN})")]
            if problems != ["ok"]:
                return Examination(tuple(problems))
            mistyped = () if quick else tuple(_mistyped(db))
            if mistyped:
                return Examination(mistyped)
            rows = db.execute("SELECT DISTINCT digest, size FROM output").fetchall() if version and not quick else []
            return Examination((), tuple((Digest(digest), size) for digest, size in rows))
    except sqlite3.DatabaseError as error:
        refused = database_file.refusal(error, path)
        if refused is not None:
            raise refused from error  # for instance while recovering the log: an intact database must not be moved
        return Examination((str(error),))
    except ValueError as error:  # a digest of the wrong length
        return Examination((f"it contains an invalid digest: {error}",))


def copy(path: str, to: str) -> None:
    """Copy an intact database to another name, as one file. On failure nothing is left there, and StorageError or
    Conflict is raised."""
    try:
        with closing(_open(path)) as db:
            db.execute("VACUUM INTO ?", (database_file.uri(to, "mode=rwc"),))
    except sqlite3.OperationalError as error:
        for suffix in ("", "-journal"):
            durable.unlink(to + suffix)
        raise database_file.failure(error, to) or error from error


def read_damaged(path: str, work: str) -> tuple[list[tuple[Recipe, Result]], list[Proof]] | None:
    """Return the results and proofs that can still be read; None if their tables are damaged, or of another version.
    Reads only; ``work`` is the name for a copy."""
    try:
        with _as_it_lies(path, work) as db:
            if db.execute("PRAGMA user_version").fetchone()[0] != SCHEMA_VERSION:
                return None
            for table in ("recipe", "result", "output", "proof"):
                if [row[0] for row in db.execute(f"PRAGMA integrity_check({table})")] != ["ok"]:
                    return None
            return list(_results(db)), list(_proofs(db))
    except _UNREADABLE:
        return None


def _mistyped(db: sqlite3.Connection) -> Iterator[str]:
    """Return values of another type than their column's: one wrong bit causes that, and SQLite's check misses it."""
    columns = db.execute(
        "SELECT m.name, c.name, lower(c.type) FROM sqlite_schema m JOIN pragma_table_info(m.name) c"
        " WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
    ).fetchall()
    for table, column, kind in columns:
        # SQL has no placeholders for names. These are the database's own, and may be damaged: doubled quotes end none.
        named, value = (name.replace('"', '""') for name in (table, column))
        query = f'SELECT count(*) FROM "{named}" WHERE typeof("{value}") NOT IN (?, ?)'  # noqa: S608  quoted names
        ((wrong,),) = db.execute(query, (kind, "null"))
        if wrong:
            yield f"{wrong} values of {table}.{column} are not of type {kind}"


def _open(path: str) -> sqlite3.Connection:
    only_open = database_file.uri(path, "mode=rw")  # creates nothing
    return sqlite3.connect(only_open, uri=True, isolation_level=None, timeout=PATIENCE)


@contextmanager
def _as_it_lies(path: str, work: str) -> Iterator[sqlite3.Connection]:
    """Open a database without modifying it: SQLite would merge its log, so one that has a log is copied first."""
    try:
        if presence.found(f"{path}-wal") is not None:
            for suffix in ("-wal", ""):
                shutil.copyfile(path + suffix, work + suffix)
            path, how = work, "mode=rw"
        else:
            how = "immutable=1"
        with closing(sqlite3.connect(database_file.uri(path, how), uri=True, isolation_level=None)) as db:
            yield db
    finally:
        for suffix in ("-wal", "-shm", ""):
            durable.unlink(work + suffix)


def _results(db: sqlite3.Connection) -> Iterator[tuple[Recipe, Result]]:
    """Return the results whose recipe has the key that it is stored under. Those whose bytes are gone are kept too:
    they record what a generator gave."""
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
