"""Registration of the repositories that share a store (``regenstore.store``).

A repository registers itself when it first uses such a store: with a small file in ``repositories/``, named by an id
stored in the repository's common folder and by that folder's path. A registration is removed only by a user, or by the
repository itself when it was moved; all others stay, including those of repositories that can no longer be reached. A
store in its default place, inside a repository's common folder, belongs to that repository without registration.

Lean: the Git filter registers.
"""

from __future__ import annotations

import json
import os
import re
import time
from typing import NamedTuple

from regenstore.fs import durable, presence
from regenstore.fs.path_text import path_of, path_text
from regenstore.objects.hashing import hash_bytes
from regenstore.refs.leases import lease

FOLDER = "repositories"
ID_FILE = "regenstore-id"
OWN = "regenstore"
_ID = re.compile(r"[0-9a-f]{32}\Z")


class Registration(NamedTuple):
    """A repository that relies on a store. ``path`` is its common folder; empty if the registration is damaged."""

    name: str
    path: str
    identity: str
    place: tuple[int, int] = (0, 0)
    """Device and inode of the common folder: moving it preserves them, copying does not."""


def own_store(common: str) -> str:
    """Return the default path of a repository's store."""
    return f"{common}/{OWN}"


def owner(root: str) -> str | None:
    """Return the common folder of the repository that contains a store, if any. Raises StorageError
    (``unreadable``)."""
    folder, name = os.path.split(os.path.realpath(root))
    # A damaged repository is still one: any sign of it counts.
    signs = folder.endswith(".git") or presence.lstat(f"{folder}/HEAD") or presence.is_folder(f"{folder}/objects")
    return folder if name == OWN and signs else None


def identity(common: str) -> str | None:
    """Return a repository's id; None before its first registration, and if there is no repository. Raises StorageError
    (``unreadable``)."""
    found = (presence.read(f"{common}/{ID_FILE}", 64) or b"").decode("ascii", "replace").strip()
    return found if _ID.match(found) else None


def register(root: str, common: str) -> None:
    """Register a repository with a store; reads one small file if it is registered already. Raises StorageError."""
    path = os.path.realpath(common)
    known = identity(path)
    if (known and presence.found(_file(root, _name(known, path)))) or owner(root) == path:
        return
    folder = f"{root}/{FOLDER}"
    with durable.storage_errors(folder):
        durable.make_folder(folder)
        with lease(folder, "registering", lambda: None):
            _register(root, path)


def _register(root: str, path: str) -> None:
    found = os.stat(path)
    mine = identity(path)
    if mine is None:
        mine = os.urandom(16).hex()
        durable.write_file(f"{path}/{ID_FILE}", mine.encode() + b"\n")
    name, place = _name(mine, path), (found.st_dev, found.st_ino)
    moved = [
        other.name
        for other in registrations(root)
        if other.identity == mine and other.place == place and other.path != path and identity(other.path) != mine
    ]
    for old in moved:
        # Move its snapshot before its registration.
        if presence.found(held_file(root, old)) and not presence.found(held_file(root, name)):
            durable.rename(held_file(root, old), held_file(root, name))
    fields = {"path": path_text(path), "identity": mine, "place": place, "registered": time.time()}
    durable.write_file(_file(root, name), json.dumps(fields, indent=1).encode() + b"\n")
    for old in moved:
        durable.unlink(_file(root, old))


def registrations(root: str) -> list[Registration]:
    """Return all registered repositories, by name. Raises StorageError (``unreadable``) if the folder, or one of its
    files, cannot be read."""
    names = sorted(presence.names(f"{root}/{FOLDER}"))
    return [_read(root, name.removesuffix(".json")) for name in names if name.endswith(".json")]


def _read(root: str, name: str) -> Registration:
    try:
        fields = json.loads(presence.read(_file(root, name), 1 << 16) or b"")
        device, inode = fields["place"]
        found = Registration(name, _path_of(str(fields["path"])), str(fields["identity"]), (int(device), int(inode)))
    except (ValueError, KeyError, TypeError, RecursionError, OverflowError):
        return Registration(name, "", "")
    return found if name == _name(found.identity, found.path) else Registration(name, "", "")


def _path_of(recorded: str) -> str:
    """Decode the path of a registration; earlier versions wrote it in Python's own form."""
    return os.fsdecode(path_of(recorded)) if recorded.startswith('"') else recorded


def remove(root: str, name: str) -> None:
    """Remove a registration and the repository's snapshot."""
    durable.unlink(_file(root, name))
    durable.unlink(held_file(root, name))


def held_file(root: str, name: str) -> str:
    """Return the path of the snapshot of what a repository last held."""
    return f"{root}/{FOLDER}/{name}.held"


def _file(root: str, name: str) -> str:
    return f"{root}/{FOLDER}/{name}.json"


def _name(known: str, path: str) -> str:
    return f"{known}-{hash_bytes(os.fsencode(path)).hex[:16]}"
