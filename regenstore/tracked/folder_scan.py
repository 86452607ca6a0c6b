"""The media in a folder outside the worktree, by their content. Links are not followed, and nothing is written."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from regenstore.errors import InvalidInput, NotFound, RegenstoreError
from regenstore.fs import presence
from regenstore.fs.swap import Identity, identity
from regenstore.media.types import sniff_file
from regenstore.worktree.paths import Folders


class ScannedFile(NamedTuple):
    """A medium in the folder."""

    path: bytes
    """Below the folder."""
    identity: Identity
    media_type: str

    @property
    def size(self) -> int:
        return self.identity.size


@dataclass
class FolderScan:
    """What a folder holds. Everything in it is either among ``files`` or counted."""

    folder: bytes
    files: list[ScannedFile] = field(default_factory=list)
    """Sorted by path."""
    others: int = 0
    """Files that are no media."""
    links: int = 0
    failed: list[tuple[bytes, RegenstoreError]] = field(default_factory=list)


def scan(folder: bytes, apart: list[bytes]) -> FolderScan:
    """Find the media in a folder, leaving out the folders ``apart``, and Git's. Files and folders that cannot be read
    are among the failed ones. Raises NotFound (``no-such-path``), and InvalidInput (``bad-path``) for a folder within
    one of ``apart``."""
    top = os.path.realpath(folder)
    if not presence.is_folder(os.fsdecode(top)):
        raise NotFound("no-such-path", f"{os.fsdecode(folder)}: there is no such folder")
    own = {os.path.realpath(each) for each in apart}
    for each in own:
        if (top + b"/").startswith(each.rstrip(b"/") + b"/"):
            raise InvalidInput(
                "bad-path",
                f"{os.fsdecode(folder)}: it is inside the worktree",
                hint="'git add' takes what is in the worktree, as far as 'regenstore track' names it.",
            )
    found = FolderScan(top)
    with Folders(top) as folders:
        for path in sorted(_walk(top, own, found)):
            try:
                _look(folders, path, found)
            except RegenstoreError as error:
                found.failed.append((path, error))
    return found


def opened(folders: Folders, path: bytes) -> int:
    """Open a regular file below the folder, following no link. Raises StorageError (``unreadable``), and NotFound
    (``no-such-path``) if it is gone or something else is there."""
    try:
        folder, name = folders.parent(path)
        return presence.open_file(name, dir_fd=folder, follow=False)
    except (presence.NotRegular, *presence.ABSENT) as error:
        raise NotFound("no-such-path", f"{os.fsdecode(path)}: it is gone, or no longer a file") from error
    except OSError as error:
        raise presence.unreadable(error, path) from error


def _walk(top: bytes, own: set[bytes], found: FolderScan) -> Iterator[bytes]:
    waiting = [b""]
    while waiting:
        folder = waiting.pop()
        try:
            with os.scandir(os.path.join(top, folder)) as entries:
                for entry in entries:
                    path = os.path.join(folder, entry.name)
                    mode = entry.stat(follow_symlinks=False).st_mode
                    if stat.S_ISLNK(mode):
                        found.links += 1
                    elif stat.S_ISREG(mode):
                        yield path
                    elif stat.S_ISDIR(mode) and entry.name != b".git" and os.path.join(top, path) not in own:
                        waiting.append(path)
        except OSError as error:
            found.failed.append((folder or b".", presence.unreadable(error, folder or top)))


def _look(folders: Folders, path: bytes, found: FolderScan) -> None:
    fd = opened(folders, path)
    try:
        about = os.fstat(fd)
        media_type = sniff_file(lambda at, length: os.pread(fd, length, at))
    except OSError as error:
        raise presence.unreadable(error, path) from error
    finally:
        os.close(fd)
    if media_type is None:
        found.others += 1
    else:
        found.files.append(ScannedFile(path, identity(about), media_type))
