"""One remote: query, send, fetch and confirm contents. Transfers run in parallel, and every byte is verified.

* Contents are hashed right before they are sent, so that local damage does not spread; afterwards the remote must
  report the right size. A content that the remote's gc has marked is sent again, and checked once more at the end.
* Fetched bytes become a content only if their digest is right. A broken transfer is resumed, also by another process;
  if the digest is then wrong, the content is fetched once more from the start.
* A confirmation is the remote's answer at this moment: size and tag (an ETag or a time). The tag stands for bytes that
  were once read back and hashed, or is their MD5; if it changed or is missing, they are read back again.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Generator, Iterable, Iterator
from dataclasses import dataclass
from queue import SimpleQueue
from typing import TypeVar

from regenstore.errors import RegenstoreError, StorageError
from regenstore.fs import durable, sharing
from regenstore.fs.writing import write_all
from regenstore.objects.content_store import ContentStore
from regenstore.objects.fact_cache import ContentFacts
from regenstore.objects.hashing import hash_blocks, hash_bytes, hash_own_file
from regenstore.objects.ids import Digest
from regenstore.remotes import layout
from regenstore.remotes.backends.contract import Absent, Backend, Head
from regenstore.remotes.partial_download import part_of, require_room
from regenstore.remotes.throttle import CANCELLED, Throttle, pause

JOBS = 8
_TOGETHER = 1000
"""Number of contents that are synced to the remote's disk together."""
MANY = 256
"""Number of contents from which shards are listed instead of asking for each content."""
_SPEED = (20e6, 0.05)
"""Assumed bytes per second and seconds per object of a remote that was never used."""
_GOODBYE = 2.0
"""Seconds that an unwanted transfer may take to notice. It ends with the process in any case."""
_ENOUGH = 1 << 20
"""Bytes from which a transfer indicates how fast the remote is."""
FACT_VERSION = 1
PATIENCE = 600.0
SETTLED = 60.0
"""Seconds after which no gc still deletes what it checked before; gcs keep well below that."""
_PAUSE = 0.5
_AHEAD = 4
"""Number of items that each thread may begin before results are taken."""
_MD5 = re.compile("[0-9a-f]{32}")
T = TypeVar("T")
U = TypeVar("U")
Told = Callable[[Digest, int], None]
"""Progress callback: the number of further bytes of a content moved; negative when it starts over."""


@dataclass(frozen=True)
class Transfer:
    """The outcome for one content."""

    digest: Digest
    size: int
    already: bool = False
    """It was on the remote before."""
    error: RegenstoreError | None = None


class Remote:
    """A configured remote, and the store that exchanges contents with it."""

    def __init__(
        self, name: str, backend: Backend, store: ContentStore, *, jobs: int = JOBS, throttle: Throttle | None = None
    ) -> None:
        self.name = name
        self.backend = backend
        self.url = backend.url
        self._store = store
        self._jobs = jobs
        self.throttle = throttle or Throttle(None)
        self._facts = ContentFacts(store.root)
        self._times: list[tuple[int, float]] = []
        self.settled = SETTLED
        """See :data:`SETTLED`."""
        self.id = hash_bytes(os.fsencode(self.url)).hex[:16]

    @property
    def folder(self) -> str:
        """Where the store keeps what it knows about this remote."""
        return f"{self._store.root}/remotes/{self.id}"

    # -------------------------------------------------------------------------------- asking

    def having(self, digests: Collection[Digest]) -> dict[Digest, Head]:
        """The contents that the remote has, with their metadata. This does not verify their bytes."""
        wanted = set(digests)
        if len(wanted) > MANY and self.backend.lists:
            prefixes = {layout.content(digest)[: len(layout.CONTENTS) + 3] for digest in wanted}
            found: dict[Digest, Head] = {}
            for _, listed in self._all(prefixes, lambda prefix: list(self.backend.names(prefix))):
                for name, head in _raised(listed):
                    digest = layout.digest_of(name)
                    if digest in wanted:
                        found[digest] = head
            return found
        answers = self._all(wanted, lambda digest: self.backend.head(layout.content(digest)))
        heads = {digest: _raised(answer) for digest, answer in answers}
        return {digest: head for digest, head in heads.items() if head is not None}

    def confirm(self, digests: Collection[Digest], patience: float = PATIENCE) -> dict[Digest, int]:
        """Ask the remote now which of the contents it holds intact; returns them with their sizes.

        Contents that cannot be checked or have wrong bytes are left out. So are contents that would have to be read
        back, largest first, if that would take longer than ``patience`` seconds in total. Raises StorageError if the
        remote cannot be reached at all.
        """
        answers = self._all(set(digests), lambda digest: self.backend.head(layout.content(digest)))
        heads = {digest: _raised(head) for digest, head in answers}
        found, unread = {}, []
        for digest, head in sorted(heads.items(), key=lambda each: 0 if each[1] is None else each[1].size):
            if head is None:
                continue
            if self._known(digest, head):
                found[digest] = head.size
            elif (patience := patience - self.estimate([head.size])) >= 0:
                unread.append(digest)
        for digest, right in self._all(unread, lambda digest: self._read_back(digest, heads[digest])):
            head = heads[digest]
            if right is True and head is not None:
                found[digest] = head.size
        if found:
            self.backend.settle(everything=True)
        return found

    def last_confirmed(self, digest: Digest) -> float | None:
        """When the remote's bytes of a content were last verified, by this machine's clock. Does not contact the
        remote."""
        try:
            return os.stat(self._facts.path(digest, f"remote_{self.id}", FACT_VERSION)).st_mtime
        except OSError:
            return None

    def _known(self, digest: Digest, head: Head) -> bool:
        """Whether a content's metadata on the remote stands for bytes that were verified."""
        if not head.tag:
            return False
        if self._facts.get(digest, f"remote_{self.id}", FACT_VERSION) == _receipt(head):
            return True
        path = self._store.stored(digest, head.size)
        if path is None or not _MD5.fullmatch(head.tag):
            return False
        # Object stores report the MD5 of objects that were uploaded in one piece.
        with open(path, "rb") as file:
            if hashlib.file_digest(file, "md5").hexdigest() != head.tag or hash_own_file(path)[0] != digest:
                return False
        self._facts.put(digest, f"remote_{self.id}", FACT_VERSION, _receipt(head))
        return True

    def _read_back(self, digest: Digest, head: Head | None) -> bool:
        name = layout.content(digest)
        if head is None or self._store.size(digest) not in (None, head.size):
            return False  # the size alone shows that the bytes differ
        if hash_blocks(self.blocks(name, head.size)) != (digest, head.size):
            return False
        after = self.backend.head(name)
        if after is None or (after.size, after.modified) != (head.size, head.modified):
            return False
        if head.tag and after.tag != head.tag:
            return False
        if head.tag:  # without a tag it is too fresh, or the server has no tags
            self._facts.put(digest, f"remote_{self.id}", FACT_VERSION, _receipt(head))
        return True

    def blocks(self, name: str, size: int) -> Iterator[bytes]:
        """Yield an object's bytes within the bandwidth limit, and hardly more than its size. Raises :class:`Absent`."""
        came = 0
        for block in self.backend.read(name):
            self._moving(len(block))
            yield block
            came += len(block)
            if came > size:
                return

    # -------------------------------------------------------------------------------- sending

    def send(self, digests: Collection[Digest], told: Told, *, again: bool = False) -> Generator[Transfer, None, None]:
        """Send contents that the remote lacks or may delete; yields the outcome of each when known.

        Outcomes of contents that were already there, or marked, come last. ``again``: also send those that it has,
        whose bytes may be wrong.
        """
        # Must come before asking what is there: gc removes a mark only after it has deleted the marked object.
        marked = self._marked(digests)
        there = {} if again else self.having(digests)

        def work(digest: Digest) -> Transfer:
            path = self._store.stored(digest)
            if path is None:
                raise StorageError("store-damaged", f"the store no longer holds {digest}")
            size = os.path.getsize(path)
            if digest in there and there[digest].size == size and digest not in marked:
                return Transfer(digest, size, already=True)
            self._send(digest, path, size, lambda count: told(digest, count))
            return Transfer(digest, size)

        last: dict[Digest, Transfer] = {}
        for moved in self._settled(self._answers(digests, work)):
            if moved.error is None and (moved.already or moved.digest in marked):
                last[moved.digest] = moved
            else:
                yield moved
        there = {}
        last |= {moved.digest: moved for moved in self._settled(self._answers(self._marked(last) - marked, work))}
        resent = {digest for digest, moved in last.items() if moved.error is None and not moved.already}
        while resent and (resent := self._gone(resent)):
            last |= {moved.digest: moved for moved in self._settled(self._answers(resent, work))}
            resent = {digest for digest in resent if last[digest].error is None}
        yield from last.values()

    def _settled(self, answers: Iterator[Transfer]) -> Iterator[Transfer]:
        """Pass on outcomes in order; none is reported as present before it is durable."""
        waiting: list[Transfer] = []
        for moved in answers:
            waiting.append(moved)
            if moved.error is not None or len(waiting) >= _TOGETHER:
                self.backend.settle()
                yield from waiting
                waiting.clear()
        if waiting:
            self.backend.settle()
            yield from waiting

    def _marked(self, digests: Collection[Digest]) -> set[Digest]:
        """The contents that the remote's gc may delete."""
        return set(digests).intersection(self.tombstones()) if digests and self.backend.lists else set()

    def _gone(self, digests: set[Digest]) -> set[Digest]:
        """Among contents that were sent despite a mark, those that a gc has deleted since, as it had checked them
        before.

        Waits until no gc can do so any more: none is running, it has processed the mark, or time is up.
        """
        began = time.monotonic()
        left = digests
        while left and self.backend.head(layout.TURN) is not None and time.monotonic() < began + self.settled:
            time.sleep(min(_PAUSE, self.settled))
            left = self._marked(left)
        return digests - self.having(digests).keys()

    def _send(self, digest: Digest, path: str, size: int, told: Callable[[int], None]) -> None:
        with durable.storage_errors(path):
            if hash_own_file(path)[0] != digest:
                raise StorageError("store-damaged", f"{path} does not hold the bytes of {digest}")

        def moved(count: int) -> None:
            self._moving(count)
            told(count)

        name = layout.content(digest)
        began = time.monotonic()
        self.backend.write_file(name, path, moved)
        head = self.backend.head(name)
        if head is None:  # a gc that had checked before the write may have deleted it
            told(-size)
            self.backend.write_file(name, path, moved)
            head = self.backend.head(name)
        if head is None or head.size != size:
            kept = "nothing" if head is None else f"{head.size} bytes"
            raise StorageError("remote-failed", f"{self.url} kept {kept} of the {size} bytes of {digest}")
        self._times.append((size, time.monotonic() - began))

    def tombstones(self) -> Iterator[Digest]:
        """Yield the contents that the remote's gc may delete unless they are sent again."""
        for name, _ in self.backend.names(layout.TOMBSTONES):
            digest = layout.digest_of(name)
            if digest is not None:
                yield digest

    # -------------------------------------------------------------------------------- bringing

    def bring(self, contents: Iterable[tuple[Digest, int | None]], told: Told) -> Generator[Transfer, None, None]:
        """Fetch contents into the store (digest, and size if known); yields the outcome of each when known.

        They are durable once all outcomes were yielded. Errors are outcomes: a missing content is a StorageError
        (``remote-failed``).
        """
        self._store.prepare()
        sizes = dict(contents)

        def work(digest: Digest) -> Transfer:
            size = sizes[digest]
            if (path := self._store.use(digest, size)) is not None:
                return Transfer(digest, os.path.getsize(path), already=True)
            return Transfer(digest, self._bring(digest, size, lambda count: told(digest, count)))

        try:
            yield from self._answers(sizes, work)
        finally:
            self._store.settle()  # one sync for all; what a power cut destroys before is still on the remote

    def _bring(self, digest: Digest, size: int | None, told: Callable[[int], None]) -> int:
        name = layout.content(digest)
        if size is None:
            head = self.backend.head(name)
            if head is None:
                raise StorageError("remote-failed", f"{self.url} does not have {digest}")
            size = head.size
        with durable.storage_errors(self._store.root), part_of(self._store, digest) as (path, fd):
            have = os.fstat(fd).st_size
            if have > size:
                os.ftruncate(fd, have := 0)
            require_room(fd, size - have, f"{self.url} reports that {digest}")
            for fresh in (not have, True):
                if fresh:
                    os.ftruncate(fd, 0)
                began = time.monotonic()
                whole = not os.lseek(fd, 0, os.SEEK_END)
                blocks = self._receive(name, fd, size, told)
                if whole:
                    found = hash_blocks(blocks)
                else:
                    deque(blocks, 0)
                    found = hash_own_file(path)
                if found == (digest, size):
                    self._times.append((size, time.monotonic() - began))
                    self._store.put_file(path, digest, wait=False)
                    return size
                told(-os.fstat(fd).st_size)
                if fresh:
                    break
            os.ftruncate(fd, 0)
        raise StorageError("remote-wrong-bytes", f"{self.url} has wrong bytes under {name}")

    def _receive(self, name: str, fd: int, size: int, told: Callable[[int], None]) -> Iterator[bytes]:
        """Append the missing rest to a partial file, and yield what was appended."""
        done = os.lseek(fd, 0, os.SEEK_END)
        told(done)
        while done < size:
            before = done
            try:
                for block in self.backend.read(name, done):
                    self._moving(len(block))
                    if done + len(block) > size:
                        raise StorageError("remote-wrong-bytes", f"{self.url} has more bytes under {name} than {size}")
                    write_all(fd, block)
                    done += len(block)
                    told(len(block))
                    yield block
            except Absent:
                raise StorageError("remote-failed", f"{self.url} does not have {name}") from None
            if done == before:
                raise StorageError("remote-wrong-bytes", f"{self.url} has {done} bytes under {name}, not {size}")

    # -------------------------------------------------------------------------------- speed

    def estimate(self, sizes: Collection[int]) -> float:
        """Estimated seconds to fetch contents of these sizes, from earlier transfers."""
        rate, latency = self._speed()
        return sum(sizes) / rate + latency * -(-len(sizes) // self._jobs)

    def _speed(self) -> tuple[float, float]:
        try:
            with open(f"{self.folder}/speed.json", encoding="utf-8") as file:
                told = json.load(file)
            return max(1.0, float(told["rate"])), max(0.0, float(told["latency"]))
        except (OSError, ValueError, KeyError, TypeError, RecursionError, OverflowError):
            return _SPEED

    def _learn(self) -> None:
        """Update the measured speed: the average of the old value and these transfers."""
        rate, latency = self._speed()
        large = [(size, seconds) for size, seconds in self._times if size >= _ENOUGH]
        small = [seconds for size, seconds in self._times if size < _ENOUGH]
        self._times.clear()
        if large:
            # Parallel transfers share the bandwidth.
            at_once = min(self._jobs, len(large))
            rate = (rate + at_once * sum(size for size, _ in large) / max(sum(s for _, s in large), 1e-3)) / 2
        if small:
            latency = (latency + sum(small) / len(small)) / 2
        if large or small:
            try:
                sharing.make_folders(self.folder)
                durable.write_file(f"{self.folder}/speed.json", json.dumps({"rate": rate, "latency": latency}).encode())
            except (OSError, RegenstoreError):
                pass  # it is only an estimate

    # -------------------------------------------------------------------------------- in parallel

    def _answers(self, digests: Collection[Digest], work: Callable[[Digest], Transfer]) -> Iterator[Transfer]:
        for digest, answer in self._all(digests, work):
            if isinstance(answer, RegenstoreError):
                yield Transfer(digest, 0, error=answer)
            elif isinstance(answer, OSError):
                yield Transfer(digest, 0, error=durable.storage_error(answer, answer.filename or self.url))
            else:
                yield _raised(answer)
        self._learn()

    def _all(self, items: Collection[T], work: Callable[[T], U]) -> Iterator[tuple[T, U | Exception]]:
        """Apply ``work`` to all items on several threads; yields each item with its result when known."""
        left = deque(items)
        answers: SimpleQueue[tuple[T, U | BaseException]] = SimpleQueue()
        leave: SimpleQueue[None] = SimpleQueue()  # permits: if the caller stops early, few are begun
        stop = threading.Event()

        def run() -> None:
            CANCELLED.set(stop)
            while True:
                leave.get()
                if stop.is_set():
                    return
                try:
                    item = left.popleft()
                except IndexError:
                    return
                try:
                    answers.put((item, work(item)))
                except BaseException as error:
                    answers.put((item, error))

        count = len(left)
        threads = [
            threading.Thread(target=run, name=f"remote-{number}", daemon=True)
            for number in range(min(self._jobs, count))
        ]
        try:
            for _ in range(_AHEAD * len(threads)):
                leave.put(None)
            for thread in threads:
                thread.start()
            for _ in range(count):
                item, answer = answers.get()
                if isinstance(answer, BaseException) and not isinstance(answer, Exception):
                    raise answer
                yield item, answer
                leave.put(None)
        finally:
            stop.set()  # if the caller stopped early, running work ends with its next block
            for _ in threads:
                leave.put(None)
            goodbye = time.monotonic() + _GOODBYE
            for thread in threads:
                if thread.ident is not None and thread is not threading.current_thread():
                    thread.join(max(0.0, goodbye - time.monotonic()))

    def _moving(self, count: int) -> None:
        """Called for each block. Raises TransferCancelled once the transfer is no longer needed."""
        pause()
        self.throttle.took(count)


def _raised(answer: T | Exception) -> T:
    if isinstance(answer, Exception):
        raise answer
    return answer


def _receipt(head: Head) -> bytes:
    return f"{head.size} {head.tag}".encode()
