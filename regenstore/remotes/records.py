"""Results and proofs on a remote: what one machine made or proved, others know.

Many records travel in one file of JSON lines, which never changes and is named by the digest of its bytes. A store
keeps the files that it has seen, so each is brought once. Nothing of them is believed: a result says which digest
to ask for, and only bytes with that digest become a content; proofs stay others' proofs.

A line is a result (``"kind": "result"`` with ``key``, ``recipe``, ``outputs``, ``seconds``, ``created``,
``fingerprint``) or a proof (``"kind": "proof"`` with ``key`` and the fields of a proof). Readers pass over lines of
other kinds and damaged ones.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator, Mapping
from functools import cached_property
from typing import Any, NamedTuple

from regenstore.errors import FormatError, StorageError
from regenstore.objects import durable
from regenstore.objects.hashing import hash_bytes
from regenstore.objects.ids import Digest, RecipeKey
from regenstore.objects.result import Content, KnownOutput, Proof, Result
from regenstore.objects.result_cache import ResultCache
from regenstore.remotes import layout
from regenstore.remotes.backend import Absent
from regenstore.remotes.remote import Remote

LARGEST = 64 << 20
"""Bytes that a file of records may have."""
_LINES = 50_000


class SharedResult(NamedTuple):
    """A result that somebody recorded, with the text of its recipe."""

    result: Result
    recipe: bytes


class Records:
    """The records of one remote, as far as this store has seen them."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote
        self._folder = f"{remote.folder}/records"

    # -------------------------------------------------------------------------------- exchanging

    def fetch(self) -> int:
        """Bring the files of records that are new; how many. Raises StorageError."""
        new = [digest for digest in self._listed() if not os.path.exists(self._path(digest))]
        for digest in new:
            name = layout.record(digest)
            data = bytearray()
            try:
                for block in self._remote.backend.read(name):
                    data += block
                    if len(data) > LARGEST:
                        break
            except Absent:
                continue  # the index is older than a clean-up
            if hash_bytes(bytes(data)) != digest:
                raise StorageError("remote-wrong-bytes", f"{self._remote.url} has other bytes under {name}")
            self._keep(digest, bytes(data))
        self.__dict__.pop("_read", None)
        return len(new)

    def push(self, cache: ResultCache, there: Collection[Digest]) -> int:
        """Send the results whose outputs are all among the contents that are there, and the proofs of those,
        as far as the remote does not have them; how many. Raises StorageError."""
        told = {_identity(record) for record in self._lines()}
        new = [record for record in _own(cache, set(there)) if _identity(record) not in told]
        for start in range(0, len(new), _LINES):
            data = b"".join(_line(record) for record in new[start : start + _LINES])
            digest = hash_bytes(data)
            self._remote.backend.write(layout.record(digest), data)
            if not self._remote.backend.lists:
                self._add_to_index(digest)
            self._keep(digest, data)
        self.__dict__.pop("_read", None)
        return len(new)

    def _listed(self) -> list[Digest]:
        if self._remote.backend.lists:
            names = [name for name, _ in self._remote.backend.names(layout.RECORDS)]
        else:
            names = [layout.RECORDS + line + ".jsonl" for line in self._index()]
        return sorted({d for name in names if (d := layout.record_digest(name)) is not None}, key=lambda d: d.hex)

    def _index(self) -> list[str]:
        try:
            return b"".join(self._remote.backend.read(layout.INDEX)).decode(errors="replace").split()
        except Absent:
            return []

    def _add_to_index(self, digest: Digest) -> None:
        """Another client's line may get lost when both write at a time: each adds all that it knows of."""
        known = {name.removesuffix(".jsonl") for name in _names(self._folder)}
        lines = sorted({*self._index(), *known, digest.hex})
        self._remote.backend.write(layout.INDEX, ("\n".join(lines) + "\n").encode())

    # -------------------------------------------------------------------------------- what they say

    def results(self, key: RecipeKey) -> list[SharedResult]:
        """What others recorded for a key, newest first."""
        return self._read[0].get(key, [])

    def known_outputs(self, digest: Digest) -> list[KnownOutput]:
        """The recipes that others recorded as having made a content."""
        return self._read[1].get(digest, [])

    def proofs(self) -> Iterator[Proof]:
        """Others' proofs."""
        yield from self._read[2]

    @cached_property
    def _read(self) -> tuple[dict[RecipeKey, list[SharedResult]], dict[Digest, list[KnownOutput]], list[Proof]]:
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
            except (FormatError, KeyError, TypeError, ValueError, AttributeError):
                continue
        for shared in results.values():
            shared.sort(key=lambda each: -each.result.created)
        return results, made, proofs

    def _lines(self) -> Iterator[dict[str, Any]]:
        for name in sorted(_names(self._folder)):
            try:
                with open(f"{self._folder}/{name}", "rb") as file:
                    data = file.read(LARGEST)
            except OSError:
                continue
            for line in data.splitlines():
                try:
                    record = json.loads(line)
                except (ValueError, RecursionError):
                    continue
                if isinstance(record, dict):
                    yield record

    def _path(self, digest: Digest) -> str:
        return f"{self._folder}/{digest.hex}.jsonl"

    def _keep(self, digest: Digest, data: bytes) -> None:
        with durable.storage_errors(self._folder):
            os.makedirs(self._folder, exist_ok=True)
        durable.write_file(self._path(digest), data)


def _own(cache: ResultCache, there: set[Digest]) -> Iterator[dict[str, Any]]:
    """This store's records about contents that are there."""
    texts = {bytes(key): text for key, text in cache.read("SELECT key, text FROM recipe", ())}
    keys = {made.key for made in cache.every_output() if made.content.digest in there}
    for key in sorted(keys, key=lambda key: key.hex):
        for result in cache.results(key):
            if result.digests <= there and key.raw in texts:
                outputs = {
                    name: {"digest": str(c.digest), "size": c.size, "media_type": c.media_type}
                    for name, c in sorted(result.outputs.items())
                }
                yield {
                    "kind": "result", "key": str(key), "recipe": bytes(texts[key.raw]).decode(), "outputs": outputs,
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
    """What stays the same when a run is repeated: cost and date do not."""
    return hash_bytes(_line({**record, "seconds": 0, "created": 0})).raw


def _result(record: Mapping[str, Any]) -> SharedResult:
    outputs = {
        str(name): Content(Digest.parse(told["digest"]), int(told["size"]), str(told["media_type"]))
        for name, told in record["outputs"].items()
    }
    key = RecipeKey.parse(record["key"])
    fingerprint = {str(name): str(value) for name, value in record["fingerprint"].items()}
    result = Result(key, outputs, float(record["seconds"]), float(record["created"]), fingerprint)
    return SharedResult(result, str(record["recipe"]).encode())


def _proof(record: Mapping[str, Any]) -> Proof:
    fingerprint = {str(name): str(value) for name, value in record["fingerprint"].items()}
    numbers = [None if record[name] is None else float(record[name]) for name in ("score", "threshold")]
    return Proof(
        RecipeKey.parse(record["key"]), Digest.parse(record["take"]), Digest.parse(record["second"]),
        str(record["tier"]), str(record["metric"]), numbers[0], numbers[1], float(record["seconds"]),
        float(record["created"]), fingerprint,
    )  # fmt: skip


def _names(folder: str) -> list[str]:
    try:
        return [name for name in os.listdir(folder) if name.endswith(".jsonl")]
    except OSError:
        return []
