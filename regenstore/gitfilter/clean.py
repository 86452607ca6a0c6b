"""The clean filter: turns the worktree's contents into the blobs that Git stores.

It never guesses: only a digest ties bytes to a recipe. Unknown bytes get the recipe that their own metadata tell,
which nothing proves yet, or are imported media. The bytes are in the
store before the filter answers, and durable before git can replace the worktree's file; at the latest when the git
command ends. Recipe text, text with conflict markers and empty input pass through. The filter raises only if bytes
could not be stored safely; git then stops before it changes anything.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from regenstore.errors import FormatError
from regenstore.fs import presence
from regenstore.fs.reflink import Linker
from regenstore.gitfilter.process import Payload, Request, StoredReply
from regenstore.gitfilter.spool import Spooled, StreamSource, take_in
from regenstore.objects.content_store import ContentStore
from regenstore.objects.ids import Digest
from regenstore.objects.scan import scan_take
from regenstore.refs.git import BlobReader, blob_id, file_blob_id
from regenstore.refs.pending import Pending
from regenstore.worktree.fill import is_torn, open_take
from regenstore.worktree.index_view import IndexView

if TYPE_CHECKING:
    from regenstore.capture.recipes import Capturer
    from regenstore.objects.recipe import Take
    from regenstore.objects.results.cache import ResultCache
    from regenstore.objects.unsynced import Backing
    from regenstore.refs.moved_media import Moved, Origin

TEXT_LIMIT = 4 << 20
_SMALL = 256 << 10
_PIECE = 1 << 20
_WAITED_FOR = 4
"""Up to this many media, waiting for the disk once per medium takes no longer than writing a mark and waiting once for
all."""
_BOM = b"\xef\xbb\xbf"
_RECIPE = b"regenstore = "


class CleanFilter:
    """The clean filter of one worktree."""

    def __init__(
        self,
        top: bytes,
        oid_size: int,
        store: ContentStore,
        cache: Callable[[], ResultCache],
        index: IndexView,
        blobs: BlobReader,
        pending: Pending,
        *,
        moved: Callable[[], Moved],
        guessed: Callable[[bytes, Origin], None],
        capturer: Callable[[], Capturer],
        edited: Callable[[bytes, Sequence[bytes]], None] = lambda path, texts: None,
        deferred: Backing | None = None,
        adopts_raw: Callable[[], bool] = lambda: False,
        torn: Mapping[bytes, bytes] = MappingProxyType({}),
    ) -> None:
        """``guessed`` is called for a moved medium that could have come from several places; ``edited`` for a medium
        that is new to the store while the index has another one, with the path and both texts: until it is committed,
        nothing else records it.

        ``deferred``: this worktree, if a single wait for the disk in :meth:`finish` suffices. That is the case only
        for a git command that does not change the worktree's files until this filter has ended. ``adopts_raw``:
        whether raw media in Git become imported media instead of staying raw. ``torn``: the recipe texts of the paths
        whose files may be only partly filled with their media."""
        self._top = top
        self._oid_size = oid_size
        self._store = store
        self._cache = cache
        self._index = index
        self._blobs = blobs
        self._pending = pending
        self._moved = moved
        self._guessed = guessed
        self._capturer = capturer
        self._edited = edited
        self._linker = Linker()
        self._prepared = False
        self._deferred = deferred
        self._taken = 0
        self._adopts_raw = adopts_raw
        self._torn = torn
        self._raw: list[str] = []

    def clean(self, request: Request, content: Iterator[memoryview]) -> Payload:
        """The blob for a file's content in the worktree. Raises StorageError if the bytes cannot be stored."""
        if request.path in self._torn:
            return self._perhaps_torn(request.path, self._torn[request.path], content)
        return self._clean(request.path, content)

    def _clean(self, path: bytes, content: Iterator[memoryview]) -> Payload:
        first = bytes(next(content, b""))
        if not first:
            return b""
        if first.removeprefix(_BOM).startswith((_RECIPE, b"<<<<<<<")):
            text = bytearray(first)
            for chunk in content:
                text += chunk
                if len(text) > TEXT_LIMIT:
                    return self._medium(path, chain([bytes(text)], content))
            return self._text(path, bytes(text))
        return self._medium(path, chain([first], content))

    def _perhaps_torn(self, path: bytes, text: bytes, content: Iterator[memoryview]) -> Payload:
        """The blob for a file that a killed checkout may have left partly filled with its medium. If it did, the blob
        is still the recipe; otherwise the file is the user's own work, and is cleaned as usual."""
        import tempfile

        with tempfile.TemporaryFile() as file:
            for piece in content:
                file.write(piece)
            file.flush()
            stored = open_take(text, self._store.use)
            if stored >= 0:
                try:
                    if is_torn(file.fileno(), stored, text):
                        return text
                finally:
                    os.close(stored)
            file.seek(0)
            return self._clean(path, map(memoryview, iter(partial(file.read, _PIECE), b"")))

    def finish(self) -> None:
        """Make durable what is not yet, and remove what answers needed only until they were sent.

        git waits for this before it ends."""
        self._store.settle()
        for path in self._raw:
            try:
                os.unlink(path)
            except FileNotFoundError:
                continue

    # -------------------------------------------------------------------------------- recipe text

    def _text(self, path: bytes, text: bytes) -> bytes:
        """Recipe text in its one valid form. Text that the index already has, or that is not a valid recipe, is
        returned unchanged."""
        oid = self._index.oid(path)
        if oid == blob_id(text, self._oid_size):
            return text
        from regenstore.objects import attribution

        if oid is None and self._index.sides(path):
            return attribution.one_text_of_sides(text, self._known_texts(path))
        return attribution.one_text(text)

    # -------------------------------------------------------------------------------- media

    def _medium(self, path: bytes, chunks: Iterator[memoryview | bytes]) -> Payload:
        if not self._prepared:
            self._store.prepare()
            self._prepared = True
        known = self._known_texts(path)
        spooled = take_in(self._store, chunks, self._candidate(path, known[0] if known else None))
        try:
            blob = self._blob(path, known, spooled)
        except BaseException:
            spooled.discard()
            raise
        if isinstance(blob, StoredReply):
            if spooled.temp is None:
                spooled.discard()
            return blob
        # Make the bytes durable before answering: git may then replace the worktree's file (as stash does), which may
        # be the only copy. For "git add", one wait at the end suffices: the bytes already have their final name, so
        # killing this process cannot lose them, and after a power cut they are taken from the worktree again.
        try:
            self._taken += 1
            if self._deferred is None or self._taken <= _WAITED_FOR:
                spooled.keep(wait=True)
            else:
                self._store.defer(self._deferred)
                spooled.keep(wait=False)
        except BaseException:
            spooled.discard()
            raise
        return blob

    def _known_texts(self, path: bytes) -> list[bytes]:
        """The blob that the index has at the path if it may be a recipe, or the sides of a conflict there. Raises
        StorageError and FormatError if these cannot be read; without them, a recipe would become imported media."""
        oid = self._index.oid(path)
        found = []
        for each in self._index.sides(path) if oid is None else [oid]:
            text = self._blobs.read(each.hex().encode(), TEXT_LIMIT)
            if text is None:
                raise FormatError("git-failed", f"Git cannot read the blob {each.hex()}, which its index has here")
            found.append(text)
        return found

    def _candidate(self, path: bytes, known: bytes | None) -> StreamSource | None:
        """A file that probably has the stream's bytes: the recorded take, or a clone of the worktree file."""
        try:
            found = os.lstat(os.path.join(self._top, path))
        except (OSError, ValueError):
            return None
        if not stat.S_ISREG(found.st_mode) or found.st_size == 0:
            return None
        take = scan_take(known) if known is not None else None
        if take is not None and take[1] == found.st_size:
            stored = self._store.use(Digest(take[0]), take[1])
            if stored is not None:
                return StreamSource(stored, temp=False)
        return self._clone(path) if found.st_size >= _SMALL and self._linker.reflinks else None

    def _clone(self, path: bytes) -> StreamSource | None:
        temp = self._store.temp_path("clone")
        try:
            source = presence.open_file(os.path.join(self._top, path), follow=False)
            try:
                target = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                try:
                    cloned = self._linker.clone(source, target)
                finally:
                    os.close(target)
            finally:
                os.close(source)
            if cloned:
                return StreamSource(temp, temp=True)
        except (OSError, presence.NotRegular):
            pass  # the stream itself is stored instead, and storing it reports a full disk
        try:
            os.unlink(temp)
        except OSError:
            pass
        return None

    def _blob(self, path: bytes, known: list[bytes], spooled: Spooled) -> Payload:
        digest, size = spooled.digest, spooled.size
        pending = self._pending.get(path) if self._pending else None
        named = [text for text in known if scan_take(text) == (digest.raw, size)]
        if pending is not None and scan_take(pending) == (digest.raw, size):
            later = named and named[0] != pending and self._moved().superseded(path, pending)
            return named[0] if later else pending
        if named:
            return named[0]
        first = known[0] if known else None
        raw = first is not None and not first.removeprefix(_BOM).startswith(_RECIPE)
        if raw and not self._adopts_raw() and self._same_raw(path, spooled):
            return self._raw_reply(spooled)
        from regenstore.media.types import of_content
        from regenstore.objects import attribution  # imported late because it parses recipes; the fast path does not

        def elsewhere(take: Take) -> bytes | None:
            origin = self._moved().find(path, take, known=first is not None)
            if origin is not None and origin.others:
                self._guessed(path, origin)
            return None if origin is None else origin.text

        media_type = of_content(spooled.read, path)

        def captured(take: Take, about: Mapping[str, Any]) -> bytes | None:
            with spooled.reading() as fd:
                return self._capturer().text(path, fd, media_type, take, about)

        text = attribution.attribute(self._cache(), first, digest, size, media_type, elsewhere, captured)
        if first is not None and not raw and self._store.stored(digest, size) is None:
            self._edited(path, (first, text))
        return text

    def _same_raw(self, path: bytes, spooled: Spooled) -> bool:
        """Whether the index has exactly these bytes as its blob (raw media that were committed without a filter)."""
        file = spooled.temp or self._store.use(spooled.digest, spooled.size)
        return file is not None and file_blob_id(file, self._oid_size) == self._index.oid(path)

    def _raw_reply(self, spooled: Spooled) -> Payload:
        if spooled.temp is None:
            stored = self._store.use(spooled.digest, spooled.size)
            assert stored is not None
            return StoredReply(stored)
        self._raw.append(spooled.temp)
        return StoredReply(spooled.temp)
