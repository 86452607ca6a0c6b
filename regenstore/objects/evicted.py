"""Manifests of gc: the contents it evicted from the store, and how each can be brought back. Kept forever.

``evicted/<run>.jsonl`` in the store is written durably before the run moves its first content, so that media come back
even if both the result database and the branch with their recipes are gone. One JSON object per line; lines that
cannot be parsed, and what later versions add, are skipped.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from regenstore.errors import FormatError, StorageError
from regenstore.fs import durable, presence
from regenstore.objects import toml
from regenstore.objects.ids import Digest, RecipeKey
from regenstore.objects.result import KnownOutput, Proof

FOLDER = "evicted"
_SUFFIX = ".jsonl"
_UNREADABLE = (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError, FormatError)


class Evicted(NamedTuple):
    """A content that gc evicted, or (with ``taken`` False) an input of one that is itself not in the store."""

    digest: Digest
    size: int
    media_type: str
    rule: str
    standing: str
    seconds: float | None
    """The cost of running its recipe, as known at eviction."""
    key: RecipeKey | None = None
    output: str = "main"
    recipe: bytes | None = None
    """The recipe that brings it back; None if no recipe makes it."""
    proof: Proof | None = None
    taken: bool = True

    @property
    def known(self) -> KnownOutput | None:
        """The same information in the result cache's terms."""
        if self.key is None or self.recipe is None:
            return None
        return KnownOutput(self.key, self.output, self.media_type, self.seconds or 0.0, self.recipe)


def write(root: str, run: str, records: Iterable[Evicted]) -> None:
    """Write a run's manifest atomically and durably. Raises StorageError."""
    folder = f"{root}/{FOLDER}"
    with durable.storage_errors(folder):
        durable.make_folder(folder)
    lines = "".join(json.dumps(_fields(record), sort_keys=True) + "\n" for record in records)
    durable.write_file(manifest_path(root, run), lines.encode(), temp=f"{root}/tmp/manifest-{run}")


def manifest_path(root: str, run: str) -> str:
    """Return the path of a run's manifest."""
    return f"{root}/{FOLDER}/{run}{_SUFFIX}"


def runs(root: str) -> list[str]:
    """Return the runs that have a manifest, oldest first. Raises StorageError (``unreadable``)."""
    names = presence.names(f"{root}/{FOLDER}")
    return sorted(name.removesuffix(_SUFFIX) for name in names if name.endswith(_SUFFIX))


def read(root: str, run: str) -> Iterator[Evicted]:
    """Yield what a run evicted; nothing if it has no manifest."""
    for line in _lines(root, run):
        try:
            yield _record(json.loads(line))
        except _UNREADABLE:
            continue


def damaged(root: str, *, quick: bool = False) -> Iterator[str]:
    """Yield the damage in manifests: 'FILE, line N', or a file with the reason; unless ``quick``, also recipes that do
    not match their keys. Objects other than records, which later versions may add, are not damage."""
    for run in runs(root):
        path = manifest_path(root, run)
        try:
            lines = _lines(root, run)
        except StorageError as error:
            yield f"{path} ({error.message})"
            continue
        for number, line in enumerate(lines, 1):
            try:
                fields = json.loads(line)
                if not isinstance(fields, dict) or "digest" in fields:
                    record = _record(fields)
                    if not quick and record.recipe is not None and toml.decode(record.recipe).key != record.key:
                        raise ValueError
            except _UNREADABLE:
                yield f"{path}, line {number}"


def _lines(root: str, run: str) -> list[bytes]:
    return (presence.read(manifest_path(root, run)) or b"").splitlines()


def everything(root: str) -> Iterator[Evicted]:
    """Yield the latest record of each content and recipe that manifests can bring back."""
    seen = set()
    for run in reversed(runs(root)):
        for record in read(root, run):
            if record.known is not None and (record.digest, record.key) not in seen:
                seen.add((record.digest, record.key))
                yield record


class Manifests:
    """Finds the recipes of evicted contents. Reads all manifests once, on first use."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._known: dict[Digest, list[KnownOutput]] | None = None

    def known_outputs(self, digest: Digest) -> list[KnownOutput]:
        """Return the recipes that bring a content back, latest first."""
        if self._known is None:
            self._known = {}
            for record in everything(self._root):
                assert record.known is not None
                self._known.setdefault(record.digest, []).append(record.known)
        return self._known.get(digest, [])


def _fields(record: Evicted) -> dict[str, object]:
    proof = record.proof
    return {
        "digest": str(record.digest),
        "size": record.size,
        "media_type": record.media_type,
        "rule": record.rule,
        "standing": record.standing,
        "seconds": record.seconds,
        "key": None if record.key is None else str(record.key),
        "output": record.output,
        "recipe": None if record.recipe is None else record.recipe.decode(),
        "taken": record.taken,
        "proof": None
        if proof is None
        else {
            "second": str(proof.second),
            "tier": proof.tier,
            "metric": proof.metric,
            "score": proof.score,
            "threshold": proof.threshold,
            "seconds": proof.seconds,
            "created": proof.created,
            "fingerprint": dict(proof.fingerprint),
        },
    }


def _record(fields: Mapping[str, Any]) -> Evicted:
    digest = Digest.parse(fields["digest"])
    key = None if fields["key"] is None else RecipeKey.parse(fields["key"])
    given = fields["proof"]
    proof = None
    if given is not None and key is not None:
        proof = Proof(
            key,
            digest,
            Digest.parse(given["second"]),
            str(given["tier"]),
            str(given["metric"]),
            given["score"],
            given["threshold"],
            float(given["seconds"]),
            float(given["created"]),
            {str(name): str(value) for name, value in given["fingerprint"].items()},
        )
    return Evicted(
        digest,
        int(fields["size"]),
        str(fields["media_type"]),
        str(fields["rule"]),
        str(fields["standing"]),
        None if fields["seconds"] is None else float(fields["seconds"]),
        key,
        str(fields["output"]),
        None if fields["recipe"] is None else str(fields["recipe"]).encode(),
        proof,
        bool(fields["taken"]),
    )
