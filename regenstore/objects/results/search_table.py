"""The search texts of recipe blobs in the result database: expendable, and made again from Git's blobs.

The tables are made when they are first written. They are no part of the database's schema: programs that do not know
them work with the database as before. Their names have the version of the texts, so a program never reads those of
another version.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from regenstore.objects.hashing import hash_bytes
from regenstore.objects.results.cache import ResultCache
from regenstore.objects.search_text import SearchText

_WILD = re.compile(r"[\\%_]")
_TABLES = (
    "CREATE TABLE IF NOT EXISTS search_text_1 (oid BLOB PRIMARY KEY, own TEXT NOT NULL, nested BLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS search_nested_1 (id BLOB PRIMARY KEY, text TEXT NOT NULL)",
)


class KnownTexts(NamedTuple):
    """Search texts by blob id. The texts of nested values are apart, by a number: many recipes share one."""

    own: dict[bytes, tuple[str, bytes]]
    nested: dict[bytes, str]


def searched_blobs(cache: ResultCache) -> set[bytes]:
    """Return all blobs whose texts the table has."""
    if not _is_made(cache):
        return set()
    return {oid for (oid,) in cache.database.rows("SELECT oid FROM search_text_1", ())}


def search_texts(cache: ResultCache, oids: set[bytes], parts: Sequence[Sequence[str]]) -> KnownTexts:
    """Return the texts of those of the blobs that the table has and that may match: for each of ``parts``, a text has
    one of its items, whatever the case of ASCII letters. Rows of the wrong types, a kind of damage that SQLite does not
    notice, are skipped."""
    if not _is_made(cache):
        return KnownTexts({}, {})
    rows = cache.database.rows
    conditions, values = [], []
    for alternatives in parts:
        likes = [f"%{_WILD.sub(_escaped, part)}%" for part in alternatives]
        nested = " OR ".join("text LIKE ? ESCAPE '\\'" for _ in likes)
        own = nested.replace("text", "own")
        conditions.append(f"({own} OR nested IN (SELECT id FROM search_nested_1 WHERE {nested}))")  # noqa: S608  no values
        values += [*likes, *likes]
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    found = rows(f"SELECT oid, own, nested FROM search_text_1{where}", values)  # noqa: S608  no values
    texts = {oid: (own, nested) for oid, own, nested in found if oid in oids and isinstance(own, str)}
    needed = {nested for _, nested in texts.values()}
    shared = cache.database.rows_in("SELECT id, text FROM search_nested_1 WHERE id IN", needed)
    known = {number: text for number, text in shared if isinstance(text, str)}
    return KnownTexts({oid: told for oid, told in texts.items() if told[1] in known}, known)


def _is_made(cache: ResultCache) -> bool:
    return bool(cache.database.rows("SELECT 1 FROM sqlite_schema WHERE name = 'search_text_1'", ()))


def _escaped(found: re.Match[str]) -> str:
    return "\\" + found[0]


def known_texts(texts: Mapping[bytes, SearchText]) -> KnownTexts:
    """Return texts in the form in which the table has them."""
    nested = {text.nested: hash_bytes(text.nested.encode()).raw[:16] for text in texts.values()}
    own = {oid: (text.own, nested[text.nested]) for oid, text in texts.items()}
    return KnownTexts(own, {number: text for text, number in nested.items()})


def add_search_texts(cache: ResultCache, texts: KnownTexts) -> None:
    """Store the texts of blobs, in one transaction."""
    own = [(oid, *text) for oid, text in texts.own.items()]

    def work(db: sqlite3.Connection) -> None:
        for table in _TABLES:
            db.execute(table)
        db.executemany("INSERT OR REPLACE INTO search_nested_1 VALUES (?, ?)", texts.nested.items())
        db.executemany("INSERT OR REPLACE INTO search_text_1 VALUES (?, ?, ?)", own)

    if own:
        cache.database.write(work)
