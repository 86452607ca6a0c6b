"""Locates the parts of a worktree. Reads ``.git`` itself: asking Git would cost a process per filter."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable

from regenstore.errors import NotFound, StorageError
from regenstore.fs import presence


class Location:
    """All paths are absolute. ``top`` is bytes because everything below it is named in bytes."""

    def __init__(self, top: bytes, git_dir: str, common_dir: str, index: str) -> None:
        self.top = top
        self.git_dir = git_dir
        self.common_dir = common_dir
        self.index = index

    @property
    def is_bare(self) -> bool:
        """Whether there is no worktree, and the Git folder stands for its top."""
        return os.fsdecode(self.top) == self.git_dir


def locate(top: str, git_dir: str | None = None, index: str | None = None) -> Location:
    """Find the Git folders of a worktree with a known top; ``git_dir`` and ``index`` as set in Git's environment.
    Raises NotFound if there is no repository, StorageError (``unreadable``)."""
    found = git_dir if git_dir is not None else os.path.join(top, ".git")
    found = os.path.join(top, found)
    if presence.is_file(found):
        found = os.path.join(os.path.dirname(found), _text(found).removeprefix("gitdir:").strip())
    if not presence.is_folder(found):
        raise NotFound("not-a-repository", f"{top} is not the top of a Git worktree")
    found = os.path.normpath(found)
    common = os.path.normpath(os.path.join(found, _text(os.path.join(found, "commondir")).strip()))
    chosen = os.path.join(top, index) if index is not None else os.path.join(found, "index")
    return Location(os.fsencode(os.path.abspath(top)), found, common, chosen)


def refuse_unreadable(folder: str) -> None:
    """Raise StorageError (``unreadable``) if the nearest ``.git`` at or above a folder cannot be read; Git would treat
    this as if there were no repository."""
    at = os.path.abspath(folder)
    while True:
        git = os.path.join(at, ".git")
        if presence.lstat(git) is not None:
            if presence.is_file(git):
                _text(git)
            elif presence.is_folder(git):
                for name in ("HEAD", "config"):
                    presence.read(os.path.join(git, name), 1)
            return
        if (above := os.path.dirname(at)) == at:
            return
        at = above


def in_worktree(folder: str, location: Location) -> bool:
    """Whether a folder is among a worktree's files, so that ``git add`` would add its content and ``git clean`` remove
    it."""
    real, top = os.path.realpath(folder), os.path.realpath(os.fsdecode(location.top))
    homes = (os.path.realpath(home) for home in (location.git_dir, location.common_dir))
    return _is_below(real, top) and not any(_is_below(real, home) for home in homes)


def _is_below(path: str, folder: str) -> bool:
    return os.path.commonpath((path, folder)) == folder


def refuse_attributes(top: bytes, folders: Iterable[bytes]) -> None:
    """Raise StorageError (``unreadable``) if a folder's ``.gitattributes`` or ``.gitignore`` is a FIFO, socket or
    device: git would block on it forever."""
    for folder in folders:
        for name in (b".gitattributes", b".gitignore"):
            path = os.path.join(top, folder, name)
            try:
                found = os.lstat(path)
            except OSError:
                continue  # git does not block on a missing file, and reports one that it cannot read
            if stat.S_IFMT(found.st_mode) not in (stat.S_IFREG, stat.S_IFLNK, stat.S_IFDIR):
                raise StorageError("unreadable", str(presence.NotRegular(path, found.st_mode)))


def _text(path: str) -> str:
    """Return a small file's text; empty if there is none."""
    return os.fsdecode(presence.read(path, 1 << 16) or b"")
