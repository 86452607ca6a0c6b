"""Check what a remote can do, with a small object below ``v1/probe/`` that is removed again."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from regenstore.errors import RegenstoreError, StorageError
from regenstore.fs import durable
from regenstore.objects.content_store import ContentStore
from regenstore.objects.hashing import hash_blocks
from regenstore.objects.ids import Digest
from regenstore.remotes import layout
from regenstore.remotes.backends.contract import Absent, Backend
from regenstore.remotes.remote import Remote

ABILITIES = ("answer", "write", "read", "range", "overwrite", "list", "delete")
NEEDED_TO_READ, NEEDED_TO_PUSH = ("answer",), ("answer", "write", "read")
_SPEED_BYTES, _LEAST = 8 << 20, 64 << 10
_TRIES = 3
_SPEED_SECONDS = 2.0
"""Seconds of a bandwidth limit that are enough to measure with."""


@dataclass
class Abilities:
    """The outcome of a check: for each ability that was tried, None if it works, else the error."""

    tried: dict[str, RegenstoreError | None] = field(default_factory=dict)
    latency: float = 0.0
    """Seconds until the remote answered."""

    def can(self, *abilities: str) -> bool:
        return all(name in self.tried and self.tried[name] is None for name in abilities)

    @property
    def problem(self) -> RegenstoreError | None:
        """The first error."""
        return next((error for error in self.tried.values() if error is not None), None)


def probe(backend: Backend) -> Abilities:
    """Try every ability, skipping those that depend on one that failed."""
    found = Abilities()
    name = f"{layout.PROBE}{os.urandom(16).hex()}"
    first, second = os.urandom(1000), os.urandom(1200)

    def attempt(ability: str, work: Callable[[], str]) -> bool:
        try:
            wrong = work()
            found.tried[ability] = StorageError("remote-failed", f"{backend.url}: {wrong}") if wrong else None
        except Absent:
            found.tried[ability] = StorageError("remote-failed", f"{backend.url}: the object just written is missing")
        except RegenstoreError as error:
            found.tried[ability] = error
        return found.can(ability)

    def answer() -> str:
        began = time.monotonic()
        head = backend.head(name)
        found.latency = time.monotonic() - began
        return "" if head is None else "it reports an object that was never written"

    def written() -> str:
        backend.write(name, first)
        return ""

    def same(data: bytes, start: int = 0) -> str:
        came = bytearray()
        for block in backend.read(name, start):
            came += block
            if len(came) > len(data):
                break
        return "" if came == data[start:] else "it returns other bytes than were written"

    def overwritten() -> str:
        backend.write(name, second)
        return same(second)

    def listed() -> str:
        if not backend.lists:
            return "it provides no listings"
        return "" if name in {each for each, _ in backend.names(layout.PROBE)} else "its listing lacks a new object"

    def deleted() -> str:
        backend.delete(name)
        return "" if backend.head(name) is None else "the deleted object is still there"

    if not attempt("answer", answer) or not attempt("write", written):
        return found
    if attempt("read", lambda: same(first)):
        attempt("range", lambda: same(first, 400))
        attempt("overwrite", overwritten)
    attempt("list", listed)
    attempt("delete", deleted)
    return found


def clock(backend: Backend) -> float:
    """The remote's current time, in seconds since the epoch. Raises StorageError (``remote-failed``) if it does not
    report when objects were written."""
    for _ in range(_TRIES):  # a gc whose remote's clock has just jumped takes it for a leftover
        name = f"{layout.PROBE}{os.urandom(16).hex()}"
        backend.write(name, b"?")  # some servers report no time for an empty object
        try:
            head = backend.head(name)
        finally:
            backend.delete(name)
        if head is not None:
            break
    if head is None or head.modified is None:
        raise StorageError("remote-failed", f"{backend.url} does not report when an object was written")
    return head.modified


def speed(remote: Remote, store: ContentStore) -> tuple[float, float]:
    """Upload and download speed in bytes per second, measured with one object of 8 MiB, or as much as the remote's
    limit allows in two seconds. Raises StorageError."""
    store.prepare()
    rate, backend = remote.throttle.rate, remote.backend
    size = _SPEED_BYTES if rate is None else min(_SPEED_BYTES, max(_LEAST, int(rate * _SPEED_SECONDS)))
    path, name = store.temp_path("probe"), f"{layout.PROBE}{os.urandom(16).hex()}"
    try:
        with durable.storage_errors(path), open(path, "wb") as file:
            file.write(os.urandom(size))
        began = time.monotonic()
        backend.write_file(name, path, remote.throttle.took)
        sent = time.monotonic()
        came = sum(len(block) for block in remote.blocks(name, size))
        ended = time.monotonic()
    finally:
        durable.unlink(path)
        try:
            backend.delete(name)
        except RegenstoreError:
            pass  # it is small, and its name is never read
    return size / max(sent - began, 1e-6), came / max(ended - sent, 1e-6)


@dataclass
class ContentSample:
    """Contents that were read back in full."""

    sound: list[Digest] = field(default_factory=list)
    wrong: list[Digest] = field(default_factory=list)
    asked: int = 0
    there: int = 0


def sample(remote: Remote, candidates: Collection[Digest], count: int) -> ContentSample:
    """Pick up to ``count`` of the candidates that the remote has, read them back and verify their digests, within
    the remote's bandwidth limit. Raises StorageError."""
    found = remote.having(candidates)
    done = ContentSample(asked=len(candidates), there=len(found))
    for digest in sorted(found, key=lambda each: each.hex)[:count]:
        try:
            right = hash_blocks(remote.blocks(layout.content(digest), found[digest].size))[0] == digest
        except Absent:
            right = False
        (done.sound if right else done.wrong).append(digest)
    return done
