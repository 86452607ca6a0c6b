"""A place on a server for gc: contents there, a gc whose clock goes before the server's, pushes and fetches beside it.

As a program it is a server of :mod:`tests.fork_server`, of which each process is one gc, or one push, that kills
itself before its n-th request; its argument: ``{"url": …, "store": …, "needed": […], "later": …, "kill": …}``.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import pkgutil
import signal
import socket
import sys
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from regenstore.objects.content_store import ContentStore
from regenstore.objects.hashing import hash_bytes
from regenstore.objects.ids import Digest
from regenstore.objects.recipe import Output, Recipe
from regenstore.objects.result import BlobRecord, Content, Result
from regenstore.objects.results.cache import ResultCache
from regenstore.refs.root_snapshot import LiveRecipes
from regenstore.refs.store_repositories import Holder
from regenstore.remotes import backends, layout
from regenstore.remotes.backends.contract import Backend, Head, Told
from regenstore.remotes.backends.opening import open_backend
from regenstore.remotes.check import clock
from regenstore.remotes.gc import RemoteGc, RetentionRules
from regenstore.remotes.records import Records
from regenstore.remotes.remote import Remote
from regenstore.remotes.retries import RetryingBackend
from tests import fork_server
from tests.conftest import noise
from tests.remotes.real_servers import PASSWORD, USER, user_ssh

Before = Callable[[str, str], None]
"""Called with the method and the name right before each request."""


def quiet(digest: Digest, count: int) -> None:
    """Nobody is told."""


def open_at(url: str, *, create: bool = False) -> RetryingBackend:
    return RetryingBackend(open_backend(url, lambda url: (USER, PASSWORD), create=create, ssh=user_ssh()))


class Watched:
    """A backend; somebody may act before each request."""

    def __init__(self, backend: Backend, before: Before) -> None:
        self._backend, self._before = backend, before
        self.url = backend.url

    @property
    def lists(self) -> bool:
        return self._backend.lists

    def head(self, name: str) -> Head | None:
        self._before("head", name)
        return self._backend.head(name)

    def read(self, name: str, start: int = 0) -> Iterator[bytes]:
        self._before("read", name)
        return self._backend.read(name, start)

    def write_file(self, name: str, path: str, told: Told) -> None:
        self._before("write", name)
        self._backend.write_file(name, path, told)

    def write(self, name: str, data: bytes) -> None:
        self._before("write", name)
        self._backend.write(name, data)

    def settle(self, *, everything: bool = False) -> None:
        self._backend.settle(everything=everything)

    def names(self, prefix: str) -> Iterator[tuple[str, Head]]:
        self._before("names", prefix)
        return self._backend.names(prefix)

    def delete(self, name: str) -> None:
        self._before("delete", name)
        self._backend.delete(name)

    def close(self) -> None:
        self._backend.close()


def holder(needed: Collection[Digest]) -> Holder:
    records = {
        number.to_bytes(4, "big"): BlobRecord(number.to_bytes(4, "big"), None, digest, 1, "", (), None, "", "", None)
        for number, digest in enumerate(sorted(needed, key=lambda digest: digest.hex))
    }
    return Holder("/nowhere", "/nowhere", True, "", LiveRecipes(records), time.time())


@dataclass
class Job:
    """What a process is to do: a gc, or a push of these contents."""

    url: str
    store: str
    needed: list[str]
    later: float
    kill: int = 0
    """Before which request it kills itself; 0: never."""
    push: bool = False

    def digests(self) -> list[Digest]:
        return [Digest(bytes.fromhex(each)) for each in self.needed]

    def run(self, before: Before) -> None:
        remote = Remote("studio", Watched(open_at(self.url), before), ContentStore(self.store))
        if self.push:
            remote.settled = 1.0
            assert all(moved.error is None for moved in remote.send(self.digests(), quiet))
            return
        gc_of(remote, self.digests(), self.later).execute_all()

    def start(self) -> Running:
        return Running(self)


class Running:
    """A job in a process of its own, forked from one that has all its imports behind it."""

    returncode: int

    def __init__(self, job: Job) -> None:
        self._said, end = os.pipe()
        try:
            self._process = fork_server.fork(
                "tests.remotes.gc_place", [json.dumps(asdict(job))], fork_server.ROOT, os.environ, (end, end, end)
            )
        finally:
            os.close(end)

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._process.pid, signal.SIGKILL)

    def end(self) -> str:
        """What it said, once it has ended."""
        with open(self._said) as said:
            text = said.read()
        self.returncode = self._process.wait()
        return text


class Gc(RemoteGc):
    """A gc that plans and does it, as the command does with ``--yes``."""

    def execute_all(self) -> None:
        self.execute(self.plan(RetentionRules()))


def gc_of(remote: Remote, needed: Collection[Digest], later: float, at_once: float = 0.5) -> Gc:
    return Gc(
        remote,
        lambda: [holder(needed)],
        ask_time=lambda there: clock(there) + later,
        pause=0.05,
        at_once=at_once,
        watched=2.0,
    )


class Sender:
    """A store and a remote of it."""

    store: ContentStore
    remote: Remote

    def put(self, *names: str) -> list[Digest]:
        found = []
        for name in names:
            data = noise(name, 2000)
            found.append(hash_bytes(data))
            self.store.put_bytes(data, found[-1])
        return found

    def send(self, digests: Collection[Digest], remote: Remote | None = None) -> dict[Digest, bool]:
        moved = list((remote or self.remote).send(digests, quiet))
        assert not any(each.error for each in moved) and {each.digest for each in moved} == set(digests)
        return {each.digest: each.already for each in moved}


class GcPlace(Sender):
    """A place on a server, a store that sends there, and what is needed of it."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder, self.url = folder, url
        self.store = ContentStore(str(folder / "store"))
        self.store.prepare()
        self._opened: list[Backend] = []
        self.remote = Remote("studio", self._open(create=True), self.store)
        self.backend = self.remote.backend
        self.needed: set[Digest] = set()
        self.later = 0.0

    def tell(self, *named: tuple[str, Digest]) -> None:
        """Send results about contents."""
        cache = ResultCache(self.store.root)
        for name, digest in named:
            recipe = Recipe("procedural.image", "1", params={"prompt": name}, output=Output("image/png"))
            outputs = {"main": Content(digest, 2000, "image/png")}
            cache.record(recipe, Result(recipe.key, outputs, 1.0, time.time(), {}))
        assert Records(self.remote).push(cache, {digest for _, digest in named}) == len(named)
        cache.close()

    def gc(self, before: Before | None = None, at_once: float = 0.5) -> Gc:
        remote = self.remote if before is None else self.beside(before)
        return gc_of(remote, self.needed, self.later, at_once)

    def beside(self, before: Before) -> Remote:
        """Another client of the same store."""
        return Remote("studio", Watched(self._open(), before), self.store)

    def _open(self, *, create: bool = False) -> Backend:
        self._opened.append(open_at(self.url, create=create))
        return self._opened[-1]

    def close(self) -> None:
        for backend in self._opened:
            backend.close()
        self.store.holds.release()

    def job(self, **more: Any) -> Job:
        return Job(self.url, self.store.root, [digest.hex for digest in self.needed], self.later, **more)

    def there(self) -> set[Digest]:
        return {d for name, _ in self.backend.names(layout.CONTENTS) if (d := layout.digest_of(name)) is not None}

    def marked(self) -> set[Digest]:
        return set(self.remote.tombstones())

    def elsewhere(self) -> Remote:
        """As another machine sees it, that has nothing yet."""
        return Remote("studio", self._open(), ContentStore(f"{self.folder}/other-{os.urandom(4).hex()}"))

    def fetch(self, digests: Collection[Digest]) -> None:
        """What another machine gets that knows nothing yet: all of it, with the right bytes."""
        moved = list(self.elsewhere().bring([(digest, 2000) for digest in digests], quiet))
        assert {each.digest for each in moved if each.error is None} == set(digests), moved


def _main() -> None:
    job = Job(**json.loads(sys.argv[1]))
    left = job.kill

    def before(method: str, name: str) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    job.run(before)


if __name__ == "__main__":
    for needed in ("asyncssh", "obstore"):
        with contextlib.suppress(ImportError):
            importlib.import_module(needed)
    for backend in pkgutil.iter_modules(backends.__path__, f"{backends.__name__}."):
        with contextlib.suppress(ImportError):
            importlib.import_module(backend.name)
    fork_server.serve(socket.socket(fileno=int(sys.argv[1])), _main)
