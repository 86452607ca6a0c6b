"""Finds the recipe that names a content at another path: in pending recipes, Git's index, or HEAD.

A medium that appears at a new path was moved or copied there, with ``mv``, a file manager or ``cp``, and Git asks for
its recipe by the new path alone. The right recipe is the one that names these bytes elsewhere, with its current labels
and parameters. A recipe whose file has disappeared from its path is preferred, as in Git's own rename detection.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import takewhile
from typing import NamedTuple, Protocol

from regenstore.errors import StorageError
from regenstore.objects import toml
from regenstore.objects.ids import Digest
from regenstore.objects.recipe import Take
from regenstore.objects.results.cache import ResultCache
from regenstore.objects.scan import scan_take
from regenstore.refs.blobs import read_texts
from regenstore.refs.git import BlobReader, Git, blob_id
from regenstore.refs.pending import Pending
from regenstore.refs.recipes import ATTRIBUTE

_PENDING_MOVED, _INDEX_MOVED, _HEAD, _ADDED_MOVED, _PENDING_COPY, _INDEX_COPY, _ADDED_COPY = range(7)


class Index(Protocol):
    """Git's index, and which of its files are gone from the worktree."""

    def oids(self) -> Mapping[bytes, bytes]: ...

    def conflicts(self) -> Mapping[bytes, Iterable[bytes]]: ...

    def moved_away(self, path: bytes) -> bool: ...


class Origin(NamedTuple):
    """The recipe of a content at another path."""

    path: bytes
    text: bytes
    others: tuple[bytes, ...] = ()
    """Paths with other recipes of the same bytes that are equally likely."""


class _Place(NamedTuple):
    path: bytes
    oid: bytes
    text: bytes | None
    """Of a pending recipe only."""
    head: bool = False


class Moved:
    """Finds the recipe of a content by its digest. Everything is looked up once, at the first call after the index
    changed, so hundreds of moved media cost no more than one."""

    def __init__(
        self,
        git: Git,
        blobs: BlobReader,
        index: Index,
        pending: Pending,
        cache: Callable[[], ResultCache],
        oid_size: int,
    ) -> None:
        self._git, self._blobs, self._index, self._pending, self._cache = git, blobs, index, pending, cache
        self._oid_size = oid_size
        self._seen: Mapping[bytes, bytes] | None = None
        self._places: dict[Take, list[_Place]] = {}

    def find(self, path: bytes, take: Take, *, known: bool) -> Origin | None:
        """Return the most likely recipe that names a content elsewhere. ``known``: the index has another recipe at this
        path; an imported medium keeps its labels if the recipe found belongs to a mere copy."""
        if self._index.oids() is not self._seen:
            self._places = self._look()
            self._seen = self._index.oids()
        places = [place for place in self._places.get(take, ()) if place.head or place.path != path]
        ranked = sorted((self._rank(place, path), place) for place in places)
        for (kind, *_), place in ranked:
            text = self._text(place, take)
            if text is None:
                continue
            if kind >= _PENDING_COPY and known and toml.decode(text).imported:
                return None
            return Origin(place.path, text, tuple(self._others(ranked, kind, place)))
        return None

    def superseded(self, path: bytes, text: bytes) -> bool:
        """Return whether a pending recipe was added to the index and has been replaced there since."""
        oid, now, base = blob_id(text, self._oid_size), self._index.oids().get(path), self._pending.base(path)
        if now == oid or base is None or now == (base or None) or self._read(oid) is None:
            return False
        if now is None:
            return True
        return self._git.was_committed(oid, path)

    @staticmethod
    def _others(ranked: Iterable[tuple[tuple[int, ...], _Place]], kind: int, chosen: _Place) -> Iterable[bytes]:
        for (other, *_), place in ranked:
            if other == kind and place.oid != chosen.oid:
                yield place.path

    def _rank(self, place: _Place, path: bytes) -> tuple[int, ...]:
        if place.head:
            kind = _HEAD
        elif place.text is not None:
            old = self.superseded(place.path, place.text)
            kinds = (_ADDED_MOVED, _ADDED_COPY) if old else (_PENDING_MOVED, _PENDING_COPY)
            kind = kinds[not self._index.moved_away(place.path)]
        else:
            kind = _INDEX_MOVED if self._index.moved_away(place.path) else _INDEX_COPY
        return (kind, *likeness(place.path, path))

    def _text(self, place: _Place, take: Take) -> bytes | None:
        """Return the text at a place, if it is a recipe that names the content."""
        text = place.text if place.text is not None else self._read(place.oid)
        return text if text is not None and _named(text) == take else None

    def _read(self, oid: bytes) -> bytes | None:
        return self._blobs.read(oid.hex().encode(), toml.MAX_BYTES)

    # -------------------------------------------------------------------------------- the lookup table

    def _look(self) -> dict[Take, list[_Place]]:
        found: dict[Take, list[_Place]] = {}
        places = [*self._in_index(), *self._in_head()]
        takes = self._takes({place.oid for place in places})
        in_git = {(place.path, place.oid) for place in places}
        for path, text in self._pending_texts().items():
            oid = blob_id(text, self._oid_size)
            if (path, oid) not in in_git and (take := _named(text)) is not None:
                found.setdefault(take, []).append(_Place(path, oid, text))
        for place in places:
            if (take := takes.get(place.oid)) is not None:
                found.setdefault(take, []).append(place)
        return found

    def _pending_texts(self) -> Mapping[bytes, bytes]:
        try:
            return self._pending.paths() if self._pending else {}
        except StorageError:
            return {}  # one is damaged, which fsck and doctor report; Git's own recipes still count

    def _in_index(self) -> Iterable[_Place]:
        names = set(self._git.ls_files(ATTRIBUTE, check=False))
        for path, oid in self._index.oids().items():
            if path in names:
                yield _Place(path, oid, None)
        for path, sides in self._index.conflicts().items():
            if path in names:
                yield from (_Place(path, oid, None) for oid in sides)

    def _in_head(self) -> Iterable[_Place]:
        """Yield what HEAD has and the index no longer has."""
        for change in self._git.unstaged_from_head():
            if change.old_mode in (0o100644, 0o100755):
                yield _Place(change.path, change.old, None, head=True)

    def _takes(self, oids: set[bytes]) -> dict[bytes, Take]:
        """Return the contents that blobs name, from the database, else from their texts."""
        cache = self._cache()
        records = cache.blobs(oids)
        found = {oid: Take(r.named, r.size) for oid, r in records.items() if r.named is not None}
        unknown = oids - records.keys()
        unknown -= cache.plain_blobs(unknown)
        for oid, text in read_texts(self._git, sorted(unknown)):
            if text is not None and (take := _named(text)) is not None:
                found[oid] = take
        return found


def _named(text: bytes) -> Take | None:
    """Return the content that a text names, if it is a recipe."""
    scanned = scan_take(text)
    if scanned is not None:
        return Take(Digest(scanned[0]), scanned[1])
    recipe = toml.decode_or_none(text)
    return None if recipe is None else recipe.output.named


def likeness(before: bytes, after: bytes) -> tuple[int, ...]:
    """Rank how likely one path was renamed to another, most likely first: by name, then by shared folders."""
    old, new = before.split(b"/"), after.split(b"/")
    tail, front = _alike(reversed(old), reversed(new)), _alike(old, new)
    folded = old[-1].lower() == new[-1].lower()
    letters = _alike(old[-1], new[-1])
    return (-(old[-1] == new[-1]), -folded, -(tail + front), -letters)


def _alike(some: Iterable[object], others: Iterable[object]) -> int:
    """Return the length of the common prefix of two sequences."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(some, others)))
