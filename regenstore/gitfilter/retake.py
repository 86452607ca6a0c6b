"""Recovery after a ``git add`` that ended before its wait for the disk, because of a kill or a power cut.

If only the process was killed, the system still has all the data, and is told to write it to the disk. After a power
cut, every content stored since is hashed, and those that are short or wrong are set aside. Then contents that the
recipes in that worktree's index name and the store lacks are taken again from the worktree's files, if these still
have the bytes.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterable

from regenstore.errors import NotFound, RegenstoreError
from regenstore.fs import boot, durable, presence, sharing
from regenstore.objects import unsynced
from regenstore.objects.content_store import TREES, ContentStore
from regenstore.objects.hashing import hash_own_file
from regenstore.objects.ids import Digest
from regenstore.objects.scan import MAX_SCAN, scan_take
from regenstore.objects.unsynced import Backing
from regenstore.refs.git import BlobReader, Git
from regenstore.worktree.index_file import CacheEntry, IndexFile, UnsupportedIndex
from regenstore.worktree.index_lock import staged_entries
from regenstore.worktree.location import Location, locate

_SLACK = 2_000_000_000
"""Some file systems round times to whole seconds."""
ASIDE = "quarantine"


def settle_for_others(store: ContentStore) -> list[RegenstoreError]:
    """Make durable what ended processes stored without waiting for the disk; returns the errors. A mark is removed only
    after this has succeeded for it. Raises StorageError (``unreadable``)."""
    problems: list[RegenstoreError] = []
    for mark in unsynced.left(store.root):
        try:
            if mark.backing is not None and not boot.since_this_boot(mark.boot):
                set_aside(store, mark.since - _SLACK)
                take_in_again(store, mark.backing)
            with durable.storage_errors(mark.path):
                if not durable.sync_file_system(store.root):
                    os.sync()
                durable.unlink(mark.path)
        except RegenstoreError as error:
            problems.append(error)
    return problems


def set_aside(store: ContentStore, since: int) -> list[str]:
    """Move contents that were stored since a time, and whose bytes do not match their names, out of the store's trees;
    returns their new paths."""
    moved = []
    folder = f"{store.root}/{ASIDE}"
    for digest, size, tree, (_, written) in list(store.inventory()):
        if tree not in TREES or written < since:
            continue
        path = store.object_path(digest, tree)
        with durable.storage_errors(path):
            try:
                if hash_own_file(path)[0] == digest:
                    continue
                durable.make_folder(folder)
                target = f"{folder}/{tree}-{digest.hex}.{time.time_ns() // 1_000_000}-{os.urandom(3).hex()}"
                durable.rename(path, target)
            except FileNotFoundError:
                continue
            why = f"why:   the power was cut before it was written down\nnamed: {digest}\nsize:  {size}\n"
            durable.write_file(f"{target}.txt", why.encode())
            durable.fsync_folder(os.path.dirname(path))
        moved.append(target)
    return moved


def take_in_again(store: ContentStore, backing: Backing) -> int:
    """Store the contents that a worktree's index names and the store lacks, if the worktree's files still have them;
    returns how many. Raises StorageError, FormatError (``bad-index``)."""
    try:
        location = locate(os.fsdecode(backing.top), backing.git_dir, backing.index_file)
    except NotFound:
        return 0  # the worktree is gone, and so is everything in it that relied on these contents
    count = 0
    entries = [entry for entry in _entries(location, backing.oid_size) if stat.S_ISREG(entry.mode)]
    with BlobReader(Git(backing.top, git_dir=backing.git_dir)) as blobs:
        texts = blobs.read_many((entry.oid.hex().encode() for entry in entries), MAX_SCAN)
        for entry, text in zip(entries, texts, strict=True):
            take = scan_take(text) if text is not None else None
            if take is not None and store.stored(Digest(take[0]), take[1]) is None:
                count += _take(store, os.path.join(backing.top, entry.path), Digest(take[0]), take[1])
    return count


def _entries(location: Location, oid_size: int) -> Iterable[CacheEntry]:
    try:
        return IndexFile.read(location.index, oid_size).entries
    except UnsupportedIndex:
        return staged_entries(location)


def _take(store: ContentStore, path: bytes, digest: Digest, size: int) -> bool:
    """Store a copy of a worktree file if it has the expected digest and size."""
    found = presence.lstat(path)
    if found is None or not stat.S_ISREG(found.st_mode) or found.st_size != size:
        return False
    store.prepare()
    temp = store.temp_path("retake")
    with durable.storage_errors(temp):
        try:
            file = presence.open_file(path, follow=False)
            with open(file, "rb") as source, open(sharing.create(temp, os.O_WRONLY | os.O_EXCL), "wb") as target:
                import shutil  # slow to import, because it imports the archive modules

                shutil.copyfileobj(source, target, durable.CHUNK)
            if hash_own_file(temp)[0] != digest:
                return False
            store.put_file(temp, digest)
        except (presence.NotRegular, *presence.ABSENT):
            return False  # the file was removed or replaced just now
        finally:
            durable.unlink(temp)
    return True
