"""Incremental enumeration of everything a repository holds.

If no root has changed, the stored snapshot is the answer. If names were only added, what they reach is added. Anything
else, and any doubt, leads to a full walk. The answer always equals that of a full walk.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import NamedTuple

from regenstore.errors import FormatError, StorageError
from regenstore.fs import presence
from regenstore.objects.results.cache import ResultCache
from regenstore.refs import root_snapshot as files
from regenstore.refs.git import ListedBlobs
from regenstore.refs.pending import Pending
from regenstore.refs.pins import Pins
from regenstore.refs.root_snapshot import REACHED, TIP, WORKING, Basis, LiveRecipes
from regenstore.refs.roots import Points, Roots, at_once

UNCHANGED, ADDED, FULL = "unchanged", "added", "full"


class Enumerated(NamedTuple):
    """What is held, and how it was determined."""

    held: LiveRecipes
    how: str


class Enumeration:
    """Enumerates one repository. If ``path`` is given, the snapshot is stored there under the repository's name, as far
    as the file can be written."""

    def __init__(self, roots: Roots, cache: ResultCache, path: str | None, name: str) -> None:
        self._roots = roots
        self._cache = cache
        self._path = path
        self._name = name

    def run(self) -> Enumerated:
        """Enumerate everything that the repository holds. Raises FormatError (``git-failed``), and StorageError
        (``unreadable``) if one of its files or folders cannot be read."""
        roots = self._roots
        try:
            # Pending recipes first: 'git add' moves them from there to the index.
            pending = tuple(text for _, folder in roots.files.worktrees() for text in Pending(folder).paths().values())
        except OSError as error:
            raise presence.unreadable(error, error.filename or roots.files.common) from error
        before = roots.files.stamp()
        old = self._kept()
        if old is not None and old.basis.stamp == before:
            found = Enumerated(self._unchanged(old, pending), UNCHANGED)
        else:
            found = self._changed(old, before, pending)
        if self._path is not None and found.held is not old:
            try:
                files.save(self._path, self._name, found.held)
            except StorageError:
                pass  # the next enumeration takes longer
        return found

    def _kept(self) -> LiveRecipes | None:
        """Return the stored snapshot; None if it is unusable, since a full walk gives the same answer."""
        try:
            return None if self._path is None else files.load(self._path, self._name)
        except StorageError:
            return None

    def _unchanged(self, old: LiveRecipes, pending: tuple[bytes, ...]) -> LiveRecipes:
        held = old if pending == old.pending else old._replace(pending=pending, told=time.time())
        if old.unreadable:
            # A newer program may have learned to read them.
            said = self._roots.say(self._cache, old.unreadable, remember=True)
            if said.records:
                held = held._replace(records={**old.records, **said.records}, unreadable=said.unreadable)
        return held

    def _changed(self, old: LiveRecipes | None, before: bytes, pending: tuple[bytes, ...]) -> Enumerated:
        roots = self._roots
        roots.require_readable()
        found = self._asked(old)
        if found.how == ADDED and roots.files.stamp() != before:
            found = self._asked(None)  # the repository is changing: only a walk by Git alone is correct then
        pins = frozenset(pin.name for pin in Pins(roots.git).all())
        sound = found.held.basis.shape and roots.files.stamp() == before
        basis = found.held.basis._replace(stamp=before) if sound else Basis()
        return found._replace(held=found.held._replace(pending=pending, pins=pins, told=time.time(), basis=basis))

    def _asked(self, old: LiveRecipes | None) -> Enumerated:
        roots = self._roots
        points = roots.points(frozenset() if old is None else old.basis.logged)
        shape = roots.files.shape()
        more = None if old is None or not points.sure or old.basis.shape != shape else self._since(old.basis, points)
        working = roots.in_worktrees()  # before refs: whatever is committed meanwhile was here before
        marks: dict[bytes, int] = {}
        if old is None or more is None:
            reached, tips = at_once(roots.reached, roots.in_tips)
        else:
            reached, tips = more, roots.in_tips()
            marks = {oid: REACHED for oid, mark in old.marks.items() if mark & REACHED}
        for bit, listed in ((REACHED, reached), (TIP, tips), (WORKING, working)):
            for oid in listed.blobs:
                marks[oid] = marks.get(oid, 0) | bit
        held = self._told(old, marks, more is not None)
        missing = frozenset([*reached.missing, *tips.missing, *working.missing])
        basis = Basis(b"", shape, points.tips, points.logged) if points.sure else Basis()
        return Enumerated(held._replace(missing=missing, basis=basis), FULL if more is None else ADDED)

    def _since(self, basis: Basis, points: Points) -> ListedBlobs | None:
        """Return what is reached now and was not before; None if more than that changed."""
        before, now = basis.tips | basis.logged, points.tips | points.logged
        gone = before - now
        try:
            if gone and not self._roots.covered(gone, points.tips):
                return None
            return self._roots.reached_since(now - before, basis.tips)
        except FormatError:
            return None  # the full walk reports the error better

    def _told(self, old: LiveRecipes | None, marks: Mapping[bytes, int], added: bool) -> LiveRecipes:
        """Return the contents of the marked blobs, reusing what is known from before."""
        records = {} if old is None else {oid: told for oid in marks if (told := old.records.get(oid)) is not None}
        plain = frozenset() if old is None else old.plain
        unknown = [oid for oid in marks if oid not in records and oid not in plain]
        said = self._roots.say(self._cache, unknown, remember=self._path is not None)
        records.update(said.records)
        plain |= said.plain
        return LiveRecipes(
            records,
            {oid: marks[oid] for oid in (*records, *said.unreadable)},
            said.unreadable,
            plain=plain if added else plain & marks.keys(),
        )
