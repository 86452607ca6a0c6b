"""Where blobs of Git were last: the path, and the newest commit that holds them. One walk for any number."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from regenstore.refs.git import Git


@dataclass(frozen=True)
class Place:
    """Where a blob was last."""

    path: bytes
    commit: str
    """In words: short name and date."""


def last_seen(git: Git, oids: Collection[bytes]) -> dict[bytes, Place]:
    """Path and commit for each blob that any commit holds, whether a ref or only a reflog leads there. A commit
    that a blob came with stands for all later ones that still have it."""
    wanted = set(oids)
    found: dict[bytes, tuple[bytes, str]] = {}
    for commit, before, change in git.moments(wanted) if wanted else ():
        # Newest first: where a blob goes away, the commit before still had it.
        for oid, holder in ((change.oid, commit), (change.old, before)):
            if oid in wanted:
                found.setdefault(oid, (change.path, holder))
    words = git.in_words(dict.fromkeys(holder for _, holder in found.values()))
    return {oid: Place(path, words[holder]) for oid, (path, holder) in found.items()}
