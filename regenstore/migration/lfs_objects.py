"""The files that Git LFS keeps on this machine."""

from __future__ import annotations

import hashlib
import os

from regenstore.errors import NotFound, StorageError
from regenstore.fs import durable, presence
from regenstore.fs.reflink import Linker
from regenstore.objects.content_store import ContentStore
from regenstore.objects.lfs_pointer import LfsPointer
from regenstore.objects.recipe import Take
from regenstore.refs.git import Git


class LfsObjects:
    """The local storage of Git LFS: files named by their SHA-256."""

    def __init__(self, git: Git, common_dir: str) -> None:
        given = git.config_value("lfs.storage", "path") or "lfs"  # relative to Git's folder, says git-lfs-config(5)
        self.folder = os.path.join(common_dir, given, "objects")

    def find(self, pointer: LfsPointer) -> str | None:
        """The file of a pointer, if it is here and has its size. Raises StorageError (``unreadable``)."""
        name = pointer.sha256
        path = os.path.join(self.folder, name[:2], name[2:4], name)
        found = presence.lstat(path, shown=os.fsencode(path))
        return path if found is not None and found.st_size == pointer.size else None


def take_in(store: ContentStore, linker: Linker, path: str, pointer: LfsPointer) -> Take:
    """Store the file of a pointer, checked against its SHA-256. Raises NotFound (``content-missing``) and
    StorageError, with ``source-damaged`` for other bytes."""
    store.prepare()
    temp = store.temp_path("lfs")
    try:
        with durable.storage_errors(temp), open(temp, "xb") as target, open(path, "rb") as source:
            linker.fill(source.fileno(), target.fileno())
        with open(temp, "rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != pointer.sha256:
            raise StorageError("source-damaged", f"{path}: its SHA-256 is {found}, not {pointer.sha256}")
        digest, size = store.adopt(temp)
    except FileNotFoundError:
        raise NotFound("content-missing", f"{path}: it has just been removed") from None
    finally:
        durable.unlink(temp)
    return Take(digest, size)
