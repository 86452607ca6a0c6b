"""The files that Git LFS keeps on this machine."""

from __future__ import annotations

import os

from regenstore.fs import presence
from regenstore.objects.lfs_pointer import LfsPointer
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
