"""Where a repository keeps its objects, and whether all of them can be read.

Git treats an object that it cannot read as missing: it then reports commits that only a reflog names as pruned, and
carries on. Code that must know everything that is live checks here first.
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
    """Return the object folders of a repository: its own, and those of its alternates. Raises StorageError
    (``unreadable``), also if one of them does not exist."""
    found: dict[str, None] = {}
    todo = [(f"{common}/objects", f"{common}/objects")]
    while todo:
        folder, named_in = todo.pop()
        if folder in found:
            continue
        if not presence.is_folder(folder):
            what = f"{folder} is not there: {named_in} names it as a place of objects"
            raise StorageError("unreadable", what, hint="Mount it or bring it back, then run the same command again.")
        found[folder] = None
        path = f"{folder}/info/alternates"
        for line in (presence.read(path) or b"").split(b"\n"):
            if line and not line.startswith(b"#"):
                named = os.fsdecode(_unquoted(line))
                todo.append((os.path.normpath(os.path.join(folder, named)), path))
    return list(found)


def require_readable(common: str, *, loose: bool = False) -> None:
    """Raise StorageError (``unreadable``) for the first folder or pack that cannot be read, and with ``loose`` also for
    the first loose object."""
    for folder in folders(common):
        for name in presence.names(f"{folder}/pack"):
            if name.endswith(_PACKED):
                _require_file(f"{folder}/pack/{name}")
        for shard in filter(_SHARD.match, presence.names(folder)):
            names = presence.names(f"{folder}/{shard}")
            presence.lstat(f"{folder}/{shard}/.")  # a folder that can be listed may still deny opening its files
            for name in names if loose else ():
                _require_file(f"{folder}/{shard}/{name}")


def require_gone(git: Git, common: str, oids: Iterable[bytes], *, partial: bool = False) -> None:
    """Raise StorageError (``unreadable``) for the first object that Git did not return although it exists: it is
    damaged, or cannot be read. In a ``partial`` clone Git is not asked again, since it would fetch."""
    names = [oid.hex() for oid in oids]
    if not names:
        return
    answers = [None] * len(names) if partial else git.object_types(names)
    places = folders(common)
    for name, answer in zip(names, answers, strict=True):
        loose = next(_loose(places, name), None)
        if loose is not None or answer is not None:
            what = f"{loose or name} cannot be read by Git: it is damaged, or this user may not read it"
            raise StorageError("unreadable", what, hint="'git fsck' shows more; nothing that depends on it was done.")


def _loose(places: Iterable[str], name: str) -> Iterator[str]:
    for folder in places:
        path = f"{folder}/{name[:2]}/{name[2:]}"
        if presence.lstat(path) is not None:
            yield path


def _require_file(path: str) -> None:
    try:
        os.close(presence.open_file(path))
    except presence.ABSENT:
        pass  # packed or pruned meanwhile
    except presence.NotRegular as error:
        raise StorageError("unreadable", str(error)) from None
    except OSError as error:
        raise presence.unreadable(error, path) from error


def _unquoted(line: bytes) -> bytes:
    """Decode a path of an alternates file: in double quotes it has C-style escapes."""
    if not (line.startswith(b'"') and line.endswith(b'"') and len(line) > 1):
        return line
    try:
        return line[1:-1].decode("unicode_escape").encode("latin-1")
    except ValueError:
        return line
