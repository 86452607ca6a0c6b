"""Where a worktree's parts are. Reads ``.git`` by itself: asking Git would cost a process per filter."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass

from regenstore.errors import NotFound, StorageError
from regenstore.fs import presence


@dataclass(frozen=True)
class Location:
    """All absolute. ``top`` is bytes because everything below it is named in bytes."""

    top: bytes
    git_dir: str
    common_dir: str
    index: str


def locate(top: str, git_dir: str | None = None, index: str | None = None) -> Location:
    """Find the Git folders of a worktree whose top is known; ``git_dir`` and ``index`` as Git's
    environment gives them. Raises NotFound where there is no repository, StorageError (``unreadable``)."""
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
    """Raise StorageError (``unreadable``) where the nearest ``.git`` at or above a folder cannot be read, which Git
    takes for no repository."""
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
    """Whether a folder lies among a worktree's files: ``git add`` would take what is in it, ``git clean`` remove it."""
    real, top = os.path.realpath(folder), os.path.realpath(os.fsdecode(location.top))
    homes = (os.path.realpath(home) for home in (location.git_dir, location.common_dir))
    return _is_below(real, top) and not any(_is_below(real, home) for home in homes)


def _is_below(path: str, folder: str) -> bool:
    return os.path.commonpath((path, folder)) == folder


def refuse_attributes(top: bytes, folders: Iterable[bytes]) -> None:
    """Raise StorageError (``unreadable``) where a folder's ``.gitattributes`` or ``.gitignore`` is a FIFO, socket or
    device: git would wait for it, for ever."""
    for folder in folders:
        for name in (b".gitattributes", b".gitignore"):
            path = os.path.join(top, folder, name)
            try:
                found = os.lstat(path)
            except OSError:
                continue  # git does not wait for what is not there, and tells what it cannot read
            if stat.S_IFMT(found.st_mode) not in (stat.S_IFREG, stat.S_IFLNK, stat.S_IFDIR):
                raise StorageError("unreadable", str(presence.NotRegular(path, found.st_mode)))


def _text(path: str) -> str:
    """A small file's text, empty where there is none."""
    return os.fsdecode(presence.read(path, 1 << 16) or b"")
