"""The smudge filter: turns the recipes that Git stores into the worktree's media.

During a checkout, the filter answers at once with the recipe text. When git has ended (and has written and unlocked its
index), :meth:`SmudgeFilter.finish` places the media. Commands that need the bytes at once (``archive``,
``cat-file --filters``) get them if the store has them. Nothing here makes a git command fail: a medium that is not
available stays recipe text, and one line says so.
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
    """Receives the few messages that the filter has for the user."""

    def left(self, path: bytes, reason: str, *, lost: bool = False) -> None:
        """Receive a path that stays a recipe. ``lost``: no place known here has its bytes, or those of an input."""
        ...

    def placed(self, count: int) -> None: ...

    def failed(self) -> None: ...


Bring = Callable[[Sequence[MissingMedium]], None]
"""Makes or fetches missing media and places them: the heavy half, imported only when needed."""


class SmudgeFilter:
    """The smudge filter of one worktree. With ``inline``, checkouts are answered with media, too."""

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
        """``outdated`` returns those of the given texts whose takes were, according to the records, made only by other
        recipes. It is called for texts that do not say which parameters gave their takes."""
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
        """The places of the media of some queued paths, with digest and size, found before there was a hold on them."""
        self._temps: list[str] = []
        self._has_pending: bool | None = None

    def smudge(self, request: Request, content: Iterator[memoryview]) -> Payload:
        """The worktree's content for a blob: at first the blob itself, unless the git command cannot wait for the
        medium."""
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
        """Look up the medium of the last request. Called after each answer, while git writes the recipe and prepares
        its next request. The look-up takes about as long as that, so it costs no extra time; and afterwards git's pipe
        is full, so that this process is not woken up packet by packet."""
        newest, self._newest = self._newest, None
        take = own_take(newest[1]) if newest is not None else None
        if newest is None or take is None:
            return
        try:
            source = self._store.stored(Digest(take[0]), take[1])
        except (RegenstoreError, OSError):
            return  # placing the medium will meet the same error, and report it
        if source is not None:
            self._found[newest[0]] = source, take

    def _raw(self, head: bytes, content: Iterator[memoryview]) -> StoredReply:
        """Raw media that were committed without the filter. Git sends all of it before it reads the answer, so it is
        kept in a temporary file meanwhile."""
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
        """Hold all contents that are about to be placed, in one step."""
        takes = [scan_take(text) for path, (text, _) in self._queue.items() if path not in self._found]
        digests = [take[0] for take in takes if take is not None]
        digests += [take[0] for _, take in self._found.values()]
        self._store.holds.try_hold(map(Digest, digests))

    def finish(self) -> None:
        """Place the media that the store has, then make or fetch the others. Called when git has closed the pipe."""
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
            for left in missing:  # as placing failed, making more media would be wasted
                self._report.left(left.path, "the disk is full or failing, so it was not made")
        elif missing:
            self._bring(missing)


def place(placer: Filler, placements: Sequence[Placement], report: FilterReport) -> bool:
    """Place media, and report the result; False if the disk is full or fails."""
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
    """The take as the full parser finds it, for texts that the line scan does not handle."""
    from regenstore.errors import FormatError
    from regenstore.objects import toml

    try:
        take = toml.decode(text).output.take
    except FormatError:
        return None
    return None if take is None else (take.digest.raw, take.size)
