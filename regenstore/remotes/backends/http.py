"""A web server as a remote: plain HTTP(S) with PUT, or WebDAV, which can also list."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from email.utils import parsedate_to_datetime
from typing import BinaryIO
from urllib.parse import quote, unquote, urlsplit

from regenstore.errors import InvalidInput, StorageError
from regenstore.remotes.backends import multistatus
from regenstore.remotes.backends.contract import Absent, Credentials, Head, NoPlace, Told
from regenstore.remotes.backends.http_client import SAFE, Answer, Body, HttpClient
from regenstore.remotes.backends.listing import MOST, Descent
from regenstore.remotes.settings import Pace, Proxies

_BLOCK = 1 << 20
_GONE = {404, 410}
_NO_FOLDER = {404, 409, 500}
"""Answers to PUT when a collection is missing; nginx answers 500."""
_NO_PARENT = (404, 409)
_IS_THERE = (405, 501)
"""Answers to MKCOL when the collection exists, or when the server has no collections."""
_YOUNG = 2.0
"""Seconds within which a server's times, and ETags derived from them, may not distinguish two writes."""


USUAL = Pace()


class Http:
    """A backend on a web server. Raises InvalidInput (``bad-config``) for an address with a user or password in it.

    Tags are empty for objects younger than two seconds. See :class:`regenstore.remotes.backends.contract.Backend`.
    """

    def __init__(
        self,
        url: str,
        credentials: Credentials,
        *,
        create: bool = False,
        proxies: Proxies | None = None,
        connect: float = 8.0,
        pace: Pace = USUAL,
    ) -> None:
        """``create``: make the folder of the address and its parents if the server has folders and they are missing;
        errors of that are raised. ``connect``: seconds to wait for a connection; ``pace``: how slow the server may
        be afterwards."""
        self.url = url.rstrip("/")
        self._base = quote(_path_of(self.url), safe=SAFE) + "/"
        self._server = HttpClient(self.url, credentials, connect, pace, proxies)
        self._lists: bool | None = None
        self._made: set[str] | None = None
        """Collections made so far; None until the server asks for one."""
        if create:
            try:
                self._make_place()
            finally:
                self.close()

    @property
    def lists(self) -> bool:
        """Determined by asking the server, once it holds something."""
        if self._lists is None:
            with self._ask("PROPFIND", "", {"Depth": "0"}, Body.of(multistatus.ASK)) as answer:
                if answer.status in _GONE:
                    return False  # nothing is stored yet that could show it
                error = self._server.error(answer, "PROPFIND", "")
                if answer.status not in (207, 403) and error.kind != "remote-failed":
                    raise error
                self._lists = answer.status == 207
        return self._lists

    def head(self, name: str) -> Head | None:
        with self._ask("HEAD", name) as answer:
            if answer.status in _GONE:
                return None
            self._server.check(answer, "HEAD", name, 200)
            get = answer.headers.get
            return self._head(name, get("content-length"), get("etag"), get("last-modified"), get("date"))

    def read(self, name: str, start: int = 0) -> Iterator[bytes]:
        with self._ask("GET", name, {"Range": f"bytes={start}-"} if start else {}) as answer:
            if answer.status in _GONE:
                raise Absent(name)
            if start and answer.status == 416:
                return
            self._server.check(answer, "GET", name, 200, 206)
            if answer.headers.get("content-encoding", "identity") != "identity":
                raise StorageError("remote-failed", f"{self.url} sends {name} compressed")
            skip = start if answer.status == 200 else 0
            if answer.status == 206 and not answer.headers.get("content-range", "").startswith(f"bytes {start}-"):
                raise StorageError("remote-failed", f"{self.url} sent a range of {name} that was not asked for")
            for block in self._server.body(answer):
                if skip < len(block):
                    yield block[skip:]
                skip = max(0, skip - len(block))

    def write_file(self, name: str, path: str, told: Told) -> None:
        with open(path, "rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            self._put(name, Body(_Sent(file, size, path, told).blocks, size))

    def write(self, name: str, data: bytes) -> None:
        self._put(name, Body.of(data))

    def settle(self, *, everything: bool = False) -> None:
        """Do nothing: an answered request is taken to be durable."""

    def names(self, prefix: str) -> Iterator[tuple[str, Head]]:
        descent = Descent(self.url, prefix)
        while now := descent.take():
            for name, entry, date in self._listed(f"{now[0]}/"):
                if entry.folder:
                    descent.add(name)
                elif entry.size:
                    yield name, self._head(name, entry.size, entry.etag, entry.modified, date)
                elif (head := self.head(name)) is not None:
                    yield name, head

    def delete(self, name: str) -> None:
        with self._ask("DELETE", name) as answer:
            if answer.status not in _GONE:
                self._server.check(answer, "DELETE", name)

    def close(self) -> None:
        self._server.close()

    def _ask(
        self, method: str, name: str, headers: Mapping[str, str] | None = None, body: Body | None = None
    ) -> AbstractContextManager[Answer]:
        return self._server.ask(method, self._base + name, headers, body)

    def _put(self, name: str, body: Body) -> None:
        for last in (False, True):
            if self._made is not None:
                self._make_folders(name, self._made)
            with self._ask("PUT", name, body=body) as answer:
                if last or answer.status not in _NO_FOLDER:
                    self._server.check(answer, "PUT", name)
                    return
                refusal = self._server.error(answer, "PUT", name)
            # This server may require collections to exist first.
            made: set[str] = set()
            try:
                self._make_folders(name, made)
            except StorageError as error:
                known = error.kind == "remote-unreachable" or isinstance(error, NoPlace)
                raise (error if known else refusal) from error
            self._made = made

    def _make_folders(self, name: str, made: set[str]) -> None:
        at = 0
        while at := name.find("/", at) + 1:
            folder = name[:at]
            if folder in made:
                continue
            with self._ask("MKCOL", folder) as answer:
                if answer.status == 409 and folder.count("/") == 1:
                    raise NoPlace(f"{self.url}: the folder does not exist")
                if answer.status != 405:  # it exists
                    self._server.check(answer, "MKCOL", folder)
            made.add(folder)

    def _make_place(self) -> None:
        """Make the remote's folder, trying the innermost first: its parents may be out of our reach."""
        missing = []
        names = self._base.strip("/").split("/") if self._base != "/" else []
        for folder in (f"/{'/'.join(names[:count])}/" for count in range(len(names), 0, -1)):
            if self._made_at(folder, *_NO_PARENT):
                break
            missing.append(folder)
        for folder in reversed(missing):
            self._made_at(folder)

    def _made_at(self, folder: str, *no: int) -> bool:
        """Whether a folder exists after trying to make it; False for the answers in ``no``."""
        with self._server.ask("MKCOL", folder) as answer:
            if answer.status not in (*_IS_THERE, *no):
                self._server.check(answer, "MKCOL", "")
            return answer.status not in no

    def _listed(self, folder: str) -> Iterator[tuple[str, multistatus.DavEntry, str | None]]:
        """The entries directly in a folder: name, entry, and the date of the answer."""
        with self._ask("PROPFIND", folder, {"Depth": "1"}, Body.of(multistatus.ASK)) as answer:
            if answer.status in _GONE:
                return
            self._server.check(answer, "PROPFIND", folder, 207)
            date = answer.headers.get("date")
            try:
                found = list(multistatus.entries(self._server.body(answer), MOST))
            except ValueError as error:
                raise StorageError("remote-failed", f"{self.url}: {folder}: {error}") from error
        here = unquote(self._base, errors="surrogateescape") + folder
        for entry in found:
            place = unquote(urlsplit(entry.href).path, errors="surrogateescape")
            name = place[len(here) :].rstrip("/")
            if place.startswith(here) and name and "/" not in name and name not in (".", ".."):
                yield folder + name, entry, date

    def _head(self, name: str, size: str | None, etag: str | None, modified: str | None, date: str | None) -> Head:
        if size is None or not size.isascii() or not size.isdigit():
            raise StorageError("remote-failed", f"{self.url} does not report the size of {name}")
        written, now = _seconds(modified), _seconds(date)
        tag = f"{etag or ''} {modified or ''}".strip()
        if written is None:
            tag = "" if tag.startswith("W/") else tag
        elif now is None or now - written < _YOUNG:
            tag = ""
        return Head(int(size), tag, written)


class _Sent:
    """A file as a request body that can be sent again from the start; reports progress."""

    def __init__(self, file: BinaryIO, size: int, path: str, told: Told) -> None:
        self._file, self._size, self._path, self._told = file, size, path, told
        self._done = 0

    def blocks(self) -> Iterator[bytes]:
        if self._done:
            self._told(-self._done)
        self._done = 0
        self._file.seek(0)
        while self._done < self._size:
            block = self._file.read(min(_BLOCK, self._size - self._done))
            if not block:
                raise StorageError("store-damaged", f"{self._path} became shorter while it was sent")
            yield block
            # The next block is asked for, so this one has been sent.
            self._done += len(block)
            self._told(len(block))


def _seconds(date: str | None) -> float | None:
    try:
        # 1970 is the answer of servers that do not know.
        return (parsedate_to_datetime(date).timestamp() or None) if date else None
    except (ValueError, OverflowError):
        return None


def _path_of(url: str) -> str:
    """The path of a valid address. Raises InvalidInput (``bad-config``)."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
        host.encode("idna" if ":" not in host else "ascii")
    except ValueError:
        raise InvalidInput("bad-config", "the address of a remote is invalid: bad host or port") from None
    if parts.username is not None or parts.password is not None:
        # Not shown, as it contains a password.
        raise InvalidInput(
            "bad-config",
            f"the address of the remote at {host} contains a user or password, "
            "which would be stored in Git's configuration",
            hint="Remove them from the address; they are looked up with git's credential helpers.",
        )
    if parts.scheme not in ("http", "https") or not host or " " in host or not url.isprintable():
        raise InvalidInput("bad-config", f"{url!r} is not the address of a web server")
    if parts.query or parts.fragment:
        raise InvalidInput("bad-config", f"{url}: the address of a remote may not contain '?' or '#'")
    return parts.path.rstrip("/")
