"""The content store: digest -> bytes.

Guarantees: a file named by a digest was hashed before it got that name; it is durable when ``put_file``
returns (or, where its caller may wait, when ``settle`` does); it never changes. Two trees hold contents:
``cache/`` (proven to come back) and ``vault/`` (everything else). Looking up reads both; this class never
deletes a content.

Layout below the root: ``cache/ab/<62 hex>``, ``vault/ab/<62 hex>``, ``tmp/``, ``leases/``,
``format.json``, ``results.sqlite``.
"""

from __future__ import annotations

import os
import shutil
import stat
import time
from collections.abc import Callable, Iterator

from regenstore.errors import StorageError
from regenstore.objects import durable, store_format
from regenstore.objects.hashing import hash_own_file
from regenstore.objects.ids import Digest

CACHE, VAULT = "cache", "vault"
TREES = (CACHE, VAULT)
STALE_TEMP = 24 * 3600.0
_SYNC_WHOLE = 32  # from so many contents on, one pass over the file system is cheaper than one each


class ContentStore:
    """Contents below one folder. Cheap to construct: touches nothing before the first use."""

    def __init__(self, root: str, *, prepared: Callable[[], None] | None = None) -> None:
        """``prepared`` is called whenever the folders have been made: whoever shares the store says so then."""
        self.root = root
        self._prepared = prepared
        self._folders: set[str] = set()
        self._unsettled: list[str] = []

    # -------------------------------------------------------------------------------- looking up

    def object_path(self, digest: Digest, tree: str = VAULT) -> str:
        """Where a digest's bytes belong in a tree, whether they are there or not."""
        hexa = digest.hex
        return f"{self.root}/{tree}/{hexa[:2]}/{hexa[2:]}"

    def find(self, digest: Digest, size: int | None = None) -> str | None:
        """The path of the bytes, or None; with ``size``, only a file of exactly that many bytes."""
        for tree in TREES:
            path = self.object_path(digest, tree)
            try:
                found = os.stat(path)
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                raise durable.storage_error(error, path) from error
            if stat.S_ISREG(found.st_mode) and (size is None or found.st_size == size):
                return path
        return None

    def size(self, digest: Digest) -> int | None:
        """The number of bytes stored under a digest, or None."""
        path = self.find(digest)
        return None if path is None else os.path.getsize(path)

    def contents(self, tree: str) -> Iterator[tuple[Digest, int]]:
        """All contents of a tree as (digest, size), in no order. Other files are passed over."""
        top = f"{self.root}/{tree}"
        for shard in _names(top):
            for name in _names(f"{top}/{shard}"):
                try:
                    digest = Digest.parse(Digest.PREFIX + shard + name)
                    yield digest, os.path.getsize(f"{top}/{shard}/{name}")
                except Exception:  # noqa: S112  a stray file, or one that just went: not a content
                    continue

    # -------------------------------------------------------------------------------- putting

    def prepare(self) -> None:
        """Create the store's folders; raises FormatError when the store is newer than this program."""
        store_format.check(self.root, "write")
        with durable.storage_errors(self.root):
            for name in ("", "tmp", "leases", *TREES):
                self._make(f"{self.root}/{name}".rstrip("/"))
        store_format.create(self.root)
        if self._prepared is not None:
            self._prepared()

    def temp_path(self, prefix: str = "put") -> str:
        """A fresh name in ``tmp/``, on the contents' file system; nothing is created."""
        self._make(f"{self.root}/tmp")
        return f"{self.root}/tmp/{prefix}-{os.getpid()}-{os.urandom(6).hex()}"

    def put_file(self, path: str, digest: Digest, *, tree: str = VAULT, wait: bool = True) -> None:
        """Move a finished, already hashed file of the store's own file system into the store.

        Durable on return, or with ``wait=False`` when :meth:`settle` returns. Renames always, also over
        equal bytes: that makes the content young again for whoever ages contents. Raises StorageError, and
        then leaves the file where it was.
        """
        target = self.object_path(digest, tree)
        with durable.storage_errors(target):
            os.chmod(path, 0o444)
            folder = os.path.dirname(target)
            if not wait:
                durable.begin_writing(path)
                if not os.path.isdir(folder):
                    os.makedirs(folder, exist_ok=True)  # durable with its contents
                durable.rename(path, target)
                self._unsettled.append(target)
                return
            durable.fsync_file(path)
            self._make(folder)
            durable.rename(path, target)
            durable.fsync_folder(folder)

    def settle(self) -> None:
        """Make durable what was put with ``wait=False``; raises StorageError.

        Until then such contents survive the end of any process, as they have their names, but not a power
        cut, after which one can be missing or short (looking up by size then passes it over). So only a
        caller whose sources stay where they are until it has settled may leave the waiting to this.
        """
        targets, self._unsettled = self._unsettled, []
        if not targets:
            return
        with durable.storage_errors(self.root):
            if len(targets) >= _SYNC_WHOLE and durable.sync_file_system(self.root):
                return
            for target in targets:
                durable.fsync_file(target)
            folders = {os.path.dirname(target) for target in targets}
            for folder in folders | {os.path.dirname(folder) for folder in folders}:
                durable.fsync_folder(folder)

    def put_bytes(self, data: bytes, digest: Digest, *, tree: str = VAULT) -> None:
        """Store a small content from memory, under its digest."""
        temp = self.temp_path()
        with durable.storage_errors(temp):
            try:
                fd = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                try:
                    view = memoryview(data)
                    while view:
                        view = view[os.write(fd, view) :]
                finally:
                    os.close(fd)
                self.put_file(temp, digest, tree=tree)
            except BaseException:
                durable.unlink(temp)
                raise

    def adopt(self, path: str, *, tree: str = VAULT) -> tuple[Digest, int]:
        """Hash a finished file of the store's own file system and move it in; gives digest and size."""
        with durable.storage_errors(path):
            if not stat.S_ISREG(os.lstat(path).st_mode):
                raise StorageError("io-error", f"{path} is not a regular file")
            digest, size = hash_own_file(path)
        self.put_file(path, digest, tree=tree)
        return digest, size

    def clean_temp(self, now: float | None = None) -> int:
        """Remove temp files and run folders that nothing touched for over a day: a killed process left
        them behind. Gives how many. Never raises."""
        horizon = (time.time() if now is None else now) - STALE_TEMP
        removed = 0
        for name in _names(f"{self.root}/tmp"):
            path = f"{self.root}/tmp/{name}"
            try:
                if _last_change(path) >= horizon:
                    continue
                if os.path.isdir(path) and not os.path.islink(path):
                    shutil.rmtree(path)
                    removed += 1
                else:
                    removed += durable.unlink(path)
            except OSError:
                continue
        return removed

    def _make(self, folder: str) -> None:
        if folder not in self._folders:
            durable.make_folder(folder)
            self._folders.add(folder)


def _last_change(path: str) -> float:
    """When a file, or anything in a folder, was last written: a long run may leave its folder itself alone."""
    newest = os.lstat(path).st_mtime
    for folder, _, files in os.walk(path):
        for name in (".", *files):
            newest = max(newest, os.lstat(f"{folder}/{name}").st_mtime)
    return newest


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
