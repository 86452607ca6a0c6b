"""Checks before git pushes commits: media that others could not get. These are media without a recipe, or with one
that was never seen to reproduce the take, which no remote holds."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from regenstore.errors import RegenstoreError
from regenstore.objects.ids import Digest
from regenstore.objects.results.cache import ResultCache
from regenstore.refs.blobs import read_blobs
from regenstore.refs.git import Git
from regenstore.remotes import scope
from regenstore.remotes.remote import Remote
from regenstore.remotes.remote_set import RemoteSet
from regenstore.remotes.scope import Wanted


@dataclass(frozen=True)
class Unshared:
    """Media that no remote holds, and the remotes that could not be asked."""

    media: list[Wanted]
    unasked: Mapping[str, RegenstoreError]


def at_risk(git: Git, cache: ResultCache, lines: Iterable[str], remote: str) -> dict[Digest, Wanted]:
    """The imported media and unproven takes that a push to a Git remote would newly reference.

    ``lines`` are git's input to its pre-push hook: local ref, its object, remote ref, its object. Raises FormatError
    (``git-failed``).
    """
    told = [fields for line in lines if len(fields := line.split()) == 4]
    new = [fields[1] for fields in told if fields[1].strip("0")]  # zeros: the ref is being deleted
    if not new:
        return {}
    old = _known(git, {fields[3] for fields in told if fields[3].strip("0")})
    blobs = scope.outgoing(git, new, old, remote)
    wanted = scope.wanted(read_blobs(git, cache, blobs, remember=True), blobs, cache)
    return {digest: each for digest, each in wanted.items() if each.imported or each.unproven}


def unshared(remotes: Collection[Remote], wanted: Mapping[Digest, Wanted]) -> Unshared:
    """The media that none of the remotes holds, by path. Asks each remote at most once."""
    elsewhere = RemoteSet(list(remotes))
    found = elsewhere.having(wanted.keys())
    return Unshared(scope.in_order(wanted[digest] for digest in wanted.keys() - found), elsewhere.problems)


def _known(git: Git, oids: Collection[str]) -> list[str]:
    """The objects that exist in this repository; those that others have just pushed may not."""
    return [found.oid.hex() for found in git.object_types(oids) if found is not None]
