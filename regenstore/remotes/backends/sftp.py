"""SFTP as a remote, using asyncssh (``pip install 'regenstore[sftp]'``): ``sftp://user@host:port/folder``.

Objects are written to a temporary name, synced and renamed, so that an object under its name is complete. One
connection carries several sessions, each a process on the server, so that transfers do not wait for each other's disk
access.
"""

from __future__ import annotations

import asyncio
import os
import posixpath
import stat
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from typing import Any, TypeVar

import asyncssh

from regenstore.errors import StorageError
from regenstore.remotes import layout
from regenstore.remotes.backends.contract import Absent, Credentials, Head, NoPlace, Told
from regenstore.remotes.backends.listing import MOST, Descent, endless
from regenstore.remotes.backends.ssh import BROKEN, CONNECT, FAILURES, MISSING, Login, Loop, error_of, parsed
from regenstore.remotes.backends.time_limits import TooSlow
from regenstore.remotes.settings import Pace, SshSetting

T = TypeVar("T")
USUAL = Pace()
_BLOCK, _AHEAD = 512 << 10, 4
"""Bytes per request, and the number of requests in flight: 2 MiB per transfer, the size of servers' own windows."""
_MANY = 4
"""Multiple of the usual time limit for work that takes a server longer: listing many folders, syncing."""
_SESSIONS = 8
"""Sessions per connection; servers allow ten by default."""
_FOLDERS = 16
_BESIDE = ".part-"
_RENAMES = 20
"""Attempts at a rename while others write the same name."""
_YOUNG = 2.0
"""Seconds within which a timestamp of whole seconds may not distinguish two writes."""
_SKEW = 3600.0
"""Assumed clock difference in seconds, as long as no write has shown the actual one."""


class _Session:
    """An SFTP session and the number of transfers using it."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.uses = 0


class Sftp:
    """A backend on an SFTP server; the remote's folder must exist. Raises InvalidInput (``bad-config``) for an
    unusable address; with ``create``, the errors of making the folder. See
    :class:`regenstore.remotes.backends.contract.Backend`."""

    lists = True

    def __init__(
        self,
        url: str,
        credentials: Credentials,
        setting: SshSetting,
        *,
        create: bool = False,
        alive: float = 15,
        pace: Pace = USUAL,
    ) -> None:
        """``alive``: seconds of silence after which the server is probed; it counts as gone after three probes.
        ``pace``: how slow it may be."""
        self._pace = pace
        self.url = url.rstrip("/")
        address = parsed(self.url)
        self._base = address.folder
        self._login = Login(self.url, address, credentials, setting, alive)
        self._loop = Loop()
        # Only coroutines touch the following: a single thread runs them all.
        self._opening, self._settling = asyncio.Lock(), asyncio.Lock()
        self._connection: Any = None
        self._sessions: list[_Session] = []
        self._most = _SESSIONS
        self._create = create
        self._received = 0
        self.unsettled: set[str] = set()
        """Folders with names that are not durable yet."""
        self.left: set[str] = set()
        """Temporary files that broken connections left."""
        self._clock: float | None = None
        """Offset from this machine's monotonic clock to a lower bound of the server's clock."""
        if create:
            self._run(self._ready())

    def head(self, name: str) -> Head | None:
        try:
            return self._run(self._stat(name), name)
        except Absent:
            return None

    def read(self, name: str, start: int = 0) -> Iterator[bytes]:
        blocks = self._blocks(name, start)
        try:
            while (block := self._run(_next(blocks), name)) is not None:
                yield block
        finally:
            self._loop.begin(_closed(blocks))

    def write_file(self, name: str, path: str, told: Told) -> None:
        with open(path, "rb", buffering=0) as source:
            self._put(name, iter(lambda: source.read(_BLOCK), b""), told)

    def write(self, name: str, data: bytes) -> None:
        self._put(name, (data[at : at + _BLOCK] for at in range(0, len(data), _BLOCK)), lambda count: None)
        self.settle()

    def settle(self, *, everything: bool = False) -> None:
        self._run(self._settle(everything))

    def names(self, prefix: str) -> Iterator[tuple[str, Head]]:
        descent = Descent(self.url, prefix)
        while now := descent.take(_FOLDERS):
            listed = self._run(_all(map(self._entries, now)), times=_MANY)
            for folder, entries in zip(now, listed, strict=True):
                for entry in entries:
                    if _is_folder(entry):
                        descent.add(f"{folder}/{entry.filename}")
                    elif not entry.filename.startswith(_BESIDE):
                        yield f"{folder}/{entry.filename}", self._head(entry.attrs)

    def delete(self, name: str) -> None:
        with suppress(Absent):
            self._run(self._remove(name), name)

    def close(self) -> None:
        self._run(self._close())

    def _run(self, work: Coroutine[Any, Any, T], name: str = "", times: int = 1) -> T:
        """Run a coroutine in the loop's thread, as long as data keeps coming from the server. With a name, raise
        Absent if there is no such object."""
        seconds = times * self._pace.patience + (0 if self._sessions else 2 * CONNECT)
        enough, most = self._pace.lowest * seconds, self._pace.seconds(_BLOCK)
        before, began = self._received, time.monotonic()

        def goes_on() -> bool:
            nonlocal before
            came, before = self._received - before, self._received
            return came >= enough and time.monotonic() - began < most

        with self._errors(name):
            try:
                return self._loop.run(work, seconds, goes_on)
            except TimeoutError:
                self._loop.begin(self._abort())
                raise TooSlow(self.url, self._pace) from None

    async def _abort(self) -> None:
        """Discard a connection that does not answer."""
        connection, self._connection, self._sessions = self._connection, None, []
        if connection is not None:
            connection.abort()

    @contextmanager
    def _errors(self, name: str) -> Iterator[None]:
        try:
            yield
        except MISSING as error:
            if name:
                raise Absent(name) from error
            raise error_of(error, self.url) from None
        except FAILURES as error:
            # All that wait on a broken connection get the same exception, with the traceback of each.
            raise error_of(error, self.url) from None

    def _place(self, name: str) -> str:
        return f"{self._base}/{name}"

    # -------------------------------------------------------------------------------- sending

    def _put(self, name: str, blocks: Iterable[bytes], told: Told) -> None:
        upload = _Upload(self, self._place(name))
        try:
            self._run(upload.begin())
            for block in blocks:
                self._run(upload.add(block), times=_MANY)
                told(len(block))
            self._run(upload.finish(), times=_MANY)
        except BaseException:
            with suppress(StorageError):
                self._run(upload.abandon())
            raise

    async def make(self, client: Any, folder: str) -> None:
        """Make a folder and its parents below the remote's own."""
        if folder == self._base:
            raise NoPlace(f"{self.url}: the folder does not exist")
        try:
            await client.mkdir(folder)
        except MISSING:
            await self.make(client, posixpath.dirname(folder))
            await self.make(client, folder)
        except asyncssh.SFTPError as error:
            if isinstance(error, BROKEN) or not await client.isdir(folder):
                raise
        else:
            self.unsettled.add(posixpath.dirname(folder))

    async def _settle(self, everything: bool) -> None:
        # One at a time: an object must not be reported while another call still waits for its sync.
        async with self._settling:
            folders, self.unsettled = self.unsettled, set()
            try:
                if everything:
                    # Bytes are synced before the rename, so only names are left to sync.
                    top = layout.CONTENTS.rstrip("/")
                    found = [entry for entry in await self._entries(top) if _is_folder(entry)]
                    above = (self._base, self._place(posixpath.dirname(top)), self._place(top))
                    folders |= {*above, *(self._place(f"{top}/{entry.filename}") for entry in found)}
                await _all(map(self._sync, folders))
            except BaseException:
                self.unsettled |= folders
                raise

    async def _sync(self, folder: str) -> None:
        async with self.session() as client:
            try:
                async with client.open(folder, "rb") as file:
                    await file.fsync()
            except BROKEN:
                raise
            except asyncssh.SFTPError:
                pass  # unsupported, or a gc removed the folder: as durable as this server allows

    # -------------------------------------------------------------------------------- asking

    async def _stat(self, name: str) -> Head:
        async with self.session() as client:
            return self._head(await client.stat(self._place(name)))

    async def _blocks(self, name: str, start: int) -> AsyncGenerator[bytes, None]:
        place = self._place(name)
        async with self.session() as client, client.open(place, "rb") as file:
            size = (await file.stat()).size or 0
            waiting: deque[tuple[int, asyncio.Future[bytes]]] = deque()
            places = iter(range(start, size, _BLOCK))
            try:
                while True:
                    while len(waiting) < _AHEAD and (at := next(places, None)) is not None:
                        length = min(_BLOCK, size - at)
                        waiting.append((length, asyncio.ensure_future(file.read(length, at))))
                    if not waiting:
                        return
                    length, reading = waiting.popleft()
                    block = await reading
                    yield block
                    if len(block) < length:
                        return  # the object became shorter: the reader counts
            finally:
                for _, reading in waiting:
                    reading.cancel()

    async def _entries(self, folder: str) -> list[Any]:
        async with self.session() as client:
            try:
                found = []
                async for entry in client.scandir(self._place(folder)):
                    found.append(entry)
                    if len(found) > MOST:
                        raise endless(self.url, folder)
            except MISSING:
                return []
        return [entry for entry in found if entry.filename not in (".", "..")]

    async def _remove(self, name: str) -> None:
        async with self.session() as client:
            await client.remove(self._place(name))

    def _head(self, found: Any) -> Head:
        size, modified = found.size or 0, found.mtime
        if modified is None:
            return Head(size, "")
        age = time.time() - _SKEW - modified
        if self._clock is not None:
            age = max(age, time.monotonic() + self._clock - modified)
        return Head(size, f"{modified}-{size}" if age >= _YOUNG else "", float(modified))

    def written(self, modified: int | None) -> None:
        """Derive a lower bound of the server's clock from the time of a file just written."""
        if modified is not None:
            clock = modified - time.monotonic()
            self._clock = clock if self._clock is None else max(clock, self._clock)

    # -------------------------------------------------------------------------------- sessions

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Any]:
        """The least busy session, or a new one. A session whose connection broke is not used again."""
        async with self._opening:
            await self._ready()
            session = min(self._sessions, key=lambda each: each.uses)
            if session.uses and len(self._sessions) < self._most:
                try:
                    session = await self._another()
                except asyncssh.ChannelOpenError:
                    self._most = len(self._sessions)
        session.uses += 1
        try:
            yield session.client
        except BROKEN:
            if session in self._sessions:
                self._sessions.remove(session)
            raise
        finally:
            session.uses -= 1

    async def _ready(self) -> None:
        if self._sessions and not self._connection.is_closed():
            return
        await self._close()
        self._connection = await self._login.connect()
        self._count(self._connection)
        client = (await self._another()).client
        if self._create:
            await client.makedirs(self._base, exist_ok=True)
            self._create = False
        elif not await client.isdir(self._base):
            await self._close()
            raise NoPlace(f"{self.url}: there is no such folder")
        while self.left:
            with suppress(*MISSING):
                await client.remove(self.left.pop())

    def _count(self, connection: Any) -> None:
        """Count the bytes received, to tell a slow server from one that does not answer."""
        handle = connection.data_received

        def counted(data: bytes, *more: Any) -> None:
            self._received += len(data)
            handle(data, *more)

        connection.data_received = counted

    async def _another(self) -> _Session:
        made = _Session(await self._connection.start_sftp_client(path_errors="surrogateescape"))
        self._sessions.append(made)
        return made

    async def _close(self) -> None:
        connection, self._connection, self._sessions = self._connection, None, []
        if connection is not None:
            connection.close()
            with suppress(TimeoutError):
                await asyncio.wait_for(connection.wait_closed(), 5)


class _Upload:
    """An upload in progress, to a temporary name beside its final one."""

    def __init__(self, sftp: Sftp, place: str) -> None:
        self._sftp, self._place = sftp, place
        self._beside = _beside(place)
        self._stack = AsyncExitStack()
        self._client: Any = None
        self._file: Any = None
        self._size = 0
        self._waiting: deque[asyncio.Future[int]] = deque()

    async def begin(self) -> None:
        self._client = await self._stack.enter_async_context(self._sftp.session())
        try:
            self._file = await self._client.open(self._beside, "xb")
        except MISSING:
            await self._sftp.make(self._client, posixpath.dirname(self._place))
            self._file = await self._client.open(self._beside, "xb")

    async def add(self, block: bytes) -> None:
        """Send a block; waits only for earlier ones."""
        self._waiting.append(asyncio.ensure_future(self._file.write(block, self._size)))
        self._size += len(block)
        if len(self._waiting) >= _AHEAD:
            await self._waiting.popleft()

    async def finish(self) -> None:
        while self._waiting:
            await self._waiting.popleft()
        with suppress(asyncssh.SFTPOpUnsupported):
            await self._file.fsync()
        await self._file.close()
        await _rename(self._client, self._beside, self._place)
        with suppress(*MISSING):  # already removed, or being replaced
            self._sftp.written((await self._client.stat(self._place)).mtime)
        self._sftp.unsettled.add(posixpath.dirname(self._place))
        await self._stack.aclose()

    async def abandon(self) -> None:
        for writing in self._waiting:
            writing.cancel()
        if self._client is None:
            return
        self._sftp.left.add(self._beside)
        async with self._stack:
            with suppress(*MISSING):
                if self._file is not None:
                    await self._file.close()
                await self._client.remove(self._beside)
        self._sftp.left.discard(self._beside)


def _is_folder(entry: Any) -> bool:
    return stat.S_ISDIR(entry.attrs.permissions or 0)


def _beside(place: str) -> str:
    return f"{posixpath.dirname(place)}/{_BESIDE}{os.urandom(8).hex()}"


async def _rename(client: Any, beside: str, place: str) -> None:
    """Rename, replacing the target. If the server cannot do that, the old object is moved aside first; it is moved
    back if the rename then fails, unless the connection breaks right then."""
    try:
        await client.posix_rename(beside, place)
        return
    except asyncssh.SFTPOpUnsupported:
        pass
    aside: list[str] = []
    for tries in range(_RENAMES):
        try:
            await client.rename(beside, place)
            break
        except asyncssh.SFTPError as error:
            if isinstance(error, BROKEN) or tries + 1 == _RENAMES:
                if aside:
                    await client.rename(aside[-1], place)
                raise
        with suppress(*MISSING):  # another client is replacing it
            former = _beside(place)
            await client.rename(place, former)
            aside.append(former)
    for former in aside:
        await client.remove(former)


async def _all(works: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    return await asyncio.gather(*works)


async def _next(blocks: AsyncIterator[bytes]) -> bytes | None:
    return await anext(blocks, None)


async def _closed(blocks: AsyncGenerator[bytes, None]) -> None:
    with suppress(*FAILURES):
        await blocks.aclose()
