"""Results and proofs shared through a remote, so that others know what one machine made or proved.

Many records share one file of JSON lines, which never changes and is named by the digest of its bytes. A store keeps
the files that it has fetched, so that each is fetched once. None of it is trusted: a result only says which digest to
ask for, and only bytes with that digest become a content; proofs remain others' proofs.

A line is a result (``"kind": "result"`` with ``key``, ``recipe``, ``outputs``, ``seconds``, ``created``,
``fingerprint``) or a proof (``"kind": "proof"`` with ``key`` and the fields of a proof). Readers skip lines of other
kinds and damaged ones. Where the remote's gc has merged files, a line (``"kind": "compacted"``) gives the age of the
newest of them (``as_of``, by the remote's clock).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from regenstore.errors import FormatError, StorageError
from regenstore.fs import durable, presence, sharing
from regenstore.objects.hashing import hash_bytes
from regenstore.objects.ids import Digest, RecipeKey
from regenstore.objects.result import Content, KnownOutput, Proof, Result
from regenstore.objects.results.cache import ResultCache
from regenstore.remotes import layout
from regenstore.remotes.backends.contract import Absent, Head, read_small
from regenstore.remotes.remote import Remote

LARGEST = 64 << 20
"""Largest size of a record file, in bytes."""
MOST = 4 << 30
"""Largest total size of a remote's record files, in bytes."""
LONGEST = 32 << 20
"""Longest line in bytes: the largest text of a recipe, in its longest encoding."""
_LINES = 50_000
_MENTIONED = re.compile(rb"blake3:([0-9a-f]{64})")
_COMPACTED = "compacted"
_UNREADABLE = (FormatError, KeyError, TypeError, ValueError, AttributeError, OverflowError)


class SharedResult(NamedTuple):
    """A result recorded by others, with the text of its recipe."""

    result: Result
    recipe: bytes


class _Known(NamedTuple):
    results: dict[RecipeKey, list[SharedResult]]
    outputs: dict[Digest, list[KnownOutput]]
    proofs: list[Proof]


class Records:
    """The records of one remote, as far as this store has fetched them."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote
        self._folder = f"{remote.folder}/records"
        self._known: _Known | None = None

    # -------------------------------------------------------------------------------- exchanging

    def fetch(self) -> int:
        """Fetch new record files and forget deleted ones; returns the number of new ones. Raises StorageError."""
        listed = self._listed()
        for name in self._names():
            if layout.record_digest(layout.RECORDS + name) not in listed:
                durable.unlink(f"{self._folder}/{name}")
        new = [digest for digest in sorted(listed, key=lambda d: d.hex) if not presence.found(self._path(digest))]
        total = sum(_size(f"{self._folder}/{name}") for name in self._names())
        for digest in new:
            name = layout.record(digest)
            try:
                data = read_small(self._remote.backend, name, LARGEST)
            except Absent:
                continue  # the index is older than a gc
            if hash_bytes(data) != digest:
                raise StorageError("remote-wrong-bytes", f"{self._remote.url} has wrong bytes under {name}")
            total += len(data)
            if total > MOST:
                raise StorageError(
                    "remote-failed",
                    f"{self._remote.url} has more than {MOST} bytes of results and proofs",
                    hint="Ask its administrator to run 'regenstore remote gc NAME', which merges them.",
                )
            self._keep(digest, data)
        self._known = None
        return len(new)

    def push(self, cache: ResultCache, there: Collection[Digest]) -> int:
        """Send the results whose outputs are all on the remote, and proofs of these, unless the remote has them;
        returns how many were sent. ``there``: the contents on the remote. Raises StorageError."""
        told = {_identity(record) for record in self._lines()}
        new = [record for record in _own(cache, set(there)) if _identity(record) not in told]
        for start in range(0, len(new), _LINES):
            data = b"".join(_line(record) for record in new[start : start + _LINES])
            digest = hash_bytes(data)
            self._remote.backend.write(layout.record(digest), data)
            if not self._remote.backend.lists:
                self._add_to_index(digest)
            self._keep(digest, data)
        self._known = None
        return len(new)

    def _listed(self) -> dict[Digest, Head | None]:
        names: dict[str, Head | None]
        if self._remote.backend.lists:
            names = dict(self._remote.backend.names(layout.RECORDS))
        else:
            names = {layout.RECORDS + line + ".jsonl": None for line in self._index()}
        return {d: head for name, head in names.items() if (d := layout.record_digest(name)) is not None}

    def _index(self) -> list[str]:
        try:
            return read_small(self._remote.backend, layout.INDEX, LARGEST).decode(errors="replace").split()
        except Absent:
            return []

    def _add_to_index(self, digest: Digest) -> None:
        """Add a name to the index. If two clients write at once, one's line may be lost; so each adds all names it
        knows."""
        known = {name.removesuffix(".jsonl") for name in self._names()}
        lines = sorted({*self._index(), *known, digest.hex})
        self._remote.backend.write(layout.INDEX, ("\n".join(lines) + "\n").encode())

    # -------------------------------------------------------------------------------- clearing up

    def mentioned_since(self, then: float) -> set[Digest]:
        """The contents named in records sent since ``then`` (by the remote's clock), in the files fetched last.
        Raises StorageError."""
        found = set[Digest]()
        for digest, head in self._listed().items():
            lines = self._raw(digest)
            if _age(lines, head) >= then:
                found.update(Digest(bytes.fromhex(told.decode())) for told in _MENTIONED.findall(b"".join(lines)))
        return found

    def compact(self, before: float, *, dry_run: bool = False) -> int:
        """Drop the records whose contents are all gone from files sent before ``before``; returns how many there are.

        The new files are written before the old ones are deleted. Raises StorageError.
        """
        old = {}
        for digest, head in self._listed().items():
            lines = self._raw(digest)
            if lines and (age := _age(lines, head)) < before:
                old[digest] = lines, age
        about = {line: _about(line) for lines, _ in old.values() for line in lines}
        there = self._remote.having(set().union(*about.values())).keys()
        gone = {line for line, digests in about.items() if digests and not digests & there}
        changed = {digest: each for digest, each in old.items() if not gone.isdisjoint(each[0])}
        kept = sorted({line for lines, _ in changed.values() for line in lines if _kind(line) != _COMPACTED} - gone)
        if dry_run or not changed:
            return len(gone)
        as_of = _line({"kind": _COMPACTED, "as_of": max(age for _, age in changed.values())})
        written = set()
        for start in range(0, len(kept), _LINES):
            data = b"".join([as_of, *kept[start : start + _LINES]])
            digest = hash_bytes(data)
            self._remote.backend.write(layout.record(digest), data)
            self._keep(digest, data)
            written.add(digest)
        for digest in changed.keys() - written:
            self._remote.backend.delete(layout.record(digest))
            durable.unlink(self._path(digest))
        self._known = None
        return len(gone)

    def _raw(self, digest: Digest) -> list[bytes]:
        """The lines of a fetched file; empty for others. Raises StorageError (``unreadable``)."""
        return (presence.read(self._path(digest), LARGEST) or b"").splitlines(keepends=True)

    # -------------------------------------------------------------------------------- what they say

    def results(self, key: RecipeKey) -> list[SharedResult]:
        """Results that others recorded for a key, newest first."""
        return self._read().results.get(key, [])

    def known_outputs(self, digest: Digest) -> list[KnownOutput]:
        """Recipes that, according to others' records, made a content."""
        return self._read().outputs.get(digest, [])

    def proofs(self) -> Iterator[Proof]:
        """Proofs by others."""
        yield from self._read().proofs

    def _read(self) -> _Known:
        """The content of the fetched files. It is read once, and again after they change."""
        if self._known is None:
            self._known = self._read_files()
        return self._known

    def _read_files(self) -> _Known:
        results: dict[RecipeKey, list[SharedResult]] = {}
        made: dict[Digest, list[KnownOutput]] = {}
        proofs = []
        for record in self._lines():
            try:
                if record.get("kind") == "proof":
                    proofs.append(_proof(record))
                elif record.get("kind") == "result":
                    found = _result(record)
                    results.setdefault(found.result.key, []).append(found)
                    for name, content in found.result.outputs.items():
                        known = KnownOutput(
                            found.result.key, name, content.media_type, found.result.seconds, found.recipe
                        )
                        made.setdefault(content.digest, []).append(known)
            except _UNREADABLE:
                continue
        for shared in results.values():
            shared.sort(key=lambda each: -each.result.created)
        return _Known(results, made, proofs)

    def _lines(self) -> Iterator[dict[str, Any]]:
        for name in sorted(self._names()):
            data = presence.read(f"{self._folder}/{name}", LARGEST) or b""
            yield from filter(None, map(_record, data.splitlines()))

    def _names(self) -> list[str]:
        return [name for name in presence.names(self._folder) if name.endswith(".jsonl")]

    def _path(self, digest: Digest) -> str:
        return f"{self._folder}/{digest.hex}.jsonl"

    def _keep(self, digest: Digest, data: bytes) -> None:
        with durable.storage_errors(self._folder):
            sharing.make_folders(self._folder)
        durable.write_file(self._path(digest), data)


def _own(cache: ResultCache, there: set[Digest]) -> Iterator[dict[str, Any]]:
    """This store's records about contents on the remote."""
    texts = cache.recipe_texts()
    keys = {made.key for made in cache.every_output() if made.content.digest in there}
    for key in sorted(keys, key=lambda key: key.hex):
        for result in cache.results(key):
            if result.digests <= there and key in texts:
                outputs = {
                    name: {"digest": str(c.digest), "size": c.size, "media_type": c.media_type}
                    for name, c in sorted(result.outputs.items())
                }
                yield {
                    "kind": "result", "key": str(key), "recipe": texts[key].decode(), "outputs": outputs,
                    "seconds": result.seconds, "created": result.created, "fingerprint": dict(result.fingerprint),
                }  # fmt: skip
    for proof in cache.every_proof():
        if proof.take in there:
            yield {
                "kind": "proof", "key": str(proof.key), "take": str(proof.take), "second": str(proof.second),
                "tier": proof.tier, "metric": proof.metric, "score": proof.score, "threshold": proof.threshold,
                "seconds": proof.seconds, "created": proof.created, "fingerprint": dict(proof.fingerprint),
            }  # fmt: skip


def _line(record: Mapping[str, Any]) -> bytes:
    return json.dumps(record, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def _identity(record: Mapping[str, Any]) -> bytes:
    """The part of a record that repeating a run does not change: without cost and date."""
    return hash_bytes(_line({**record, "seconds": 0, "created": 0})).raw


def _age(lines: Sequence[bytes], head: Head | None) -> float:
    """When the newest of a file's records was sent; infinitely recent if the remote does not report it."""
    modified = math.inf if head is None or head.modified is None else head.modified
    told = [record["as_of"] for line in lines[:1] if (record := _record(line)).get("kind") == _COMPACTED]
    return min([modified, *(float(given) for given in told if isinstance(given, (int, float)))])


def _record(line: bytes) -> dict[str, Any]:
    if len(line) > LONGEST:
        return {}
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return record if isinstance(record, dict) else {}


def _kind(line: bytes) -> object:
    return _record(line).get("kind")


def _about(line: bytes) -> set[Digest]:
    """The contents without which a record is useless; empty if unknown."""
    record = _record(line)
    try:
        if record.get("kind") == "proof":
            return {_proof(record).take}
        return set(_result(record).result.digests) if record.get("kind") == "result" else set()
    except _UNREADABLE:
        return set()


def _result(record: Mapping[str, Any]) -> SharedResult:
    outputs = {
        str(name): Content(Digest.parse(told["digest"]), int(told["size"]), str(told["media_type"]))
        for name, told in record["outputs"].items()
    }
    key = RecipeKey.parse(record["key"])
    fingerprint = {str(name): str(value) for name, value in record["fingerprint"].items()}
    if not all(0 <= content.size < 1 << 63 for content in outputs.values()):
        raise ValueError("an output has an invalid size")
    result = Result(key, outputs, _number(record["seconds"]), _number(record["created"]), fingerprint)
    return SharedResult(result, str(record["recipe"]).encode())


def _proof(record: Mapping[str, Any]) -> Proof:
    fingerprint = {str(name): str(value) for name, value in record["fingerprint"].items()}
    numbers = [None if record[name] is None else float(record[name]) for name in ("score", "threshold")]
    return Proof(
        RecipeKey.parse(record["key"]), Digest.parse(record["take"]), Digest.parse(record["second"]),
        str(record["tier"]), str(record["metric"]), numbers[0], numbers[1], _number(record["seconds"]),
        _number(record["created"]), fingerprint,
    )  # fmt: skip


def _number(told: Any) -> float:
    """A finite number. Raises ValueError for others, which could not be compared."""
    number = float(told)
    if not math.isfinite(number):
        raise ValueError("not a finite number")
    return number


def _size(path: str) -> int:
    found = presence.found(path)
    return 0 if found is None else found.st_size
