"""Where a repository keeps its objects, and whether all of it can be read.

Git takes an object that it cannot read for one that is not there: of commits that only a reflog names it then says
that they were pruned, and goes on. Whoever has to know all that is live looks here first.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator

from regenstore.errors import StorageError
from regenstore.fs import presence
from regenstore.refs.git import Git

_SHARD = re.compile("[0-9a-f]{2}\\Z")
_PACKED = (".pack", ".idx", "multi-pack-index")


def folders(common: str) -> list[str]:
    """The folders with a repository's objects: its own, and those that alternates lead to. Raises StorageError
    (``unreadable``), also where one of them is not there."""
    found: dict[str, None] = {}
    todo = [(f"{common}/objects", f"{common}/objects")]
    while todo:
        folder, said_by = todo.pop()
        if folder in found:
            continue
        if not presence.is_folder(folder):
            what = f"{folder} is not there: {said_by} names it as a place of objects"
            raise StorageError("unreadable", what, hint="Mount it or bring it back, then run the same command again.")
        found[folder] = None
        path = f"{folder}/info/alternates"
        for line in (presence.read(path) or b"").split(b"\n"):
            if line and not line.startswith(b"#"):
                named = os.fsdecode(_unquoted(line))
                todo.append((os.path.normpath(os.path.join(folder, named)), path))
    return list(found)


def require_readable(common: str, *, loose: bool = False) -> None:
    """Raise StorageError (``unreadable``) for the first place with objects that cannot be read: folders, packs,
    and with ``loose`` every object that has a file of its own."""
    for folder in folders(common):
        for name in presence.names(f"{folder}/pack"):
            if name.endswith(_PACKED):
                _require_file(f"{folder}/pack/{name}")
        for shard in filter(_SHARD.match, presence.names(folder)):
            names = presence.names(f"{folder}/{shard}")
            presence.lstat(f"{folder}/{shard}/.")  # listing a folder does not say that its files can be opened
            for name in names if loose else ():
                _require_file(f"{folder}/{shard}/{name}")


def require_gone(git: Git, common: str, oids: Iterable[bytes], *, partial: bool = False) -> None:
    """Raise StorageError (``unreadable``) for the first of some objects that Git did not give and that is there
    all the same: it is damaged, or cannot be read. Of a ``partial`` clone Git is not asked again: it would fetch."""
    names = [oid.hex() for oid in oids]
    if not names:
        return
    told = [None] * len(names) if partial else git.object_types(names)
    places = folders(common)
    for name, answer in zip(names, told, strict=True):
        loose = next(_loose(places, name), None)
        if loose is not None or answer is not None:
            what = f"{loose or name} cannot be read by Git: it is damaged, or this user may not read it"
            raise StorageError("unreadable", what, hint="'git fsck' tells more; nothing that depends on it was done.")


def _loose(places: Iterable[str], name: str) -> Iterator[str]:
    for folder in places:
        path = f"{folder}/{name[:2]}/{name[2:]}"
        if presence.lstat(path) is not None:
            yield path


def _require_file(path: str) -> None:
    try:
        os.close(presence.open_file(path))
    except presence.ABSENT:
        pass  # packed or pruned just now
    except presence.NotRegular as error:
        raise StorageError("unreadable", str(error)) from None
    except OSError as error:
        raise presence.unreadable(error, path) from error


def _unquoted(line: bytes) -> bytes:
    """A path of an alternates file: one in double quotes is written as C does it."""
    if not (line.startswith(b'"') and line.endswith(b'"') and len(line) > 1):
        return line
    try:
        return line[1:-1].decode("unicode_escape").encode("latin-1")
    except ValueError:
        return line
