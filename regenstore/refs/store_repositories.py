"""Who holds what is in a store: the repository at hand, the one that the store lies in, and all that
registered. One that is not there holds what it last held; one that never told holds nobody knows what. Of one
that is there and cannot be read nobody knows what it came to hold since: that is an error, which names the file.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from regenstore.errors import FormatError, RegenstoreError, StorageError
from regenstore.fs import presence
from regenstore.objects import durable
from regenstore.objects.ids import Digest
from regenstore.objects.result import BlobRecord
from regenstore.objects.result_cache import ResultCache
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
_OR_FORGET = "Make it readable, or forget it, if nobody needs it: 'regenstore gc --forget-repository PATH'."


class Holder(NamedTuple):
    """One repository and what it holds."""

    name: str
    """For people: the folder that its common folder belongs to."""
    path: str
    """Its common folder; empty where the registration is damaged."""
    reachable: bool
    reason: str
    """Why it cannot be reached."""
    held: LiveRecipes
    as_of: float | None
    """When it said what it holds, in seconds since the epoch; None: never."""
    how: str = ""
    """Which way that was found."""

    @property
    def told(self) -> bool:
        """Whether it is known what it holds: from itself now, or from when it was last asked."""
        return self.as_of is not None

    @property
    def records(self) -> Mapping[bytes, BlobRecord]:
        """What its live recipe blobs say, by object id."""
        return self.held.records

    @property
    def unreadable(self) -> Mapping[bytes, frozenset[Digest]]:
        """Live blobs that look like recipes and cannot be read -> the digests they mention."""
        return self.held.unreadable

    @property
    def missing(self) -> frozenset[bytes]:
        """Objects that a partial clone lacks: where there are any, nobody knows all that it holds."""
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
        """Whether this is all that it holds, as of when it told."""
        return self.told and not self.held.missing

    def standing(self, oid: bytes) -> int:
        """How near a live recipe blob is to somebody's work: 3 in the HEAD or the index of a worktree, 2 in the
        tree of a ref's tip, 1 in history or reflogs only."""
        return self.held.standing(oid)


class Holders:
    """The holders of one store, asked anew each time. ``here`` are the roots of the repository at hand. Without
    ``keep`` nothing is written down: neither what they hold, nor what recipe blobs say."""

    def __init__(self, here: Roots, cache: ResultCache, store: str, *, keep: bool = True) -> None:
        self._here = here
        self._cache = cache
        self._store = store
        self._keep = keep

    def holders(self) -> Iterator[Holder]:
        """All of them, the repository at hand first. Raises FormatError (``git-failed``) when that one is
        damaged, StorageError when the registrations cannot be read, or a file or folder of anybody's that tells
        what they hold (``unreadable``); whatever else ails another one only makes it unreachable."""
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
        """The names of all pins that are set now, of those that can be asked: quickly, to see new ones. Raises
        as :meth:`holders` does."""
        found = self._pins_of(self._here)
        here, lies_in = os.path.realpath(self._here.files.common), owner(self._store)
        paths = {registered.path for registered in registrations(self._store)} | {lies_in or ""}
        for path in paths - {here, ""}:
            try:
                found |= self._pins_of(Roots.of_another(path))
            except RegenstoreError as error:
                if error.kind == "unreadable":
                    raise
                continue  # it cannot be asked: it holds what it last held
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
    """Take away the registrations of a repository (given by its worktree, its common folder, or the name of
    its registration), and what it last held: what only it relied on is kept no longer. Gives those that went.
    Raises StorageError."""
    paths = {path for top in (os.path.abspath(given), os.path.realpath(given)) for path in (top, f"{top}/.git")}
    with durable.storage_errors(store):
        gone = [found for found in registrations(store) if found.path in paths or found.name == given]
        for found in gone:
            remove(store, found.name)
    return gone


def refusal(registered: Registration) -> str:
    """Why a repository cannot be asked; empty when it can. Raises StorageError (``unreadable``) where it cannot be
    told whether it is there."""
    path = registered.path
    if not path:
        return "its registration cannot be read"
    if not presence.is_folder(path):
        return f"{path} is not there"
    if registered.identity and identity(path) != registered.identity:
        return f"{path} is not the repository that registered"
    # Found, not given: a repository that is given by name is not checked for its owner (safe.directory).
    top = os.path.dirname(path) if os.path.basename(path) == ".git" else path
    try:
        found = os.path.realpath(elsewhere(top).git_dir())
    except FormatError as error:
        return error.message.split("\n")[0]
    return "" if found == path else f"git finds {found} there"


def _whose(registration: str) -> str:
    """What a repository's files are known by, also when it was moved and after its registration was damaged."""
    return registration.partition("-")[0]


def _shown(path: str) -> str:
    return os.path.dirname(path) if os.path.basename(path) == ".git" else path
