"""Paths that stay inside the worktree.

Paths are bytes relative to the worktree's top, with ``/`` between components, as in Git. A path is never written
through a symbolic link: every folder on the way is opened with ``O_NOFOLLOW``.
"""

from __future__ import annotations

import os
from collections import OrderedDict

from regenstore.errors import InvalidInput

_OPEN_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
_MAX_OPEN = 200


def check_relative(path: bytes) -> bytes:
    """Return the path if it can only lie inside a worktree. Raises InvalidInput (``bad-path``) otherwise.

    Rejected: absolute paths, empty components, ``.``, ``..``, and ``.git`` in any component and in any spelling that
    some file system treats as equal.
    """
    for part in path.split(b"/"):
        lowered = part.lower().rstrip(b" .")
        if part in (b"", b".", b"..") or lowered in (b".git", b"git~1") or b"\0" in part:
            raise InvalidInput("bad-path", f"the path {os.fsdecode(path)!r} is not inside the worktree")
    return path


def from_user(argument: str, cwd: bytes, top: bytes) -> bytes:
    """Convert a command-line argument to a worktree path. Raises InvalidInput outside the worktree."""
    joined = os.path.normpath(os.path.join(cwd, os.fsencode(argument)))
    real = os.path.join(os.path.realpath(os.path.dirname(joined)), os.path.basename(joined))
    for candidate in (joined, real):
        for base in (top, os.path.realpath(top)):
            if candidate == base:
                return b""
            if candidate.startswith(base.rstrip(b"/") + b"/"):
                return check_relative(candidate[len(base.rstrip(b"/")) + 1 :])
    raise InvalidInput("bad-path", f"{argument!r} lies outside the worktree {os.fsdecode(top)}")


class Folders:
    """Open folders of a worktree, each reached without following any symbolic link."""

    def __init__(self, top: bytes) -> None:
        self._top = os.open(top, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
        self._open: OrderedDict[bytes, int] = OrderedDict()

    def __enter__(self) -> Folders:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def parent(self, path: bytes, *, create: bool = False) -> tuple[int, bytes]:
        """Return ``(descriptor of the folder, file name)``; the descriptor is valid until the next call.

        Raises OSError if a component is missing, is not a folder, or is a symbolic link.
        """
        folder, _, name = path.rpartition(b"/")
        return self._folder(folder, create), name

    def _folder(self, folder: bytes, create: bool) -> int:
        if not folder:
            return self._top
        found = self._open.get(folder)
        if found is not None:
            self._open.move_to_end(folder)
            return found
        above, _, name = folder.rpartition(b"/")
        base = self._folder(above, create)
        try:
            fd = os.open(name, _OPEN_FOLDER, dir_fd=base)
        except FileNotFoundError:
            if not create:
                raise
            os.mkdir(name, dir_fd=base)
            fd = os.open(name, _OPEN_FOLDER, dir_fd=base)
        self._open[folder] = fd
        if len(self._open) > _MAX_OPEN:
            _, oldest = self._open.popitem(last=False)
            os.close(oldest)
        return fd

    def close(self) -> None:
        for fd in (*self._open.values(), self._top):
            os.close(fd)
        self._open.clear()
