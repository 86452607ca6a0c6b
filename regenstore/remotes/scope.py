"""Select contents by what recipes name: takes and inputs, each with a path by which people know it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from regenstore.objects.ids import Digest
from regenstore.objects.results.cache import ResultCache
from regenstore.refs.blobs import RecipeBlobs
from regenstore.refs.git import Git


class Wanted(NamedTuple):
    """A content that a recipe names."""

    digest: Digest
    size: int | None
    """None if only an input names it, as inputs record no size."""
    path: bytes
    """The recipe's path; empty if unknown."""
    is_input: bool
    imported: bool = False
    """Whether it has no recipe."""
    unproven: bool = False
    """Whether it has a recipe that no second run has reproduced yet."""


def here(git: Git, index: Mapping[bytes, bytes]) -> dict[bytes, set[bytes]]:
    """Path -> the blobs that HEAD and this worktree's index have there. Raises FormatError (``git-failed``)."""
    found = {path: {oid} for path, oid in index.items()}
    some = git.resolve("HEAD") is not None  # otherwise there is no commit yet
    for entry in git.ls_tree("HEAD") if some else ():
        if entry.kind == "blob":
            found.setdefault(entry.path, set()).add(entry.oid)
    return found


def outgoing(git: Git, new: Iterable[str], old: Iterable[str], remote: str) -> dict[bytes, bytes]:
    """Blob -> one of its paths, for all that a push of commits to a Git remote would add. Raises FormatError
    (``git-failed``)."""
    tips = [*new, *(f"^{oid}" for oid in old)]
    return dict(git.blob_paths("--not", f"--remotes={remote}", "--not", tips=tips))


def wanted(said: RecipeBlobs, paths: Mapping[bytes, bytes], cache: ResultCache) -> dict[Digest, Wanted]:
    """The contents that recipe blobs name: takes, then inputs, then those mentioned in unreadable texts."""
    proven = {(proof.key, proof.take) for proof in cache.every_proof() if proof.proves}
    found: dict[Digest, Wanted] = {}
    for oid, record in said.records.items():
        if record.digest is not None:
            imported = record.generator is None
            unproven = not imported and (record.key, record.digest) not in proven
            path = paths.get(oid, b"")
            found.setdefault(record.digest, Wanted(record.digest, record.size, path, False, imported, unproven))
    for oid, record in said.records.items():
        for digest in record.inputs:
            found.setdefault(digest, Wanted(digest, None, paths.get(oid, b""), True))
    for oid, digests in said.unreadable.items():
        for digest in digests:
            found.setdefault(digest, Wanted(digest, None, paths.get(oid, b""), True))
    return found


def in_order(found: Iterable[Wanted]) -> list[Wanted]:
    """Sorted by path, takes before inputs."""
    return sorted(found, key=lambda each: (not each.path, each.path, each.is_input, each.digest.hex))
