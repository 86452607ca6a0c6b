"""Store a stream of unknown length: hash it as it arrives, and write it only if necessary.

Usually a file already has the bytes of a clean request: the worktree file itself, or a content of the store. Such a
*candidate* is compared with the stream as it arrives; while they agree, nothing is written. At the first difference,
the part that agreed is copied from the candidate, and the rest of the stream is written after it. So no byte is lost,
even if the file changes meanwhile.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from blake3 import blake3

from regenstore.fs import durable
from regenstore.fs.writing import write_all
from regenstore.objects.content_store import ContentStore
from regenstore.objects.ids import Digest

_PIECE = 1 << 20


class Spooled:
    """A stream that was read to its end. ``temp`` is a file of the store with its bytes; None if they equal a stored
    content, which is open as ``stored``. ``keep`` ensures that the store has the bytes and keeps them; ``discard``
    removes the temp file."""

    def __init__(
        self, store: ContentStore, digest: Digest, size: int, temp: str | None, stored: StreamSource | None
    ) -> None:
        self.digest, self.size = digest, size
        self._store, self.temp, self._stored = store, temp, stored

    def read(self, at: int, length: int) -> bytes:
        """Return bytes of the stream from a place on; fewer at its end. Raises OSError."""
        if self.temp is None:
            assert self._stored is not None
            return os.pread(self._stored.fd, length, at)
        with open(self.temp, "rb", buffering=0) as file:
            return os.pread(file.fileno(), length, at)

    def keep(self, *, wait: bool) -> None:
        if self.temp is None:
            claimed = self._store.claim(self.digest, self.size)
            if claimed is None:
                self._copy_stored()  # gc evicted it after it was compared, or it belongs to another user
            elif wait:
                self._store.wait_for(claimed)
        if self.temp is not None:
            # Even if the store has equal bytes: those of another process may not be durable yet.
            self._store.put_file(self.temp, self.digest, wait=wait)
            self.temp = None
        self.discard()

    @contextmanager
    def reading(self) -> Iterator[int]:
        """A descriptor of a file with the stream's bytes."""
        if self.temp is None:
            assert self._stored is not None
            yield self._stored.fd
            return
        fd = os.open(self.temp, os.O_RDONLY)
        try:
            yield fd
        finally:
            os.close(fd)

    def discard(self) -> None:
        if self._stored is not None:
            self._stored.close()
        if self.temp is not None:
            durable.unlink(self.temp)
            self.temp = None

    def _copy_stored(self) -> None:
        """Write the bytes of the open content again; they can be read until it is closed."""
        assert self._stored is not None
        temp = self._store.temp_path("clean")
        with durable.storage_errors(temp):
            out = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            self.temp = temp
            try:
                done = 0
                while piece := os.pread(self._stored.fd, _PIECE, done):
                    done += len(piece)
                    write_all(out, piece)
            finally:
                os.close(out)


class StreamSource:
    """A file that may have the stream's bytes. ``temp``: whether it is a temp file that can be moved into the store."""

    def __init__(self, path: str, *, temp: bool) -> None:
        self.path, self.temp = path, temp
        self.fd = os.open(path, os.O_RDONLY)
        self._buffer = bytearray()

    def agrees(self, piece: memoryview) -> bool:
        """Whether the next bytes of the file equal this piece."""
        if len(self._buffer) != len(piece):
            self._buffer = bytearray(len(piece))
        # A bytearray compares with memcmp; two memoryviews would compare item by item.
        return os.readv(self.fd, [self._buffer]) == len(piece) and self._buffer == piece

    def at_end(self) -> bool:
        return not os.read(self.fd, 1)

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def take_in(store: ContentStore, chunks: Iterable[memoryview | bytes], candidate: StreamSource | None) -> Spooled:
    """Read a stream to its end. Raises StorageError if it cannot be written; then no temp file is left, and the stream
    is only partly read."""
    intake = _Intake(store, candidate)
    try:
        with durable.storage_errors(store.root):
            for chunk in chunks:
                intake.add(memoryview(chunk))
            return intake.finish()
    except BaseException:
        intake.abandon()
        raise


class _Intake:
    def __init__(self, store: ContentStore, candidate: StreamSource | None) -> None:
        self.store = store
        self.candidate = candidate
        self.hasher = blake3()
        self.size = 0
        self.temp: str | None = None
        self.out = -1

    def add(self, piece: memoryview) -> None:
        self.hasher.update(piece)
        if self.candidate is not None and not self.candidate.agrees(piece):
            self._leave_candidate()
        if self.candidate is None:
            self._write(piece)
        self.size += len(piece)

    def finish(self) -> Spooled:
        if self.candidate is not None and not self.candidate.at_end():
            self._leave_candidate()
        if self.candidate is not None and self.candidate.temp:
            self.candidate.close()
            self.temp = self.candidate.path
        elif self.out >= 0:
            os.close(self.out)
            self.out = -1
        stored = self.candidate if self.temp is None else None
        return Spooled(self.store, Digest(self.hasher.digest()), self.size, self.temp, stored)

    def abandon(self) -> None:
        if self.out >= 0:
            os.close(self.out)
        if self.candidate is not None:
            self.candidate.close()
            if self.candidate.temp:
                durable.unlink(self.candidate.path)
        if self.temp is not None:
            durable.unlink(self.temp)

    def _leave_candidate(self) -> None:
        """The stream differs from here on: copy the part that agreed, and write the rest as it arrives."""
        left, self.candidate = self.candidate, None
        assert left is not None
        try:
            done = 0
            while done < self.size:
                agreed = os.pread(left.fd, min(_PIECE, self.size - done), done)
                if not agreed:
                    raise OSError(5, "a candidate file was truncated while it was read")
                self._write(memoryview(agreed))
                done += len(agreed)
        finally:
            left.close()
            if left.temp:
                durable.unlink(left.path)

    def _write(self, piece: memoryview) -> None:
        if self.out < 0:
            temp = self.store.temp_path("clean")
            self.out = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            self.temp = temp
        write_all(self.out, piece)
