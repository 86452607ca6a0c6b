"""The blob reader, and the choice between its two sources."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from types import TracebackType
from typing import TYPE_CHECKING

from regenstore.refs.git.cat_file import CatFile
from regenstore.refs.git.history import History

if TYPE_CHECKING:
    from regenstore.refs.git.linked import Linked

WORTH_IT = 20_000
"""The number of blobs from which libgit2 is used. It costs 0.1 to 0.2 s more CPU to start than git and less per blob:
about the same in total for this many packed ones, and 0.8 times as much for loose ones. Measured by ``python -m
benchmarks --only blobs``."""
_FEW = 100
"""The number of names sent to git at a time, without waiting for answers in between."""


class BlobReader:
    """Reads blobs of one repository: from a git process, or from libgit2 once enough blobs were requested or are
    ``expected`` to repay its start, provided it supports this repository. Both give the same results."""

    def __init__(self, git: History, expected: int = 0) -> None:
        self._git = git
        self._asked = expected
        self._cat_file = CatFile(git)
        self._linked: Linked | None = None
        self._settled = False

    """Whether the source has been chosen."""

    def __enter__(self) -> BlobReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def read(self, name: bytes, limit: int) -> bytes | None:
        """Return the bytes of the blob that a name resolves to, an object id or a name like ``HEAD:a.png``; None if
        there is no such blob, or git cannot read it. Of a blob longer than ``limit``, its first ``limit + 1`` bytes."""
        return next(self.read_many((name,), limit))

    def read_many(self, names: Iterable[bytes], limit: int) -> Iterator[bytes | None]:
        """Like :meth:`read`, for many names."""
        waiting = iter(names)
        while some := list(islice(waiting, _FEW)):
            # All answers are read before the first is yielded: the consumer may request other blobs.
            asked = [self._by_oid(name) if b"\n" in name else name for name in some]
            yield from self._source(len(asked)).contents(asked, limit)

    def texts(self, oids: Iterable[bytes], limit: int) -> Iterator[tuple[bytes, bytes | None]]:
        """Yield the bytes of blobs by raw object id; None for one longer than ``limit``, which is not read. Objects
        that are missing or not blobs are left out. Raises FormatError (``git-failed``) for a damaged one, and if
        git does not answer."""
        waiting = iter(oids)
        while some := list(islice(waiting, _FEW)):
            texts = self._source(len(some)).texts([oid.hex().encode() for oid in some], limit)
            yield from ((oid, data) for oid, (kind, data) in zip(some, texts) if kind == "blob")

    def _source(self, asked: int) -> CatFile | Linked:
        self._asked += asked
        if self._asked >= WORTH_IT and not self._settled:
            from regenstore.refs.git.linked import Linked, open_linked

            opened = open_linked(self._git, self._cat_file)
            self._linked = opened if isinstance(opened, Linked) else None
            self._settled = True
        return self._linked or self._cat_file

    def _by_oid(self, name: bytes) -> bytes:
        """Return the object id of a name that contains a newline and so cannot be sent as it is; empty if none."""
        return (self._git.resolve(name) or "").encode()

    def close(self) -> None:
        """Release the sources; they are started again on demand."""
        self._cat_file.close()
        self._linked, self._settled = None, False  # releases its open files too
