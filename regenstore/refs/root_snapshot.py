"""The snapshot of a repository's live recipes: each with its standing, pending recipes, pins, and the roots that it was
derived from. One file beside the database keeps it, for two purposes: the next enumeration needs to ask Git only about
changes, and a repository that cannot be reached keeps what it last held.

The file is self-checking: one that is truncated, damaged, of another version or of another repository counts as
missing. Layout: magic, length of the JSON part, the JSON part, the columns one after the other, BLAKE3 of all of it.
Numbers are little-endian.
"""

from __future__ import annotations

import json
import math
import os
import struct
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate, chain, repeat
from operator import attrgetter
from typing import Any, NamedTuple

from regenstore.fs import durable, presence
from regenstore.objects.hashing import hash_bytes
from regenstore.objects.ids import Digest, RecipeKey
from regenstore.objects.result import BlobRecord

REACHED, TIP, WORKING = 1, 2, 4
"""Marks of a live blob: reached by commits, reflogs and the like; in the tree of a ref's tip; in HEAD's tree or a
worktree's index."""
_MAGIC = b"regenstore held 2\n"
_TRAILER = 32
_TEXTS = ("output", "generator", "version", "media_type")
_NOTHING = bytes(32)


class Basis(NamedTuple):
    """The roots that a :class:`LiveRecipes` was derived from."""

    stamp: bytes = b""
    """A stamp over everything that is a root; empty if it cannot be relied on."""
    shape: bytes = b""
    """A stamp over what changes history without changing a root: grafts, shallow, alternates."""
    tips: frozenset[bytes] = frozenset()
    """The objects that refs and HEADs point to."""
    logged: frozenset[bytes] = frozenset()
    """The objects that reflogs name."""


class LiveRecipes(NamedTuple):
    """The live recipes of one repository."""

    records: Mapping[bytes, BlobRecord] = {}
    marks: Mapping[bytes, int] = {}
    """The marks of every blob in ``records`` and ``unreadable``."""
    unreadable: Mapping[bytes, frozenset[Digest]] = {}
    missing: frozenset[bytes] = frozenset()
    pending: tuple[bytes, ...] = ()
    """Recipe texts."""
    pins: frozenset[str] = frozenset()
    told: float = 0.0
    """When this was determined, in seconds since the epoch."""
    basis: Basis = Basis()
    plain: frozenset[bytes] = frozenset()
    """Live blobs that are not recipes."""

    def standing(self, oid: bytes) -> int:
        """Return the standing of a live blob: 3 in a worktree, 2 at a tip, 1 in history only."""
        mark = self.marks[oid]
        return 3 if mark & WORKING else 2 if mark & TIP else 1


def save(path: str, repository: str, held: LiveRecipes) -> None:
    """Write the snapshot durably. Raises StorageError."""
    with durable.storage_errors(path):
        durable.make_folder(os.path.dirname(path))
    durable.write_file(path, encode(repository, held))


def load(path: str, repository: str) -> LiveRecipes | None:
    """Return a repository's snapshot, or None if there is no valid one. Raises StorageError (``unreadable``): nothing
    else knows what an unreachable repository held."""
    data = presence.read(path)
    return None if data is None else decode(repository, data)


def encode(repository: str, held: LiveRecipes) -> bytes:
    """Encode a snapshot. ``repository`` is stored in it for verification."""
    records = list(held.records.values())
    n = len(records)
    texts, choices = _choices(records)
    inputs = [item.raw for record in records for item in record.inputs]
    size = len(next(chain(held.records, held.plain), b""))
    meta = {
        "repository": repository,
        "told": held.told,
        "records": n,
        "inputs": len(inputs),
        "oid_size": size,
        "texts": texts,
        "outdated": {record.oid.hex(): record.outdated.hex for record in records if record.outdated is not None},
        "unreadable": [
            [oid.hex(), held.marks[oid], sorted(digest.hex for digest in mentioned)]
            for oid, mentioned in held.unreadable.items()
        ],
        "missing": _hexes(held.missing),
        "pending": [text.decode("latin-1") for text in held.pending],
        "pins": sorted(held.pins),
        "stamp": held.basis.stamp.hex(),
        "shape": held.basis.shape.hex(),
        "tips": _hexes(held.basis.tips),
        "logged": _hexes(held.basis.logged),
    }
    head = json.dumps(meta, separators=(",", ":")).encode()
    columns = [
        b"".join(record.oid for record in records),
        bytes(held.marks[record.oid] for record in records),
        bytes((record.key is not None) | (record.digest is not None) << 1 for record in records),
        b"".join(_NOTHING if record.key is None else record.key.raw for record in records),
        b"".join(_NOTHING if record.digest is None else record.digest.raw for record in records),
        struct.pack(f"<{n}Q", *(record.size for record in records)),
        struct.pack(f"<{n}d", *(math.nan if record.seconds is None else record.seconds for record in records)),
        bytes(record.sure for record in records),
        *(struct.pack(f"<{n}I", *chosen) for chosen in choices),
        struct.pack(f"<{n}I", *(len(record.inputs) for record in records)),
        b"".join(inputs),
        b"".join(held.plain),
    ]
    body = b"".join([_MAGIC, struct.pack("<Q", len(head)), head, *columns])
    return body + hash_bytes(body).raw


def decode(repository: str, data: bytes) -> LiveRecipes | None:
    """Decode a repository's snapshot; None if it is not valid."""
    body = memoryview(data)[:-_TRAILER]
    if not data.startswith(_MAGIC) or hash_bytes(body).raw != data[-_TRAILER:]:
        return None
    start = len(_MAGIC) + 8
    (length,) = struct.unpack_from("<Q", data, len(_MAGIC))
    meta = json.loads(data[start : start + length])
    if meta["repository"] != repository:
        return None
    at = start + length

    def take(count: int) -> bytes:
        nonlocal at
        at += count
        return data[at - count : at]

    n, size = meta["records"], meta["oid_size"]
    oids, marks, there = _split(take(n * size), size), take(n), take(n)
    keys = _optional(RecipeKey, _split(take(n * 32), 32), there, 1)
    digests = _optional(Digest, _split(take(n * 32), 32), there, 2)
    sizes = struct.unpack(f"<{n}Q", take(8 * n))
    seconds = [None if math.isnan(given) else given for given in struct.unpack(f"<{n}d", take(8 * n))]
    sure = map(bool, take(n))
    outdated = {bytes.fromhex(oid): Digest(bytes.fromhex(hexa)) for oid, hexa in meta["outdated"].items()}
    output, *more = [
        list(map(meta["texts"][column].__getitem__, struct.unpack(f"<{n}I", take(4 * n)))) for column in _TEXTS
    ]
    inputs = _inputs(struct.unpack(f"<{n}I", take(4 * n)), take(meta["inputs"] * 32))
    others = map(outdated.get, oids)
    records = map(BlobRecord, oids, keys, digests, sizes, output, inputs, *more, seconds, others, sure)
    unreadable = {bytes.fromhex(oid): (mark, mentioned) for oid, mark, mentioned in meta["unreadable"]}
    return LiveRecipes(
        dict(zip(oids, records)),
        dict(zip(oids, marks)) | {oid: mark for oid, (mark, _) in unreadable.items()},
        {oid: frozenset(Digest(bytes.fromhex(d)) for d in mentioned) for oid, (_, mentioned) in unreadable.items()},
        _raws(meta["missing"]),
        tuple(text.encode("latin-1") for text in meta["pending"]),
        frozenset(meta["pins"]),
        meta["told"],
        Basis(bytes.fromhex(meta["stamp"]), bytes.fromhex(meta["shape"]), _raws(meta["tips"]), _raws(meta["logged"])),
        frozenset(_split(data[at:-_TRAILER], size)),
    )


def _choices(records: Sequence[BlobRecord]) -> tuple[dict[str, list[str | None]], list[Iterable[int]]]:
    """Return the distinct texts of each column, and which of them each record has."""
    texts: dict[str, list[str | None]] = {}
    choices: list[Iterable[int]] = []
    for column in _TEXTS:
        values = list(map(attrgetter(column), records))
        texts[column] = list(dict.fromkeys(values))
        numbers = {text: number for number, text in enumerate(texts[column])}
        choices.append(map(numbers.__getitem__, values))
    return texts, choices


def _optional(kind: type[Any], raws: Iterable[bytes], there: bytes, bit: int) -> Iterable[Any]:
    if there.count(3) == len(there):
        return map(kind, raws)
    return [kind(raw) if known & bit else None for raw, known in zip(raws, there)]


def _inputs(counts: Sequence[int], joined: bytes) -> Iterable[tuple[Digest, ...]]:
    if not joined:
        return repeat(())
    digests = [Digest(raw) for raw in _split(joined, 32)]
    return [tuple(digests[end - count : end]) for count, end in zip(counts, accumulate(counts))]


def _split(joined: bytes, size: int) -> Sequence[bytes]:
    return [piece for (piece,) in struct.iter_unpack(f"{size}s", joined)] if joined else []


def _hexes(oids: Iterable[bytes]) -> list[str]:
    return sorted(oid.hex() for oid in oids)


def _raws(hexes: Iterable[str]) -> frozenset[bytes]:
    return frozenset(map(bytes.fromhex, hexes))
