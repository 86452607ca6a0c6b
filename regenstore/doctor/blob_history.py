"""Find where blobs were last in Git: the path, and the newest commit that holds them. One walk for any number of
blobs."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from regenstore.refs.git import Git


@dataclass(frozen=True)
class Place:
    """The last location of a blob."""

    path: bytes
    commit: str
    """Short name and date, for display."""


def last_seen(git: Git, oids: Collection[bytes]) -> dict[bytes, Place]:
    """Path and commit for each blob that any commit holds, whether reached from a ref or only from a reflog. The
    commit that introduced a blob stands for all later ones that still have it."""
    wanted = set(oids)
    found: dict[bytes, tuple[bytes, str]] = {}
    for commit, before, change in git.moments(wanted) if wanted else ():
        # Newest first: where a blob disappears, the commit before still had it.
        for oid, holder in ((change.oid, commit), (change.old, before)):
            if oid in wanted:
                found.setdefault(oid, (change.path, holder))
    words = git.in_words(dict.fromkeys(holder for _, holder in found.values()))
    return {oid: Place(path, words[holder]) for oid, (path, holder) in found.items()}
