"""Where a worktree's parts are. Reads ``.git`` by itself: asking Git would cost a process per filter."""

from __future__ import annotations

import os
from dataclasses import dataclass

from regenstore.errors import NotFound


@dataclass(frozen=True)
class Location:
    """All absolute. ``top`` is bytes because everything below it is named in bytes."""

    top: bytes
    git_dir: str
    common_dir: str
    index: str


def locate(top: str, git_dir: str | None = None, index: str | None = None) -> Location:
    """Find the Git folders of a worktree whose top is known; ``git_dir`` and ``index`` as Git's
    environment gives them. Raises NotFound where there is no repository."""
    found = git_dir if git_dir is not None else os.path.join(top, ".git")
    found = os.path.join(top, found)
    if os.path.isfile(found):
        with open(found, encoding="utf-8", errors="surrogateescape") as file:
            found = os.path.join(os.path.dirname(found), file.read(1 << 16).removeprefix("gitdir:").strip())
    if not os.path.isdir(found):
        raise NotFound("not-a-repository", f"{top} is not the top of a Git worktree")
    found = os.path.normpath(found)
    common = found
    try:
        with open(os.path.join(found, "commondir"), encoding="utf-8", errors="surrogateescape") as file:
            common = os.path.normpath(os.path.join(found, file.read(1 << 16).strip()))
    except FileNotFoundError:
        pass
    chosen = os.path.join(top, index) if index is not None else os.path.join(found, "index")
    return Location(os.fsencode(os.path.abspath(top)), found, common, chosen)
