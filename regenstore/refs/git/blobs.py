"""Reading blobs: the one reader, and the choice between its two sources."""

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
"""From so many blobs on libgit2 is chosen: it starts 0.1 to 0.2 s of CPU later than git and takes less for each, about
as much in all for so many packed ones, and 0.8 times as much for loose ones. Measured by ``python -m benchmarks --only
blobs``."""
_FEW = 100
"""Names that are asked for together: nobody waits between them."""


class BlobReader:
    """Reads blobs of one repository: from a process of git, and from libgit2 once so many were asked for, or are
    ``expected``, that it is worth its start, where it can serve this repository. Both give the same."""

    def __init__(self, git: History, expected: int = 0) -> None:
        self._git = git
        self._asked = expected
        self._cat_file = CatFile(git)
        self._linked: Linked | None = None
        self._settled = False
        """Whether the choice is made."""

    def __enter__(self) -> BlobReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def read(self, name: bytes, limit: int) -> bytes | None:
        """The bytes of the blob that a name leads to, an object id or one like ``HEAD:a.png``; None when there is
        no such blob, or git cannot read it. One longer than ``limit`` gives its first ``limit + 1`` bytes."""
        return next(self.read_many((name,), limit))

    def read_many(self, names: Iterable[bytes], limit: int) -> Iterator[bytes | None]:
        """The same for each of many names."""
        waiting = iter(names)
        while some := list(islice(waiting, _FEW)):
            # All answers are read before the first is given: who gets one may ask for other blobs.
            asked = [self._by_oid(name) if b"\n" in name else name for name in some]
            yield from self._source(len(asked)).contents(asked, limit)

    def texts(self, oids: Iterable[bytes], limit: int) -> Iterator[tuple[bytes, bytes | None]]:
        """The bytes of blobs by raw object id, in any number; None for one longer than ``limit``, of which
        nothing is read. An object that is not there, or is no blob, is left out. Raises FormatError
        (``git-failed``) for one that is damaged, and where git does not answer."""
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
        """The object id of a name with a line end, which cannot be asked for as it is; empty where there is none."""
        return (self._git.resolve(name) or "").encode()

    def close(self) -> None:
        """End what was started; it starts again at the next question."""
        self._cat_file.close()
        self._linked, self._settled = None, False  # what it had open goes with it
