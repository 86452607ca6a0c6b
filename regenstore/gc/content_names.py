"""Names of contents: the paths that they have, or had, in a repository."""

from __future__ import annotations

import os

from regenstore.errors import FormatError
from regenstore.objects.ids import Digest
from regenstore.objects.results.cache import ResultCache
from regenstore.refs.git import Git
from regenstore.refs.roots import Roots

_BRANCHES, _LOG = ("refs/heads/", "refs/remotes/"), " (reflog)"


def names(git: Git, cache: ResultCache) -> dict[Digest, list[str]]:
    """Return digest -> paths whose recipe records it, those in Git's index first. Uses only what the result cache knows
    about blobs, so call it after a survey. If Git fails, fewer names are returned."""
    paths: dict[bytes, dict[bytes, None]] = {}
    for entry in git.ls_entries(":/", check=False):
        paths.setdefault(entry.oid, {})[entry.path] = None
    try:
        history = git.blob_paths("--all", "--reflog", "--indexed-objects")
    except FormatError:
        history = []
    for oid, path in history:
        if path:
            paths.setdefault(oid, {})[path] = None
    found: dict[Digest, dict[str, None]] = {}
    for oid, record in cache.blobs(paths).items():
        if record.digest is not None:
            found.setdefault(record.digest, {}).update(dict.fromkeys(os.fsdecode(path) for path in paths[oid]))
    return {digest: list(known) for digest, known in found.items()}


def branches(roots: Roots, cache: ResultCache) -> dict[Digest, list[str]]:
    """Return digest -> the branches, local and remote-tracking, that reach a recipe of it."""
    records = roots.recipes(cache, remember=False).records
    found: dict[Digest, dict[str, None]] = {}
    for oid, known in roots.names(records).items():
        digest = records[oid].digest
        if digest is not None:
            heads = (name for name in known if name.startswith(_BRANCHES) and not name.endswith(_LOG))
            short = (name.split("/", 2)[2] for name in heads)
            found.setdefault(digest, {}).update(dict.fromkeys(short))
    return {digest: list(names) for digest, names in found.items()}
