"""The holders of a store: the current repository, the one that contains the store, and all registered ones. If one does
not exist any more, its last snapshot counts; without a snapshot, what it holds is unknown. If one exists and cannot be
read, what it has come to hold since is unknown, and an error that names the file is raised.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from regenstore.errors import FormatError, RegenstoreError, StorageError
from regenstore.fs import durable, presence
from regenstore.objects.ids import Digest
from regenstore.objects.result import BlobRecord
from regenstore.objects.results.cache import ResultCache
from regenstore.refs import root_snapshot as files
from regenstore.refs.enumeration import Enumeration
from regenstore.refs.git import elsewhere
from regenstore.refs.pins import PREFIX, Pins
from regenstore.refs.registration import (
    Registration,
    held_file,
    identity,
    owner,
    registrations,
    remove,
)
from regenstore.refs.root_snapshot import LiveRecipes
from regenstore.refs.roots import Roots

_OWNER = "owner"
_OR_FORGET = "Make it readable, or, if it is no longer needed, forget it: 'regenstore gc --forget-repository PATH'."


class Holder(NamedTuple):
    """One repository and what it holds."""

    name: str
    """For messages: the folder that its common folder belongs to."""
    path: str
    """Its common folder; empty if the registration is damaged."""
    reachable: bool
    reason: str
    """Why it cannot be reached."""
    held: LiveRecipes
    as_of: float | None
    """When this was determined, in seconds since the epoch; None: never."""
    how: str = ""
    """How this was determined."""

    @property
    def told(self) -> bool:
        """Whether what it holds is known: read now, or from its last snapshot."""
        return self.as_of is not None

    @property
    def records(self) -> Mapping[bytes, BlobRecord]:
        """The contents of its live recipe blobs, by object id."""
        return self.held.records

    @property
    def unreadable(self) -> Mapping[bytes, frozenset[Digest]]:
        """Live blobs that look like recipes and cannot be read -> the digests in them."""
        return self.held.unreadable

    @property
    def missing(self) -> frozenset[bytes]:
        """Objects that a partial clone lacks: if there are any, what it holds is not fully known."""
        return self.held.missing

    @property
    def pending(self) -> tuple[bytes, ...]:
        """The pending recipe texts of all its worktrees."""
        return self.held.pending

    @property
    def pins(self) -> frozenset[str]:
        """The names of its pins."""
        return self.held.pins

    @property
    def complete(self) -> bool:
        """Whether this is everything that it holds, as of ``as_of``."""
        return self.told and not self.held.missing

    def standing(self, oid: bytes) -> int:
        """Return the standing of a live recipe blob: 3 in the HEAD or the index of a worktree, 2 in the tree of a ref's
        tip, 1 in history or reflogs only."""
        return self.held.standing(oid)


class Holders:
    """The holders of one store, read anew each time. ``here`` are the roots of the current repository. Without ``keep``
    nothing is written: neither snapshots nor parsed recipe blobs."""

    def __init__(self, here: Roots, cache: ResultCache, store: str, *, keep: bool = True) -> None:
        self._here = here
        self._cache = cache
        self._store = store
        self._keep = keep

    def holders(self) -> Iterator[Holder]:
        """Yield all holders, the current repository first. Raises FormatError (``git-failed``) if that one is damaged,
        and StorageError if the registrations, or files of any holder that determine what it holds, cannot be read
        (``unreadable``); any other problem with another repository only makes it unreachable."""
        here, lies_in = os.path.realpath(self._here.files.common), owner(self._store)
        known = registrations(self._store)
        mine = _OWNER if lies_in == here else None
        others = [] if lies_in in (here, None) else [Registration(_OWNER, lies_in or "", "")]
        for registered in known:
            if registered.path == here and registered.identity == identity(here):
                mine = mine or registered.name
            else:
                others.append(registered)
        path = held_file(self._store, mine) if self._keep and mine and presence.is_folder(self._store) else None
        told = Enumeration(self._here, self._cache, path, _whose(mine or "")).run()
        yield Holder(_shown(here), here, True, "", told.held, told.held.told, told.how)
        for other in others:
            yield self._other(other)

    def pins(self) -> frozenset[str]:
        """Return the names of all pins that are set now in the reachable repositories: quickly, to notice new ones.
        Raises like :meth:`holders`."""
        found = self._pins_of(self._here)
        here, lies_in = os.path.realpath(self._here.files.common), owner(self._store)
        paths = {registered.path for registered in registrations(self._store)} | {lies_in or ""}
        for path in paths - {here, ""}:
            try:
                found |= self._pins_of(Roots.of_another(path))
            except RegenstoreError as error:
                if error.kind == "unreadable":
                    raise
                continue  # unreachable: its snapshot counts
        return frozenset(found)

    @staticmethod
    def _pins_of(roots: Roots) -> set[str]:
        roots.files.require_refs(PREFIX)
        return {pin.name for pin in Pins(roots.git).all()}

    def _other(self, registered: Registration) -> Holder:
        path, kept = registered.path, held_file(self._store, registered.name)
        name = _shown(path) or registered.name
        try:
            reason = refusal(registered)
            if not reason:
                written = kept if self._keep else None
                told = Enumeration(Roots.of_another(path), self._cache, written, _whose(registered.name)).run()
                return Holder(name, path, True, "", told.held, told.held.told, told.how)
        except RegenstoreError as error:
            if error.kind == "unreadable":
                why = f"{name} relies on this store: {error.message}"
                raise StorageError("unreadable", why, hint=_OR_FORGET) from error
            reason = error.message
        last = files.load(kept, _whose(registered.name))
        return Holder(name, path, False, reason, last or LiveRecipes(), None if last is None else last.told)


def forget(store: str, given: str) -> list[Registration]:
    """Remove the registrations of a repository (given by its worktree, its common folder, or the registration's name)
    and its snapshot: what only it relied on is no longer kept. Returns the registrations removed. Raises
    StorageError."""
    paths = {path for top in (os.path.abspath(given), os.path.realpath(given)) for path in (top, f"{top}/.git")}
    with durable.storage_errors(store):
        gone = [found for found in registrations(store) if found.path in paths or found.name == given]
        for found in gone:
            remove(store, found.name)
    return gone


def refusal(registered: Registration) -> str:
    """Return why a repository cannot be queried; empty if it can. Raises StorageError (``unreadable``) if its existence
    is unknown."""
    path = registered.path
    if not path:
        return "its registration cannot be read"
    if not presence.is_folder(path):
        return f"{path} is not there"
    if registered.identity and identity(path) != registered.identity:
        return f"{path} is not the repository that registered"
    # Let Git discover it: Git does not check the owner of an explicitly named repository (safe.directory).
    top = os.path.dirname(path) if os.path.basename(path) == ".git" else path
    try:
        found = os.path.realpath(elsewhere(top).git_dir())
    except FormatError as error:
        return error.message.split("\n")[0]
    return "" if found == path else f"git finds {found} there"


def _whose(registration: str) -> str:
    """Return the id of a repository's files, which survives moves and damage to the registration."""
    return registration.partition("-")[0]


def _shown(path: str) -> str:
    return os.path.dirname(path) if os.path.basename(path) == ".git" else path
