"""smudge: from the recipe that Git keeps to what lies in the worktree.

A checkout is answered at once with the recipe text; when git has ended (its index written and unlocked)
:meth:`SmudgeFilter.finish` puts the media in place. Somebody who wants the bytes now (``archive``,
``cat-file --filters``) gets them, if the store has them. Nothing here fails a git command: what cannot be
had stays as recipe text, and one line says so.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from typing import NamedTuple, Protocol

from regenstore.errors import RegenstoreError
from regenstore.fs import presence
from regenstore.gitfilter.process import Payload, Request, StoredReply
from regenstore.objects.content_store import ContentStore
from regenstore.objects.ids import Digest
from regenstore.objects.scan import is_unsure, own_take, scan_take
from regenstore.refs.pending import Pending
from regenstore.worktree.fill import Filler
from regenstore.worktree.place import Placement

RECIPE_LIMIT = 4 << 20


class MissingMedium(NamedTuple):
    """A checked-out recipe whose take is not in the store (or that has none)."""

    path: bytes
    text: bytes
    oid: bytes


class FilterReport(Protocol):
    """Where the filter's few lines for people go."""

    def left(self, path: bytes, reason: str) -> None: ...

    def placed(self, count: int) -> None: ...

    def failed(self) -> None: ...


Bring = Callable[[Sequence[MissingMedium]], None]
"""Makes missing media present and places them: the heavy half, imported only when it is needed."""


class SmudgeFilter:
    """The smudge filter of one worktree. ``inline`` answers checkouts with media too."""

    def __init__(
        self,
        store: ContentStore,
        pending: Pending,
        placer: Callable[[], Filler],
        blob_oid: Callable[[bytes], bytes],
        bring: Bring,
        report: FilterReport,
        outdated: Callable[[Iterable[bytes]], Set[bytes]],
        *,
        inline: Callable[[bytes, bytes], str | None] | None = None,
    ) -> None:
        """``outdated`` gives those of some texts whose takes only other recipes are recorded to have made; it is
        asked of texts that do not say which parameters gave their takes."""
        self._store = store
        self._outdated = outdated
        self._pending = pending
        self._placer = placer
        self._blob_oid = blob_oid
        self._bring = bring
        self._report = report
        self._inline = inline
        self._queue: dict[bytes, tuple[bytes, bytes | None]] = {}
        self._newest: tuple[bytes, bytes] | None = None
        self._found: dict[bytes, tuple[str, tuple[bytes, int]]] = {}
        """Where the media of some queued paths were, with digest and size, before anything held them."""
        self._temps: list[str] = []
        self._has_pending: bool | None = None

    def smudge(self, request: Request, content: Iterator[memoryview]) -> Payload:
        """The worktree's content for a blob: at first always what Git has, except for who cannot wait."""
        text = bytearray()
        for chunk in content:
            text += chunk
            if len(text) > RECIPE_LIMIT:
                return self._raw(bytes(text), content)
        blob = bytes(text)
        if not blob.startswith(b"regenstore = "):
            return blob
        try:
            return self._recipe(request, blob)
        except (RegenstoreError, OSError) as error:
            self._report.left(request.path, str(error))
            return blob

    def _recipe(self, request: Request, blob: bytes) -> Payload:
        if not request.can_delay:
            return self._now(blob)
        if self._has_pending is None:
            self._has_pending = bool(self._pending)
        if self._has_pending:
            self._pending.clear(request.path)
        if self._inline is not None:
            made = self._inline(request.path, blob)
            return blob if made is None else StoredReply(made)
        self._queue[request.path] = (blob, request.blob)
        self._found.pop(request.path, None)
        self._newest = request.path, blob
        return blob

    def ahead(self) -> None:
        """Look up what was asked for last. Called after each answer, while git writes the recipe and prepares
        its next request: this takes about as long, so it costs no time, and git's pipe is full afterwards
        instead of waking us up packet by packet."""
        newest, self._newest = self._newest, None
        take = own_take(newest[1]) if newest is not None else None
        if newest is None or take is None:
            return
        try:
            source = self._store.stored(Digest(take[0]), take[1])
        except (RegenstoreError, OSError):
            return  # the real placing meets it again, and tells
        if source is not None:
            self._found[newest[0]] = source, take

    def _raw(self, head: bytes, content: Iterator[memoryview]) -> StoredReply:
        """Raw media that somebody committed: git sends all of it before it reads, so it needs a place."""
        import tempfile

        with tempfile.NamedTemporaryFile(prefix="regenstore-", delete=False) as file:
            self._temps.append(file.name)
            file.write(head)
            for chunk in content:
                file.write(chunk)
        return StoredReply(file.name)

    def _now(self, text: bytes) -> Payload:
        found = None if is_unsure(text) and self._outdated([text]) else self._find(text)
        return text if found is None else StoredReply(found)

    def _find(self, text: bytes) -> str | None:
        take = own_take(text) or parsed_take(text)
        return None if take is None else self._store.use(Digest(take[0]), take[1])

    def _hold(self) -> None:
        """Hold everything that is about to be placed, at once."""
        takes = [scan_take(text) for path, (text, _) in self._queue.items() if path not in self._found]
        digests = [take[0] for take in takes if take is not None]
        digests += [take[0] for _, take in self._found.values()]
        self._store.holds.try_hold(map(Digest, digests))

    def finish(self) -> None:
        """Place what the store has, then bring what it has not. Called when git has closed the pipe."""
        for temp in self._temps:
            os.unlink(temp)
        self._temps.clear()
        if not self._queue:
            return
        placements: list[Placement] = []
        missing: list[MissingMedium] = []
        self._hold()
        unsure = [text for text, _ in self._queue.values() if is_unsure(text)]
        outdated = self._outdated(unsure) if unsure else ()
        for path, (text, hexa) in self._queue.items():
            oid = bytes.fromhex(hexa.decode("ascii")) if hexa else self._blob_oid(text)
            source, take = self._found.pop(path, (None, None))
            if source is None or presence.lstat(source) is None:
                source, take = self._find(text), None
            if text in outdated:
                source = None
            if source is None:
                missing.append(MissingMedium(path, text, oid))
            else:
                placements.append(Placement(path, source, text, oid, take))
        self._queue.clear()
        if placements and not place(self._placer(), placements, self._report):
            for left in missing:  # what could not be written down will not be made either
                self._report.left(left.path, "nothing could be written any more")
        elif missing:
            self._bring(missing)


def place(placer: Filler, placements: Sequence[Placement], report: FilterReport) -> bool:
    """Place, and tell the report; False when the disk is full or fails."""
    try:
        done = placer.place(placements)
    except RegenstoreError as error:
        for left in placer.unplaced(placements):
            report.left(left.path, error.message)
        return False
    report.placed(len(done.placed))
    by_path = {each.path: each for each in placements}
    for path, why in done.skipped:
        if why.kind != "edited" or not placer.there_already(by_path[path]):
            report.left(path, why.message)
    return True


def parsed_take(text: bytes) -> tuple[bytes, int] | None:
    """The take by the real parser, for texts that the line scan leaves alone."""
    from regenstore.errors import FormatError
    from regenstore.objects import toml

    try:
        take = toml.decode(text).output.take
    except FormatError:
        return None
    return None if take is None else (take.digest.raw, take.size)
