"""One remote: what it has, sending, bringing and confirming contents. Parallel; every byte is checked.

* What is sent is hashed right before, so that damage here does not spread; afterwards the remote has to tell the
  right size. What the remote's gc has marked is sent again, and looked at once more in the end.
* What is brought becomes a content only when its digest is right. A transfer that broke off goes on where it
  was, also in another process; what then has the wrong digest is brought once more from the start.
* A confirmation is an answer of this moment, of the size and of a tag (an ETag, a time). The tag stands for bytes
  that were read back whole and hashed once, or is their MD5; with another tag, or none, they are read again.
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
"""Contents whose senders wait for the remote's disk together."""
MANY = 256
"""From so many contents on, shards are listed instead of asking for each."""
_SPEED = (20e6, 0.05)
"""Bytes per second, and seconds per object, of a remote that was never used."""
_GOODBYE = 2.0
"""Seconds that a transfer which nobody wants any more may take to notice. It ends with the process in any case."""
_ENOUGH = 1 << 20
"""Bytes from which on a transfer tells how fast the remote is."""
FACT_VERSION = 1
PATIENCE = 600.0
SETTLED = 60.0
"""Seconds after which no gc still deletes what it looked at before; it keeps to far fewer."""
_PAUSE = 0.5
_AHEAD = 4
"""Items that each thread may begin before the answers are taken."""
_MD5 = re.compile("[0-9a-f]{32}")
T = TypeVar("T")
U = TypeVar("U")
Told = Callable[[Digest, int], None]
"""Told how many more bytes of a content were moved; fewer than none where it begins anew."""


@dataclass(frozen=True)
class Transfer:
    """What became of one content."""

    digest: Digest
    size: int
    already: bool = False
    """It was there before."""
    error: RegenstoreError | None = None


class Remote:
    """A remote by the name that the user gave it, and the store whose contents go there and back."""

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
        """Where the store keeps what it knows of this remote."""
        return f"{self._store.root}/remotes/{self.id}"

    # -------------------------------------------------------------------------------- asking

    def having(self, digests: Collection[Digest]) -> dict[Digest, Head]:
        """Those of the contents that the remote has, with what it tells of them. Not a proof of their bytes."""
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
        """Ask now: those of the contents whose bytes the remote has, with their sizes. What cannot be asked, or
        has other bytes, is left out; so is what would have to be read back where all of that takes longer than
        ``patience`` seconds, the largest first. Raises StorageError where the remote cannot be reached at all."""
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
        """When the remote's bytes of a content were last found to be right, by this machine's clock; asks nobody."""
        try:
            return os.stat(self._facts.path(digest, f"remote_{self.id}", FACT_VERSION)).st_mtime
        except OSError:
            return None

    def _known(self, digest: Digest, head: Head) -> bool:
        """Whether what the remote tells of a content stands for its bytes."""
        if not head.tag:
            return False
        if self._facts.get(digest, f"remote_{self.id}", FACT_VERSION) == _receipt(head):
            return True
        path = self._store.stored(digest, head.size)
        if path is None or not _MD5.fullmatch(head.tag):
            return False
        # Object stores tell the MD5 of the bytes that they keep, of what was put in one piece.
        with open(path, "rb") as file:
            if hashlib.file_digest(file, "md5").hexdigest() != head.tag or hash_own_file(path)[0] != digest:
                return False
        self._facts.put(digest, f"remote_{self.id}", FACT_VERSION, _receipt(head))
        return True

    def _read_back(self, digest: Digest, head: Head | None) -> bool:
        name = layout.content(digest)
        if head is None or self._store.size(digest) not in (None, head.size):
            return False  # by their number alone they are other bytes
        if hash_blocks(self.blocks(name, head.size)) != (digest, head.size):
            return False
        after = self.backend.head(name)
        if after is None or (after.size, after.modified) != (head.size, head.modified):
            return False
        if head.tag and after.tag != head.tag:
            return False
        if head.tag:  # else it is too fresh to have one, or the server has none
            self._facts.put(digest, f"remote_{self.id}", FACT_VERSION, _receipt(head))
        return True

    def blocks(self, name: str, size: int) -> Iterator[bytes]:
        """The bytes of an object, no faster than is allowed, and hardly more than its size. Raises
        :class:`Absent`."""
        came = 0
        for block in self.backend.read(name):
            self._moving(len(block))
            yield block
            came += len(block)
            if came > size:
                return

    # -------------------------------------------------------------------------------- sending

    def send(self, digests: Collection[Digest], told: Told, *, again: bool = False) -> Generator[Transfer, None, None]:
        """Send contents of the store that the remote does not have, or may delete; one answer for each, as it is
        known. The answers about what was there already, or marked, come last. ``again``: also those that it has, in
        whose place it may have other bytes."""
        # Before asking what is there: gc removes a mark only after it has deleted what was marked.
        marked = self._marked(digests)
        there = {} if again else self.having(digests)

        def work(digest: Digest) -> Transfer:
            path = self._store.stored(digest)
            if path is None:
                raise StorageError("store-damaged", f"the store does not hold {digest} any more")
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
        """The same answers in the same order; nobody is told of a content that it is there before it is durable."""
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
        """Those of the contents that the remote's gc may delete."""
        return set(digests).intersection(self.tombstones()) if digests and self.backend.lists else set()

    def _gone(self, digests: set[Digest]) -> set[Digest]:
        """Of contents that were sent although they had a mark: those that a gc deleted after that, as it had looked
        before. Waits until none can do so any more: none is at work, or it has come to the mark, or time is up."""
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
        if head is None:  # a gc that had looked before we wrote may have deleted it
            told(-size)
            self.backend.write_file(name, path, moved)
            head = self.backend.head(name)
        if head is None or head.size != size:
            kept = "nothing" if head is None else f"{head.size} bytes"
            raise StorageError("remote-failed", f"{self.url} kept {kept} of the {size} bytes of {digest}")
        self._times.append((size, time.monotonic() - began))

    def tombstones(self) -> Iterator[Digest]:
        """The contents that the remote's gc may delete, unless they are sent again."""
        for name, _ in self.backend.names(layout.TOMBSTONES):
            digest = layout.digest_of(name)
            if digest is not None:
                yield digest

    # -------------------------------------------------------------------------------- bringing

    def bring(self, contents: Iterable[tuple[Digest, int | None]], told: Told) -> Generator[Transfer, None, None]:
        """Bring contents into the store (digest, and size where it is known); one answer for each, as it is
        known; durable when all were given. Errors are answers: what is not there is a StorageError
        (``remote-failed``)."""
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
            self._store.settle()  # one wait for all; what a power cut takes before is still on the remote

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
            require_room(fd, size - have, f"{self.url} says that {digest}")
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
        raise StorageError("remote-wrong-bytes", f"{self.url} has other bytes under {name}")

    def _receive(self, name: str, fd: int, size: int, told: Callable[[int], None]) -> Iterator[bytes]:
        """Append to the open part what is missing of it; gives what it appends."""
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
        """Seconds that bringing contents of these sizes takes, by what transfers took before."""
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
        """Keep how fast transfers were: half of it against half of what was known."""
        rate, latency = self._speed()
        large = [(size, seconds) for size, seconds in self._times if size >= _ENOUGH]
        small = [seconds for size, seconds in self._times if size < _ENOUGH]
        self._times.clear()
        if large:
            # Several go on at a time and share what there is.
            at_once = min(self._jobs, len(large))
            rate = (rate + at_once * sum(size for size, _ in large) / max(sum(s for _, s in large), 1e-3)) / 2
        if small:
            latency = (latency + sum(small) / len(small)) / 2
        if large or small:
            try:
                sharing.make_folders(self.folder)
                durable.write_file(f"{self.folder}/speed.json", json.dumps({"rate": rate, "latency": latency}).encode())
            except (OSError, RegenstoreError):
                pass  # it is a guess all the same

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
        """Do some work for all items, several at a time; each with its answer, as it is known."""
        left = deque(items)
        answers: SimpleQueue[tuple[T, U | BaseException]] = SimpleQueue()
        leave: SimpleQueue[None] = SimpleQueue()  # to begin one: who asks for no more finds little that was begun
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
            stop.set()  # where nobody waits for the rest, what runs ends with its next block
            for _ in threads:
                leave.put(None)
            goodbye = time.monotonic() + _GOODBYE
            for thread in threads:
                if thread.ident is not None and thread is not threading.current_thread():
                    thread.join(max(0.0, goodbye - time.monotonic()))

    def _moving(self, count: int) -> None:
        """Called for each block. Raises TransferCancelled when it is no longer wanted."""
        pause()
        self.throttle.took(count)


def _raised(answer: T | Exception) -> T:
    if isinstance(answer, Exception):
        raise answer
    return answer


def _receipt(head: Head) -> bytes:
    return f"{head.size} {head.tag}".encode()
