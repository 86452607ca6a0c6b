"""Access to the result database: opening and upgrading it, short transactions, and replacing a damaged one.

SQLite in WAL mode. All data can be restored from Git's recipe blobs and by running recipes; a missing database is
created anew, a damaged one is moved aside first. Every write is one short ``BEGIN IMMEDIATE`` transaction, so a killed
process leaves all of it or nothing.
"""

from __future__ import annotations

import os
import sqlite3
from _thread import RLock
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from typing import Any, TypeVar

from regenstore.errors import FormatError, StorageError
from regenstore.fs import durable, presence, sharing
from regenstore.objects.results import database_file
from regenstore.objects.results.database_file import FILE

SCHEMA_VERSION = 7
APPLICATION_ID = 0x52474E53  # "RGNS"
_SCHEMA = """
CREATE TABLE recipe (key BLOB PRIMARY KEY, text BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE result (
    id INTEGER PRIMARY KEY, key BLOB NOT NULL, created REAL NOT NULL, seconds REAL NOT NULL,
    generator TEXT NOT NULL, version TEXT NOT NULL, fingerprint TEXT NOT NULL);
CREATE INDEX result_by_key ON result (key, created);
CREATE INDEX result_by_generator ON result (generator, version, created);
CREATE TABLE output (
    result INTEGER NOT NULL REFERENCES result (id), name TEXT NOT NULL, digest BLOB NOT NULL,
    size INTEGER NOT NULL, media_type TEXT NOT NULL, PRIMARY KEY (result, name)) WITHOUT ROWID;
CREATE INDEX output_by_digest ON output (digest);
CREATE TABLE blob (
    oid BLOB PRIMARY KEY, key BLOB, digest BLOB, size INTEGER NOT NULL, output TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE run (
    id INTEGER PRIMARY KEY, key BLOB NOT NULL, recipe BLOB NOT NULL, started REAL NOT NULL,
    process INTEGER NOT NULL, state TEXT NOT NULL, message TEXT NOT NULL DEFAULT '');
CREATE INDEX run_by_state ON run (state, started);
"""
_PROOFS = """
CREATE TABLE proof (
    key BLOB NOT NULL, take BLOB NOT NULL, fingerprint TEXT NOT NULL, second BLOB NOT NULL, tier TEXT NOT NULL,
    metric TEXT NOT NULL, score REAL, threshold REAL, seconds REAL NOT NULL, created REAL NOT NULL,
    PRIMARY KEY (key, take, fingerprint)) WITHOUT ROWID
"""
# Rows without inputs are dropped with their table: Git's blobs are read again.
_BLOB_INPUTS = """
DROP TABLE blob;
CREATE TABLE blob (
    oid BLOB PRIMARY KEY, key BLOB, digest BLOB, size INTEGER NOT NULL, output TEXT NOT NULL,
    inputs BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE plain_blob (oid BLOB PRIMARY KEY) WITHOUT ROWID
"""
# Blobs are read again, now with the columns that a survey needs. A proof does not replace one of the same environment
# that found other bytes. Inputs of recipes stored by earlier programs are parsed on demand.
_SURVEYED = """
DROP TABLE blob;
CREATE TABLE blob (
    oid BLOB PRIMARY KEY, key BLOB, digest BLOB, size INTEGER NOT NULL, output TEXT NOT NULL,
    inputs BLOB NOT NULL, generator TEXT, version TEXT NOT NULL, media_type TEXT NOT NULL,
    seconds REAL) WITHOUT ROWID;
ALTER TABLE recipe ADD COLUMN inputs BLOB;
ALTER TABLE proof RENAME TO proof_before;
CREATE TABLE proof (
    key BLOB NOT NULL, take BLOB NOT NULL, fingerprint TEXT NOT NULL, second BLOB NOT NULL, tier TEXT NOT NULL,
    metric TEXT NOT NULL, score REAL, threshold REAL, seconds REAL NOT NULL, created REAL NOT NULL,
    PRIMARY KEY (key, take, fingerprint, second)) WITHOUT ROWID;
INSERT INTO proof SELECT * FROM proof_before;
DROP TABLE proof_before
"""
_USAGE = """
CREATE TABLE usage (
    digest BLOB PRIMARY KEY, frequency REAL NOT NULL, base REAL NOT NULL, used REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE gc_value (name TEXT PRIMARY KEY, value REAL NOT NULL) WITHOUT ROWID
"""
# Blobs are read again, now recording whether their takes were made with other parameters.
_OUTDATED = """
DROP TABLE blob;
CREATE TABLE blob (
    oid BLOB PRIMARY KEY, key BLOB, digest BLOB, size INTEGER NOT NULL, output TEXT NOT NULL,
    inputs BLOB NOT NULL, generator TEXT, version TEXT NOT NULL, media_type TEXT NOT NULL,
    seconds REAL, outdated BLOB, sure INTEGER NOT NULL) WITHOUT ROWID
"""
# Blobs that earlier programs read were all written by programs that capture nothing.
_CAPTURED = "ALTER TABLE blob ADD COLUMN captured TEXT NOT NULL DEFAULT ''"
_STEPS = (_SCHEMA, _PROOFS, _BLOB_INPUTS, _SURVEYED, _USAGE, _OUTDATED, _CAPTURED)
"""The migrations from version n to n + 1."""
BATCH = 500
"""The maximum number of values in one query."""
PATIENCE = 30.0
"""Seconds to wait for another process that is writing."""
T = TypeVar("T")


class Database:
    """Opened on first use. Thread-safe: operations are serialised. Methods raise StorageError, Conflict
    (``store-busy``) and FormatError (``newer-store``)."""

    def __init__(self, root: str) -> None:
        self.path = f"{root}/{FILE}"
        self._root = root
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        self._working = False
        self._lock = RLock()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def rows(self, query: str, values: Sequence[object]) -> list[Any]:
        """Return the rows of a query; empty if there is no database: reading creates none."""
        if self._connection is None and presence.found(self.path) is None:
            return []
        return self._try(lambda db: db.execute(query, values).fetchall())

    def rows_in(self, query: str, values: Iterable[bytes]) -> Iterator[Any]:
        """Return the rows of a query ending in ``IN``, for any number of values."""
        wanted = list(values)
        for start in range(0, len(wanted), BATCH):
            part = wanted[start : start + BATCH]
            yield from self.rows(f"{query} ({','.join('?' * len(part))})", part)

    def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do some work in one transaction."""

        def transaction(db: sqlite3.Connection) -> T:
            db.execute("BEGIN IMMEDIATE")
            try:
                done = work(db)
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise
            return done

        return self._try(transaction)

    def _try(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do some work; repeat it with a new database if this one turns out to be damaged."""
        with self._lock:
            return work(self._open()) if self._working else self._try_twice(work)

    def _try_twice(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            try:
                return self._work(work)
            except sqlite3.DatabaseError as error:
                if not database_file.is_damage(error):
                    raise
                self._replace_damaged()
                return self._work(work)
        except sqlite3.DatabaseError as error:
            if database_file.is_damage(error):
                raise StorageError("store-damaged", f"{self.path}: {error}") from error
            refused = database_file.failure(error, self.path)
            if refused is None:
                raise  # our own bug
            raise refused from error

    def _work(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do some work with the file that has the database's name now: another process may have replaced it."""
        with database_file.working(self._root):
            if self._connection is not None and database_file.identity(self.path) != self._file:
                self.close()
            self._working = True
            try:
                return work(self._open())
            finally:
                self._working = False

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = self._connect()
            self._file = database_file.identity(self.path)
        return self._connection

    def _replace_damaged(self) -> None:
        """Move the database aside, unless another process has done so already. Its data can be restored; the old file
        is kept anyway."""
        self.close()
        with durable.storage_errors(self.path), database_file.replacing(self._root):
            if not self._sound():
                database_file.move_aside(self._root)

    def _sound(self) -> bool:
        try:
            with closing(self._connect()) as db:
                return bool(db.execute("PRAGMA quick_check(1)").fetchone()[0] == "ok")
        except sqlite3.DatabaseError as error:
            if database_file.is_damage(error):
                return False
            raise

    def _connect(self) -> sqlite3.Connection:
        if not os.path.lexists(self.path) and os.path.isdir(self._root):
            with suppress(OSError):  # SQLite reports the reason; its log and index get the database's mode
                os.close(sharing.create(self.path, os.O_RDWR))
        db = sqlite3.connect(self.path, isolation_level=None, timeout=PATIENCE, check_same_thread=False)
        try:
            database_file.use_wal(db, PATIENCE)
            db.execute("PRAGMA synchronous = NORMAL")
            db.execute("PRAGMA mmap_size = 268435456")
            db.execute("PRAGMA temp_store = MEMORY")  # no files elsewhere, on a disk that no message would name
            version = db.execute("PRAGMA user_version").fetchone()[0]
            if version < SCHEMA_VERSION:
                self._upgrade(db)
            elif version > SCHEMA_VERSION:
                raise FormatError(
                    "newer-store", f"{self.path} has version {version}; {SCHEMA_VERSION} is the newest known here"
                )
        except BaseException:
            db.close()
            raise
        return db

    @staticmethod
    def _upgrade(db: sqlite3.Connection) -> None:
        """Apply the missing migrations, all or none."""
        db.execute("BEGIN IMMEDIATE")
        version = db.execute("PRAGMA user_version").fetchone()[0]  # another process may have been first
        for step in _STEPS[version:]:
            for statement in step.split(";"):
                db.execute(statement)
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        db.execute(f"PRAGMA user_version = {max(version, SCHEMA_VERSION)}")
        db.execute("COMMIT")
