"""The content store: digest -> bytes.

Guarantees: a file named by a digest was hashed before it got that name; it is durable when ``put_file`` returns (or,
with ``wait=False``, when ``settle`` does); it never changes. Contents live in two trees: ``cache/`` (proven to be
reproducible) and ``vault/`` (everything else). Lookups search both, and bring contents back from the trash, where gc
moves what it evicts. This class never deletes a content.

To make something new depend on stored bytes, call :meth:`ContentStore.claim`; to use them only,
:meth:`ContentStore.use`. Putting a content also holds it.

Layout below the root: ``cache/ab/<62 hex>``, ``vault/ab/<62 hex>``, ``trash/<run>/<tree>/ab/<62 hex>``,
``tmp/``, ``leases/``, ``uses/``, ``unsettled/``, ``format.json``, ``results.sqlite``.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from queue import SimpleQueue
from threading import Thread

from regenstore.errors import FormatError, NotFound, StorageError
from regenstore.fs import durable, file_lock, presence, sharing
from regenstore.fs.reflink import Linker
from regenstore.fs.writing import write_all
from regenstore.objects import store_format, unsynced
from regenstore.objects.hashing import hash_own_file
from regenstore.objects.holds import Holds, lives
from regenstore.objects.ids import Digest
from regenstore.objects.unsynced import Backing

CACHE, VAULT, TRASH = "cache", "vault", "trash"
TREES = (CACHE, VAULT)
_LOOKED_THROUGH = {CACHE: (CACHE, VAULT, CACHE), VAULT: (VAULT, CACHE, VAULT)}
"""By the tree that held the last content found: the next is probably there, too. It comes twice because gc may move a
content between the trees during a lookup."""
_STEPS_OF_TIME = (1, 1_000, 1_000_000_000, 2_000_000_000)  # nanoseconds; some file systems store whole seconds
_BEGUN_TOGETHER = 4 << 20
"""Bytes whose writing is started at once: waking the thread for each small content costs more than storing it."""
STALE_TEMP = 24 * 3600.0


class ContentStore:
    """The contents below one folder. Cheap to construct: touches nothing before the first use."""

    def __init__(self, root: str, *, prepared: Callable[[], None] | None = None) -> None:
        """``prepared`` is called after the folders were created, so that repositories can register with the store."""
        self.root = root
        self._prepared = prepared
        self.holds = Holds(root)
        self.added = 0
        """Bytes put through this object."""
        self._last_tree = CACHE
        self._folders: set[str] = set()
        self._shards: set[str] = set()
        self._unsettled: list[str] = []
        self._mark: tuple[str, int] | None = None
        self._since = 0
        self._writer: Thread | None = None
        self._to_write: SimpleQueue[Sequence[str] | None] = SimpleQueue()
        self._begun: list[str] = []
        self._begun_bytes = 0

    # -------------------------------------------------------------------------------- looking up

    def object_path(self, digest: Digest, tree: str = VAULT) -> str:
        """Return the path of a digest's bytes in a tree, whether they exist or not."""
        hexa = digest.hex
        return f"{self.root}/{tree}/{hexa[:2]}/{hexa[2:]}"

    def find(self, digest: Digest, size: int | None = None) -> str | None:
        """Return the path of a content, or None; with ``size``, only of a file of exactly that many bytes. Brings the
        content back from the trash."""
        return self.stored(digest, size) or self._revive(digest, size)

    def use(self, digest: Digest, size: int | None = None) -> str | None:
        """Like :meth:`find`, and also hold the content: gc leaves it alone until this process ends."""
        self.holds.try_hold([digest])
        return self.find(digest, size)

    def stored(self, digest: Digest, size: int | None = None) -> str | None:
        """Like :meth:`find`, without bringing anything back from the trash."""
        hexa = digest.hex
        for tree in _LOOKED_THROUGH[self._last_tree]:
            path = f"{self.root}/{tree}/{hexa[:2]}/{hexa[2:]}"
            if _is_content(path, size):
                self._last_tree = tree
                return path
        return None

    def is_in_trash(self, digest: Digest, size: int | None = None) -> bool:
        """Return whether the trash has a content, which :meth:`find` would bring back."""
        return any(True for _ in self._trashed(presence.names(f"{self.root}/{TRASH}"), digest, size))

    def _trashed(self, runs: Sequence[str], digest: Digest, size: int | None) -> Iterator[tuple[str, str]]:
        """Yield the files of a content in the trash, each with the tree that it came from."""
        for run in runs:
            for tree in TREES:
                trashed = self.object_path(digest, f"{TRASH}/{run}/{tree}")
                if _is_content(trashed, size):
                    yield trashed, tree

    def _revive(self, digest: Digest, size: int | None) -> str | None:
        """Bring a content back from the trash."""
        runs = presence.names(f"{self.root}/{TRASH}")
        for trashed, tree in self._trashed(runs, digest, size):
            path = self.object_path(digest, tree)
            try:
                bring_back(trashed, path)
            except FileNotFoundError:
                continue  # another process brought it back, or it was purged
            except OSError:
                return trashed  # the store is read-only: use the content where it is
            return path
        return self.stored(digest, size) if runs else None

    def claim(self, digest: Digest, size: int | None = None) -> str | None:
        """Return the path of a content that something new will depend on, such as a recipe about to be added; None if
        the caller has to put it (again). Raises StorageError if it cannot be held.

        The content is held, then its identity is changed, which voids any decision that gc made about it before; then
        it is looked up once more.
        """
        self.holds.hold([digest])
        while (path := self.find(digest, size)) is not None:
            try:
                if not _renew(path):
                    return None
                if _is_content(path, size):
                    return path
            except FileNotFoundError:
                continue  # gc has just moved it
            except PermissionError:
                return path if self._take_over(path, digest) else None
            except OSError:
                return None
        return None

    def _take_over(self, path: str, digest: Digest) -> bool:
        """Replace another user's content, whose identity only the owner may change, by our own copy. False if its bytes
        do not match its name, if it is gone, or if it is ours."""
        temp = self.temp_path("claim")
        with durable.storage_errors(temp):
            try:
                if os.stat(path).st_uid == os.geteuid():
                    return False
                import shutil  # slow to import: it brings what packs archives

                shutil.copyfile(path, temp)
                if hash_own_file(temp)[0] != digest:
                    return False
                sharing.seal(temp)
                durable.fsync_file(temp)
                durable.rename(temp, path)
                durable.fsync_folder(os.path.dirname(path))
            except (FileNotFoundError, PermissionError):
                return False
            finally:
                durable.unlink(temp)
        return True

    def size(self, digest: Digest) -> int | None:
        """Return the size of a stored content in bytes, or None."""
        path = self.stored(digest)
        return None if path is None else os.path.getsize(path)

    def contents(self, tree: str) -> Iterator[tuple[Digest, int]]:
        """Yield (digest, size) for all contents of a tree, in no particular order, skipping other files. Raises
        StorageError (``unreadable``)."""
        for digest, size, _ in self._files_of(tree):
            yield digest, size

    def inventory(self) -> Iterator[tuple[Digest, int, str, tuple[int, int]]]:
        """Yield every content with its size, tree and identity; for contents in the trash the tree is
        ``trash/<run>/<tree>``. A content can be in several trees. Raises StorageError (``unreadable``)."""
        runs = sorted(presence.names(f"{self.root}/{TRASH}"))
        for tree in (*TREES, *(f"{TRASH}/{run}/{tree}" for run in runs for tree in TREES)):
            for digest, size, identity in self._files_of(tree):
                yield digest, size, tree, identity

    def _files_of(self, tree: str) -> Iterator[tuple[Digest, int, tuple[int, int]]]:
        top = f"{self.root}/{tree}"
        for shard in presence.names(top):
            for name in presence.names(f"{top}/{shard}"):
                try:
                    digest = Digest.parse(Digest.PREFIX + shard + name)
                except FormatError:
                    continue  # a stray file
                found = presence.lstat(f"{top}/{shard}/{name}")
                if found is not None and stat.S_ISREG(found.st_mode):
                    yield digest, found.st_size, (found.st_ino, found.st_mtime_ns)

    # -------------------------------------------------------------------------------- putting

    def prepare(self) -> None:
        """Create the store's folders. Raises FormatError if the store is newer than this program, and StorageError
        (``store-unwritable``) if a link leads one of them to another disk, as contents are renamed between them."""
        store_format.check(self.root, "write")
        with durable.storage_errors(self.root):
            for name in ("", "tmp", "leases", *TREES):
                self._make(f"{self.root}/{name}".rstrip("/"))
        self.require_one_disk()
        store_format.create(self.root)
        if self._prepared is not None:
            self._prepared()

    def require_one_disk(self) -> None:
        """Raise StorageError (``store-unwritable``) if a link leads a tree to another disk than the others."""
        temp = presence.found(f"{self.root}/tmp")
        for tree in TREES:
            there = presence.found(f"{self.root}/{tree}")
            if there is not None and temp is not None and there.st_dev != temp.st_dev:
                raise StorageError(
                    "store-unwritable",
                    f"{self.root}/{tree} is on another disk than {self.root}/tmp",
                    hint="Move the whole store there, and set regenstore.store to its new place.",
                )

    def temp_path(self, prefix: str = "put") -> str:
        """Return a fresh name in ``tmp/``, on the contents' file system, without creating it. A file of that name is
        left alone, however old, until this process ends or releases its holds."""
        self._make(f"{self.root}/tmp")
        mark = self.holds.mark() or str(os.getpid())
        return f"{self.root}/tmp/{prefix}-{os.urandom(6).hex()}-{mark}"

    def put_file(self, path: str, digest: Digest, *, tree: str = VAULT, wait: bool = True) -> None:
        """Move a finished, already hashed file into the store; it must be on the store's file system.

        Durable on return, or with ``wait=False`` when :meth:`settle` returns. Always renames, even over equal bytes:
        that renews the content's age and its identity, so that an earlier decision of gc does not apply to it. It is
        held until this process ends, since nothing refers to it yet. Raises StorageError, leaving the file where it
        was.
        """
        target = self.object_path(digest, tree)
        self.holds.hold([digest])
        with durable.storage_errors(target):
            sharing.seal(path)
            found = os.stat(path)
            size = found.st_size
            self.added += size
            folder = os.path.dirname(target)
            if not wait:
                if found.st_mtime_ns < self._since:  # the clock was set back; what the mark is for must be newer
                    os.utime(path, ns=(found.st_atime_ns, self._since))
                if folder not in self._shards and not os.path.isdir(folder):
                    sharing.make_folders(folder)  # made durable together with its contents
                self._shards.add(folder)
                durable.rename(path, target)
                self._unsettled.append(target)
                self._begin_writing(target, size)
                return
            durable.fsync_file(path)
            self._make(folder)
            durable.rename(path, target)
            durable.fsync_folder(folder)

    def defer(self, backing: Backing) -> None:
        """Record durably that contents are about to be put with ``wait=False`` whose bytes a worktree's files also
        have: after a power cut before :meth:`settle`, they are taken from there again. Raises StorageError."""
        if self._mark is None:
            with durable.storage_errors(self.root):
                self._since = time.time_ns()
                self._mark = unsynced.make(self.root, self._since, backing)

    def wait_for(self, path: str) -> None:
        """Make a stored content durable that another process may have put without waiting. Raises StorageError."""
        if unsynced.any_in(self.root):
            with durable.storage_errors(path):
                durable.fsync_file(path)
                durable.fsync_folder(os.path.dirname(path))
                durable.fsync_folder(os.path.dirname(os.path.dirname(path)))

    def settle(self) -> None:
        """Make everything put with ``wait=False`` durable. Raises StorageError.

        Until then such contents have their names, so they survive the death of any process, but not a power cut: after
        one, a content can be missing or short (lookups by size then skip it). So only a caller whose sources stay in
        place until this returns may put without waiting.
        """
        targets, self._unsettled = self._unsettled, []
        self._begun, self._begun_bytes = [], 0
        self._write_down(targets)
        if self._mark is not None:
            path, fd = self._mark
            self._mark = None
            durable.unlink(path)
            os.close(fd)

    def _begin_writing(self, target: str, size: int) -> None:
        """Start writeback of contents in the background, several at once, while the next ones arrive. It has a thread
        of its own because the call may block."""
        self._begun.append(target)
        self._begun_bytes += size
        if self._begun_bytes < _BEGUN_TOGETHER:
            return
        if self._writer is None:
            self._to_write = SimpleQueue()
            self._writer = Thread(target=_write_some, args=(self._to_write,), daemon=True)
            self._writer.start()
        self._to_write.put(self._begun)
        self._begun, self._begun_bytes = [], 0

    def _write_down(self, targets: Sequence[str]) -> None:
        if self._writer is not None:
            self._to_write.put(None)
            self._writer.join()
            self._writer = None
        with durable.storage_errors(self.root):
            durable.sync_files(targets, self.added)

    def put_bytes(self, data: bytes, digest: Digest, *, tree: str = VAULT) -> None:
        """Store a small content from memory under its digest."""
        temp = self.temp_path()
        with durable.storage_errors(temp):
            try:
                fd = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                try:
                    write_all(fd, data)
                finally:
                    os.close(fd)
                self.put_file(temp, digest, tree=tree)
            except BaseException:
                durable.unlink(temp)
                raise

    def adopt(self, path: str, *, tree: str = VAULT) -> tuple[Digest, int]:
        """Hash a finished file on the store's file system and move it in; returns digest and size."""
        with durable.storage_errors(path):
            if not stat.S_ISREG(os.lstat(path).st_mode):
                raise StorageError("io-error", f"{path} is not a regular file")
            digest, size = hash_own_file(path)
        self.put_file(path, digest, tree=tree)
        return digest, size

    def put_copy(self, path: str, digest: Digest, *, wait: bool = True) -> int:
        """Copy a file of that digest into the store, by reflink where the file system can; returns its size. Raises
        StorageError, and NotFound (``content-missing``) if the file has other bytes."""
        temp = self.temp_path("copy")
        try:
            with durable.storage_errors(path):
                source = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
                try:
                    target = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                    try:
                        Linker().fill(source, target)
                    finally:
                        os.close(target)
                finally:
                    os.close(source)
                found, size = hash_own_file(temp)
                if found != digest:
                    raise NotFound("content-missing", f"{path} does not have the bytes of {digest}")
            self.put_file(temp, digest, wait=wait)
        finally:
            durable.unlink(temp)
        return size

    def stale_temp(self, now: float | None = None) -> Iterator[str]:
        """Yield temporary files and run folders left behind by killed processes: no living process holds them, by its
        mark or by a lock on the file itself, and nothing has touched them for over a day. Raises StorageError
        (``unreadable``)."""
        horizon = (time.time() if now is None else now) - STALE_TEMP
        for name in sorted(presence.names(f"{self.root}/tmp")):
            path = f"{self.root}/tmp/{name}"
            try:
                if _last_change(path) < horizon and not file_lock.in_use(path) and not lives(self.root, _mark(name)):
                    yield path
            except OSError:
                continue

    def clean_temp(self, now: float | None = None) -> int:
        """Remove stale temporary files and folders; returns how many. Never raises."""
        removed = 0
        try:
            stale = list(self.stale_temp(now))
        except StorageError:
            return 0
        for path in stale:
            try:
                if os.path.isdir(path) and not os.path.islink(path):
                    import shutil  # slow to import: it brings what packs archives

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


def _write_some(some: SimpleQueue[Sequence[str] | None]) -> None:
    while (paths := some.get()) is not None:
        for path in paths:
            try:
                durable.begin_writing(path)
            except OSError:
                continue  # settle syncs it, and reports the error


def bring_back(trashed: str, path: str) -> None:
    """Rename a content out of the trash. Raises FileNotFoundError if it is not there (any more)."""
    try:
        durable.rename(trashed, path)
    except FileNotFoundError:
        sharing.make_folders(os.path.dirname(path))
        durable.rename(trashed, path)


def identity(path: str) -> tuple[int, int]:
    """Return the identity of a content's file, (inode, mtime), which changes when it is put or claimed. Raises
    OSError."""
    found = os.stat(path)
    return found.st_ino, found.st_mtime_ns


def _renew(path: str) -> bool:
    """Change a file's identity and nothing else; False if the file system does not record the change."""
    found = os.stat(path)
    for step in _STEPS_OF_TIME:
        os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns + step))
        if os.stat(path).st_mtime_ns != found.st_mtime_ns:
            return True
    return False


def _is_content(path: str, size: int | None) -> bool:
    found = presence.found(path)
    return found is not None and stat.S_ISREG(found.st_mode) and (size is None or found.st_size == size)


def _mark(name: str) -> str:
    """Return the mark, in a temporary file's name, of the process that made it."""
    return name.split("-", 2)[-1]


def _last_change(path: str) -> float:
    """Return when a file, or anything in a folder, was last written: a long run may not touch the folder itself."""
    newest = os.lstat(path).st_mtime
    for folder, _, files in os.walk(path):
        for name in (".", *files):
            newest = max(newest, os.lstat(f"{folder}/{name}").st_mtime)
    return newest
