"""The parts that verbs on tracked paths need, and the queries that they share."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from regenstore.errors import Conflict, FormatError, InvalidInput, NotFound, RegenstoreError
from regenstore.fs import presence
from regenstore.fs.swap import NOTHING, Identity, Seen, identity
from regenstore.media.types import HEAD, of_content
from regenstore.objects import toml
from regenstore.objects.hashing import hash_fd
from regenstore.objects.ids import Digest
from regenstore.objects.recipe import Recipe, Take
from regenstore.objects.scan import scan_take
from regenstore.refs.git import BlobReader, Git
from regenstore.refs.path_log import PathLog
from regenstore.refs.pending import Pending
from regenstore.refs.recipes import ATTRIBUTE
from regenstore.worktree.index_view import IndexView
from regenstore.worktree.location import Location, refuse_attributes
from regenstore.worktree.paths import Folders

if TYPE_CHECKING:  # slow to import, and not needed by every verb
    from regenstore.capture.recipes import Capturer
    from regenstore.generators.registry import Registry
    from regenstore.objects.content_store import ContentStore
    from regenstore.objects.results.cache import ResultCache
    from regenstore.proof.surveyor import Surveyor
    from regenstore.realise import Realiser
    from regenstore.refs.moved_media import Moved
    from regenstore.refs.store_repositories import Holders
    from regenstore.worktree.place import Placer


_TOGETHER = 100
"""Number of index blobs read at once."""


class WorktreeContent(NamedTuple):
    """The content of the worktree at a path: recipe text, or media with its digest and media type."""

    text: bytes | None
    digest: Digest | None
    size: int
    media_type: str
    identity: Identity


class Parts(Protocol):
    """Holds the parts of a worktree, each made at its first use."""

    @property
    def store(self) -> ContentStore: ...
    @property
    def cache(self) -> ResultCache: ...
    @property
    def capturer(self) -> Capturer: ...
    @property
    def moved(self) -> Moved: ...
    @property
    def placer(self) -> Placer: ...
    @property
    def registry(self) -> Registry: ...
    @property
    def realiser(self) -> Realiser: ...
    @property
    def surveyor(self) -> Surveyor: ...
    @property
    def holders(self) -> Holders: ...


@dataclass(frozen=True)
class Workbench:
    """The parts of one worktree. Expensive ones are made on first use."""

    location: Location
    git: Git
    index: IndexView
    blobs: BlobReader
    pending: Pending
    _parts: Parts

    @property
    def store(self) -> ContentStore:
        return self._parts.store

    @property
    def cache(self) -> ResultCache:
        return self._parts.cache

    @property
    def capturer(self) -> Capturer:
        return self._parts.capturer

    @property
    def moved(self) -> Moved:
        return self._parts.moved

    @property
    def placer(self) -> Placer:
        return self._parts.placer

    @property
    def registry(self) -> Registry:
        return self._parts.registry

    @property
    def realiser(self) -> Realiser:
        return self._parts.realiser

    @property
    def surveyor(self) -> Surveyor:
        return self._parts.surveyor

    @property
    def holders(self) -> Holders:
        return self._parts.holders

    @property
    def path_log(self) -> PathLog:
        return PathLog(self.location.common_dir)

    # -------------------------------------------------------------------------------- which paths

    def tracked(self, paths: Sequence[bytes] = ()) -> dict[bytes, bytes]:
        """Return index paths that hold recipes, with their blob ids: all, or those at and below the given paths.

        Raises NotFound for a given path that matches none.
        """
        oids = self.index.oids()
        refuse_attributes(self.location.top, {os.path.dirname(path) for path in oids})
        names = set(self.git.ls_files(ATTRIBUTE)) if oids else set()
        entries = {path: oid for path, oid in oids.items() if path in names}
        return entries if not paths else {p: entries[p] for p in select(entries, paths)}

    def untracked(self) -> list[bytes]:
        """Return files at filtered paths that are neither in Git's index nor ignored."""
        # Git lists nothing for an attribute pathspec together with --others, so this takes two steps.
        return self.git.filtered(self.git.ls_untracked(":/"))

    def named(self, paths: Sequence[bytes]) -> list[bytes]:
        """Return the paths that a user names one by one, and in place of folders and patterns the media, tracked and
        new, that they stand for. Raises NotFound for a folder or pattern that stands for none."""
        found: dict[bytes, None] = {}
        known: list[bytes] | None = None
        for path in paths:
            if path in self.index.oids() or not (has_pattern(path) or self._is_folder(path)):
                found[path] = None
                continue
            known = [*self.tracked(), *self.untracked()] if known is None else known
            found.update(dict.fromkeys(select(known, [path])))
        return list(found)

    def _is_folder(self, path: bytes) -> bool:
        return presence.is_folder(os.fsdecode(os.path.join(self.location.top, path)))

    def new_text(self, path: bytes) -> bytes | None:
        """Return the recipe text of an untracked path: the text there, or the pending one of the medium; None for
        imported media. Raises StorageError, and Conflict (``not-a-file``)."""
        held = self.held(path, digest=False)
        if held is None or held.text is not None:
            return None if held is None else held.text
        pending = self.pending.get(path)
        recipe = toml.decode_or_none(pending)
        return pending if recipe is not None and (recipe.output.named or held).size == held.size else None

    def require_tracked(self, path: bytes) -> None:
        """Raise InvalidInput (``not-tracked``) unless the filter is set for a path."""
        refuse_attributes(self.location.top, _above(path))
        if not self.git.filtered([path]):
            suffix = os.path.splitext(os.fsdecode(path))[1]
            raise InvalidInput(
                "not-tracked",
                f"{os.fsdecode(path)}: no attribute makes Git store a recipe here",
                hint=f"Run: regenstore track '{'*' + suffix if suffix else os.fsdecode(path)}'",
            )

    # -------------------------------------------------------------------------------- contents of paths

    def held(self, path: bytes, *, digest: bool = True) -> WorktreeContent | None:
        """Return the content of the worktree at a path; None if nothing is there. Never follows a link, and opens
        regular files only. Raises StorageError (``unreadable``) if it is unknown, Conflict (``not-a-file``)."""
        fd = self.open(path)
        if fd is None:
            return None
        try:
            return _held(fd, path, digest)
        except OSError as error:
            raise presence.unreadable(error, path) from error
        finally:
            os.close(fd)

    def open(self, path: bytes) -> int | None:
        """Open the regular file at a path of the worktree; None if nothing is there. Raises as :meth:`held`."""
        shown = os.fsdecode(path)
        try:
            with Folders(self.location.top) as folders:
                folder, name = folders.parent(path)
                found = os.lstat(name, dir_fd=folder)
                if not stat.S_ISREG(found.st_mode):
                    raise _not_a_file(found.st_mode, shown)
                return presence.open_file(name, dir_fd=folder, follow=False)
        except presence.ABSENT:
            return None
        except presence.NotRegular as error:
            raise Conflict("not-a-file", f"{shown}: it is {error.what}, and is left alone") from error
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise _not_a_file(stat.S_IFLNK, shown) from error
            raise presence.unreadable(error, path) from error

    def seen(self, path: bytes) -> Seen:
        """Return what is at a path that is about to be written. Raises StorageError (``unreadable``), Conflict
        (``not-a-file``), and InvalidInput (``excluded``) for a path excluded by a sparse checkout."""
        held = self.held(path, digest=False)
        if held is not None:
            return held.identity
        self.refuse_excluded(path)
        return NOTHING

    def refuse_excluded(self, path: bytes) -> None:
        """Raise InvalidInput (``excluded``) for a path that a sparse checkout keeps out of the worktree."""
        if path in self.index.skipped():
            raise excluded(path)

    def index_text(self, path: bytes) -> bytes | None:
        """Return the blob that Git's index has at a path; None if there is no entry. Raises FormatError
        (``git-failed``) if Git does not return it."""
        oid = self.index.oid(path)
        if oid is None:
            return None
        text = self.blobs.read(oid.hex().encode(), toml.MAX_BYTES)
        if text is None:
            raise FormatError("git-failed", f"{os.fsdecode(path)}: Git cannot read the blob {oid.hex()} of its index")
        return text

    def index_texts(self, paths: Sequence[bytes]) -> Callable[[bytes], bytes | None]:
        """Return :meth:`index_text` for paths that are visited in this order; their blobs are read many at once."""
        place = {path: at for at, path in enumerate(paths)}
        read: dict[bytes, bytes | None] = {}

        def text(path: bytes) -> bytes | None:
            if path not in read:
                oids = self.index.oids()
                some = paths[place[path] : place[path] + _TOGETHER]
                names = {each: oids[each].hex().encode() for each in some if each in oids}
                read.clear()
                read.update(dict.fromkeys(some))
                read.update(zip(names, self.blobs.read_many(names.values(), toml.MAX_BYTES)))
            found = read.get(path)
            return self.index_text(path) if found is None else found

        return text

    def current(self, path: bytes) -> Recipe:
        """Return the recipe that the worktree holds at a path: its text, or that of the medium there, or the index's if
        there is no file. Raises NotFound, or FormatError for an invalid text."""
        held = self.held(path)
        known = self.index_text(path)
        if held is not None and held.text is not None:
            return self._judged(_decoded(path, held.text))
        if held is None or held.digest is None:
            if known is None:
                raise NotFound("no-such-path", f"{os.fsdecode(path)}: there is no such file, and Git's index has none")
            if not toml.looks_like_recipe(known):
                raise NotFound("not-a-recipe", f"{os.fsdecode(path)}: Git's index holds no recipe there")
            return self._judged(_decoded(path, known))
        return self._judged(toml.decode(self.text_of(path, held, known)))

    def _judged(self, recipe: Recipe) -> Recipe:
        """Apply what the database may know and the text does not say: that other parameters gave the take."""
        if recipe.output.take is None or recipe.output.key is not None or recipe.imported:
            return recipe
        from regenstore.objects.mismatched_takes import judged

        return judged(self.cache, [recipe])[0]

    def text_of(self, path: bytes, held: WorktreeContent, known: bytes | None) -> bytes:
        """Return the recipe text that clean would give for a medium in the worktree."""
        assert held.digest is not None
        sides = self.sides(path) if known is None else [known]
        take = Take(held.digest, held.size)
        named = [text for text in sides if _names(text, take)]
        pending = self.pending.get(path)
        if pending is not None and _names(pending, take):
            later = named and named[0] != pending and self.moved.superseded(path, pending)
            return named[0] if later else pending
        if named:
            return named[0]
        first = sides[0] if sides else None

        def elsewhere(take: Take) -> bytes | None:
            origin = self.moved.find(path, take, known=first is not None)
            return None if origin is None else origin.text

        def captured(take: Take, about: Mapping[str, Any]) -> bytes | None:
            fd = self.open(path)
            try:
                return None if fd is None else self.capturer.text(path, fd, held.media_type, take, about)
            finally:
                if fd is not None:
                    os.close(fd)

        from regenstore.objects.attribution import attribute

        return attribute(self.cache, first, held.digest, held.size, held.media_type, elsewhere, captured)

    def text_of_stored(self, path: bytes, take: Take, fd: int) -> bytes:
        """Return the recipe text that clean would give for a stored content, open as ``fd``, at a path that is new."""
        from regenstore.objects.attribution import attribute

        media_type = of_content(lambda at, length: os.pread(fd, length, at), path)

        def captured(take: Take, about: Mapping[str, Any]) -> bytes | None:
            return self.capturer.text(path, fd, media_type, take, about)

        return attribute(self.cache, None, take.digest, take.size, media_type, captured=captured)

    def keep_pending(self, path: bytes, text: bytes) -> None:
        """Keep the recipe of a medium that is about to be placed, for the next clean of it. Raises StorageError."""
        self.path_log.add(path, text)
        self.pending.set(path, text, self.index.oid(path) or b"")

    def sides(self, path: bytes) -> list[bytes]:
        """Return the recipe texts between which a path is in conflict: ours, theirs, base, those that exist."""
        texts = (self.blobs.read(oid.hex().encode(), toml.MAX_BYTES) for oid in self.index.sides(path))
        return [text for text in texts if text is not None]

    def editable(self, path: bytes, *, force: bool = False) -> Recipe:
        """Return the recipe to change at a path. Raises Conflict (``edited``) for media that no recipe made, such as a
        paint-over, unless ``force`` starts from the recipe it was derived from."""
        recipe = self.current(path)
        if not recipe.imported:
            return recipe
        known = self.index_text(path)
        before = toml.decode(known) if known is not None and toml.looks_like_recipe(known) else None
        if force and before is not None and not before.imported:
            return before
        shown = os.fsdecode(path)
        if before is not None and not before.imported:
            raise Conflict("edited", f"{shown}: the medium was edited by hand; changing the recipe would replace it")
        raise InvalidInput("imported-media", f"{shown}: it is imported media; there are no parameters to change")


def _decoded(path: bytes, text: bytes) -> Recipe:
    try:
        return toml.decode(text)
    except FormatError as error:
        raise error.at(os.fsdecode(path)) from None


def _not_a_file(mode: int, shown: str) -> RegenstoreError:
    from regenstore.worktree.place import not_a_file

    return not_a_file(mode).at(shown)


def _names(text: bytes, take: Take) -> bool:
    if (told := scan_take(text)) is not None:
        return told == (take.digest.raw, take.size)
    recipe = toml.decode_or_none(text)
    return recipe is not None and recipe.output.named == take


def _held(fd: int, path: bytes, digest: bool) -> WorktreeContent:
    found = os.fstat(fd)
    if toml.looks_like_recipe(os.pread(fd, HEAD, 0)) and found.st_size <= toml.MAX_BYTES:
        return WorktreeContent(os.pread(fd, toml.MAX_BYTES, 0), None, found.st_size, "", identity(found))
    media_type = of_content(lambda at, length: os.pread(fd, length, at), path)
    return WorktreeContent(None, hash_fd(fd)[0] if digest else None, found.st_size, media_type, identity(found))


def _above(path: bytes) -> Iterator[bytes]:
    """Return the folders of a path, nearest first."""
    while path:
        path = os.path.dirname(path)
        yield path


def excluded(path: bytes) -> RegenstoreError:
    """Return the error for a path that a sparse checkout keeps out of the worktree."""
    return InvalidInput("excluded", f"{os.fsdecode(path)}: the sparse checkout keeps it out of the worktree")


def has_pattern(path: bytes) -> bool:
    """Whether a path may be a pattern."""
    return any(sign in path for sign in (b"*", b"?", b"["))


def select(entries: Iterable[bytes], paths: Sequence[bytes]) -> list[bytes]:
    """Return the entries at and below the given paths, which may be patterns as in Git: ``*`` also matches ``/``.
    Raises NotFound for a path with none."""
    known = list(entries)
    chosen: dict[bytes, None] = {}
    for path in paths:
        under = path + b"/"
        found = [entry for entry in known if not path or entry == path or entry.startswith(under)]
        if not found and has_pattern(path):
            found = [entry for entry in known if fnmatchcase(entry, path) or fnmatchcase(entry, under + b"*")]
        if not found:
            raise NotFound("no-such-path", f"{os.fsdecode(path) or '.'}: nothing that regenstore tracks is there")
        chosen.update(dict.fromkeys(found))
    return list(chosen)
