"""Object stores as remotes: S3 and compatible servers, Google Cloud Storage, Azure.

Uses obstore (``pip install 'regenstore[s3]'``), which takes endpoint, region and credentials from the environment
variables of each cloud's own tools (``AWS_ENDPOINT_URL``, ``AWS_ACCESS_KEY_ID``, ``GOOGLE_SERVICE_ACCOUNT``,
``AZURE_STORAGE_ACCOUNT_NAME``, …). None of that is read or kept here.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar
from urllib.parse import urlsplit

from regenstore.errors import InvalidInput, NotFound, StorageError
from regenstore.remotes.backends.contract import Absent, Head, Told, error_of
from regenstore.remotes.backends.time_limits import TooSlow, within
from regenstore.remotes.settings import Pace

_BLOCK, _CHUNK, _LEAST_CHUNK = 1 << 20, 64 << 10, 4 << 10
"""Sizes of transfers; received pieces are small enough to arrive in time even at the lowest rate."""
_PART = 8 << 20
_MOST_PARTS = 9_000
"""Largest number of parts per upload; servers allow 10 000."""
_AT_ONCE = 2
_RETRY = {
    "max_retries": 2,
    "backoff": {"init_backoff": timedelta(seconds=0.1), "max_backoff": timedelta(seconds=1), "base": 2},
    "retry_timeout": timedelta(minutes=2),
}
USUAL = Pace()
T = TypeVar("T")
_CLIENT = {"connect_timeout": timedelta(seconds=15), "timeout": timedelta(minutes=10), "allow_http": True}
"""The time-out covers a whole request, so that a slow line can send a part. Plain HTTP is used only if the endpoint
in the environment begins with it."""


class ObjectStore:
    """A backend on an object store. Raises NotFound (``extra-missing``) without obstore, InvalidInput
    (``bad-config``) for an unusable address. See :class:`regenstore.remotes.backends.contract.Backend`."""

    lists = True

    def __init__(self, url: str, pace: Pace = USUAL) -> None:
        self._pace = pace
        self._chunk = int(min(_CHUNK, max(_LEAST_CHUNK, pace.lowest * pace.patience)))
        self._obstore: Any
        try:
            import obstore
            from obstore.store import from_url
        except ImportError:
            raise NotFound(
                "extra-missing",
                f"{url.partition('://')[0]}:// remotes need the package obstore",
                hint="Install it with: pip install 'regenstore[s3]'",
            ) from None
        self._obstore = obstore
        self.url = _checked(url)
        try:
            open_store: Any = from_url
            self._store: Any = open_store(self.url, retry_config=_RETRY, client_options=_CLIENT)
        except (obstore.exceptions.BaseError, ValueError) as error:
            raise InvalidInput("bad-config", f"{self.url}: {_said(error)}") from error

    def head(self, name: str) -> Head | None:
        try:
            with self._errors(name):
                return _head(self._answer(lambda: self._obstore.head(self._store, name)))
        except Absent:
            return None

    def read(self, name: str, start: int = 0) -> Iterator[bytes]:
        with self._errors(name):
            got, skip = self._answer(lambda: self._get(name, start))
            if got is None:
                return
            # A single small piece is faster than a stream.
            small = got.meta["size"] <= self._chunk
            blocks = iter([self._answer(got.bytes)]) if small else iter(got.stream(min_chunk_size=self._chunk))
            while (block := self._answer(lambda: next(blocks, None), self._chunk)) is not None:
                if skip < len(block):
                    yield bytes(block)[skip:]
                skip = max(0, skip - len(block))

    def _get(self, name: str, start: int) -> tuple[Any, int]:
        """A response, and how many of its leading bytes were not asked for; None if nothing follows ``start``."""
        if start:
            try:
                return self._obstore.get(self._store, name, options={"range": {"offset": start}}), 0
            except self._obstore.exceptions.BaseError as error:
                if _status(error) == 416 or "Wanted range starting at" in str(error):
                    return None, 0  # reported by the server or, for Azure, by obstore
                # Some servers send the whole object, which obstore rejects.
                if "NotPartial" not in str(error):
                    raise
        return self._obstore.get(self._store, name), start

    def write_file(self, name: str, path: str, told: Told) -> None:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            part = max(_PART, -(-size // _MOST_PARTS))
            if size <= part:
                self.write(name, file.read())
                told(size)
                return
            # An upload is no object before it is complete; the server hides what a broken upload leaves.
            blocks = _blocks(file, size, path, told)
            with self._errors():  # each request has its own limit
                self._obstore.put(self._store, name, blocks, chunk_size=part, max_concurrency=_AT_ONCE)

    def write(self, name: str, data: bytes) -> None:
        with self._errors():
            self._answer(lambda: self._obstore.put(self._store, name, data, use_multipart=False), 2 * len(data))

    def settle(self, *, everything: bool = False) -> None:
        """Do nothing: an answered request is durable."""

    def names(self, prefix: str) -> Iterator[tuple[str, Head]]:
        with self._errors():
            pages = iter(self._obstore.list(self._store, prefix=prefix))
            while (page := self._answer(lambda: next(pages, None))) is not None:
                for meta in page:
                    yield meta["path"], _head(meta)

    def delete(self, name: str) -> None:
        try:
            with self._errors(name):
                self._answer(lambda: self._obstore.delete(self._store, name))
        except Absent:
            pass

    def close(self) -> None:
        """Do nothing: obstore manages its connections."""

    def _answer(self, work: Callable[[], T], size: int = 0) -> T:
        """Run one call, within the time that the lowest rate allows."""
        return within(self._pace.seconds(size), work, lambda: TooSlow(self.url, self._pace))

    @contextmanager
    def _errors(self, name: str = "") -> Iterator[None]:
        """Translate errors; with a name, raise Absent if there is no such object."""
        wrong = self._obstore.exceptions
        try:
            yield
        except FileNotFoundError as error:
            if name:
                raise Absent(name) from error
            raise StorageError("remote-failed", f"{self.url}: {_said(error)}") from error
        except (wrong.PermissionDeniedError, wrong.UnauthenticatedError) as error:
            raise StorageError("remote-refused", f"{self.url}: {_said(error)}") from error
        except (wrong.BaseError, TimeoutError, ConnectionError) as error:
            status = _status(error)
            if "169.254.169.254" in str(error):
                # obstore tries this last; it answers only inside the cloud.
                raise StorageError("remote-refused", f"{self.url}: no credentials were found") from error
            if status is None and _BROKEN.search(str(error)):
                raise StorageError("remote-unreachable", f"{self.url}: {_said(error)}") from error
            raise error_of(status or 0, f"{self.url}: {_said(error)}") from error


_BROKEN = re.compile(r"HTTP error|HttpError|Connect|Timeout|timed out|Interrupted|error decoding response body", re.I)
_STATUS = re.compile(r"(?:status code|status): (\d{3})\b")


def _checked(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = urlsplit("")
    if parts.username is not None or parts.password is not None:
        # Not shown, as it contains a password.
        raise InvalidInput(
            "bad-config",
            "the address of an object store contains a user or password, which would be stored in Git's configuration",
            hint="Remove them from the address; the environment variables of the cloud's own tools are used.",
        )
    if not parts.netloc or parts.query or parts.fragment or not url.isprintable():
        raise InvalidInput("bad-config", f"{url!r} is not the address of a bucket, such as s3://bucket/folder")
    return url.rstrip("/")


def _head(meta: Any) -> Head:
    return Head(int(meta["size"]), (meta["e_tag"] or "").strip('"'), meta["last_modified"].timestamp())


def _blocks(file: Any, size: int, path: str, told: Told) -> Iterator[bytes]:
    done = 0
    while done < size:
        block = file.read(min(_BLOCK, size - done))
        if not block:
            raise StorageError("store-damaged", f"{path} became shorter while it was sent")
        yield block
        done += len(block)
        told(len(block))


def _status(error: Exception) -> int | None:
    found = _STATUS.search(str(error))
    return None if found is None else int(found[1])


def _said(error: Exception) -> str:
    """An error in one line, without the library's notes for its own developers."""
    text = str(error).partition("\n\nDebug source")[0].strip()
    return " ".join(text.split())[:300] or type(error).__name__
