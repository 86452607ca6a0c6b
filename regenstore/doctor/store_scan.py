"""Verify every content of a store against its name, including the trash, and every correction against its checksum.
Changes nothing.

Everything found wrong was checked twice: other programs may replace or remove a content meanwhile, which is no damage.
Files are read as a stream, since mapping one on a failing disk would kill the process.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from regenstore.errors import FormatError
from regenstore.fs import presence
from regenstore.fs.path_text import path_text
from regenstore.fs.swap import Identity, identity
from regenstore.objects.content_store import TRASH, TREES, ContentStore
from regenstore.objects.corrections import FOLDER as CORRECTIONS
from regenstore.objects.corrections import Corrections, is_whole
from regenstore.objects.hashing import hash_file
from regenstore.objects.ids import Digest

WRONG, UNREADABLE, STRAY, DENIED = "wrong bytes", "unreadable", "stray", "no permission"
_LOOKS = 5
Tell = Callable[[float], None]


@dataclass(frozen=True)
class Bad:
    """A file of the store that does not match its name. ``named`` is None for a name that is not a digest, ``found``
    for bytes that could not be read."""

    path: str
    tree: str
    why: str
    named: Digest | None
    found: Digest | None
    size: int
    identity: Identity | None

    @property
    def untold(self) -> bool:
        """Whether its content is unknown because the system cannot read it."""
        return self.why in (UNREADABLE, DENIED)

    def fields(self) -> dict[str, object]:
        return {
            "path": path_text(self.path),
            "why": self.why,
            "named": self.named and str(self.named),
            "found": self.found and str(self.found),
            "size": self.size,
        }


@dataclass
class Scan:
    """The contents of a store's two trees and its trash."""

    checked: int = 0
    size: int = 0
    bad: list[Bad] = field(default_factory=list)
    present: dict[Digest, int] = field(default_factory=dict)
    """Good contents in the two trees, with their sizes."""
    trashed: dict[Digest, str] = field(default_factory=dict)
    """Good contents in the trash, with their paths."""
    _paths: dict[str, Bad] = field(default_factory=dict)

    def blame(self, found: Bad) -> None:
        """Record a bad file. A content that cannot be read counts as present: nothing may take its place."""
        if found.path not in self._paths:
            self._paths[found.path] = found
            self.bad.append(found)
            if found.untold and found.named is not None and found.tree in TREES:
                self.present.setdefault(found.named, found.size)

    def blamed(self, path: str | None) -> bool:
        """Whether a path is that of a bad file."""
        return path in self._paths and not self._paths[path].untold


class SoundStore(ContentStore):
    """A store without the contents that a scan found bad, and with those that are ``coming``. Plans made on it hold
    once the former are gone and the latter there. The trash counts, and stays as it is."""

    def __init__(self, root: str, scanned: Scan) -> None:
        super().__init__(root)
        self._scan = scanned
        self.coming: set[Digest] = set()

    def find(self, digest: Digest, size: int | None = None) -> str | None:
        return self.stored(digest, size) or self._scan.trashed.get(digest)

    def stored(self, digest: Digest, size: int | None = None) -> str | None:
        if digest in self.coming:
            return self.object_path(digest)
        path = super().stored(digest, size)
        if not self._scan.blamed(path):
            return path
        others = [self.object_path(digest, tree) for tree in TREES]
        return next((other for other in others if not self._scan.blamed(other) and presence.is_file(other)), None)


def scan(store: ContentStore, tell: Tell, *, quick: bool = False) -> Scan:
    """Hash every content; ``tell`` is called with the fraction done, 0 to 1. A ``quick`` scan trusts the names."""
    files = list(_files(store.root))
    total = sum(size for _, _, _, size in files) or 1
    result = Scan()
    done = 0
    for path, tree, named, size in files:
        found = None if quick and named is not None else look(path, tree, named)
        if found is not None:
            result.blame(found)
        elif named is not None:
            result.checked += 1
            result.size += size
            if tree in TREES:
                result.present[named] = size
            else:
                result.trashed[named] = path
        done += size
        tell(min(1.0, done / total))
    for path in Corrections(store.root).paths():
        bad = _look_at_correction(path)
        if bad is not None:
            result.blame(bad)
    return result


def _look_at_correction(path: str) -> Bad | None:
    kept = presence.lstat(path)
    if kept is None:
        return None  # it was removed meanwhile
    try:
        with open(presence.open_file(path), "rb") as file:
            why = None if is_whole(file.read()) else WRONG
    except presence.ABSENT:
        return None
    except presence.NotRegular:
        why = STRAY
    except OSError as error:
        why = _why(error)
    return None if why is None else Bad(path, CORRECTIONS, why, None, None, kept.st_size, identity(kept))


def look_again(found: Scan, store: ContentStore, digest: Digest) -> None:
    """Hash a content whose name a quick scan trusted, because something else contradicts it."""
    for tree in TREES:
        path = store.object_path(digest, tree)
        bad = look(path, tree, digest)
        if bad is not None and not found.blamed(path):
            found.blame(bad)
            found.present.pop(digest, None)
            found.checked -= 1


def look(path: str, tree: str, named: Digest | None) -> Bad | None:
    """What is wrong with a file in a tree; None if nothing is, or if it was removed meanwhile."""
    before: Bad | None = None
    for _ in range(_LOOKS):
        try:
            seen = _look(path, tree, named)
        except presence.ABSENT:
            return None
        if seen is None or seen == before:
            return seen
        before = seen
    return before


def _look(path: str, tree: str, named: Digest | None) -> Bad | None:
    kept = os.lstat(path)
    why = STRAY if named is None else WRONG
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return Bad(path, tree, STRAY, named, None, 0, identity(kept))
        found, _ = hash_file(path)
    except FileNotFoundError:
        if not stat.S_ISLNK(kept.st_mode):
            raise
        return Bad(path, tree, STRAY, named, None, 0, identity(kept))  # a dangling link
    except OSError as error:
        return Bad(path, tree, _why(error), named, None, kept.st_size, identity(kept))
    return None if found == named else Bad(path, tree, why, named, found, kept.st_size, identity(kept))


def _why(error: OSError) -> str:
    return DENIED if error.errno in (errno.EACCES, errno.EPERM) else UNREADABLE


def _files(root: str) -> Iterator[tuple[str, str, Digest | None, int]]:
    """Everything in the two trees and the trash: path, tree, digest by name, size."""
    runs = sorted(presence.names(f"{root}/{TRASH}"))
    for tree in (*TREES, *(f"{TRASH}/{run}/{tree}" for run in runs for tree in TREES)):
        top = f"{root}/{tree}"
        for shard in sorted(presence.names(top)):
            folder = f"{top}/{shard}"
            if len(shard) != 2 or not presence.is_folder(folder):
                yield folder, tree, None, 0
                continue
            for name in sorted(presence.names(folder)):
                path = f"{folder}/{name}"
                try:
                    named: Digest | None = Digest.parse(Digest.PREFIX + shard + name)
                except FormatError:
                    named = None
                found = presence.lstat(path)
                if found is not None:
                    yield path, tree, named, found.st_size
