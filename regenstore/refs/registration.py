"""Which repositories hold what is in a store that several of them share (``regenstore.store``).

A repository registers itself when it first uses such a store: a small file in ``repositories/``, named by an
id that the repository carries in its common folder and by where that folder is. Only a user takes a
registration away, or the repository itself when it finds that it was moved; all others stay,
also of repositories that cannot be reached any more. A store in its place, inside a repository's common
folder, belongs to that repository without being told.

Lean: the Git filter registers.
"""

from __future__ import annotations

import json
import os
import re
import time
from typing import NamedTuple

from regenstore.fs import presence
from regenstore.fs.path_text import path_of, path_text
from regenstore.objects import durable
from regenstore.objects.hashing import hash_bytes
from regenstore.refs.leases import lease

FOLDER = "repositories"
ID_FILE = "regenstore-id"
OWN = "regenstore"
_ID = re.compile(r"[0-9a-f]{32}\Z")


class Registration(NamedTuple):
    """A repository that relies on a store. ``path`` is its common folder; empty where the file that told it
    is damaged."""

    name: str
    path: str
    identity: str
    place: tuple[int, int] = (0, 0)
    """Device and inode of the common folder: a folder that was moved keeps them, a copy has others."""


def own_store(common: str) -> str:
    """Where the store of a repository is as long as nobody moves it."""
    return f"{common}/{OWN}"


def owner(root: str) -> str | None:
    """The common folder of the repository that a store lies in, if it lies in one. Raises StorageError
    (``unreadable``)."""
    folder, name = os.path.split(os.path.realpath(root))
    # A damaged repository still is one: any sign of it counts.
    signs = folder.endswith(".git") or presence.lstat(f"{folder}/HEAD") or presence.is_folder(f"{folder}/objects")
    return folder if name == OWN and signs else None


def identity(common: str) -> str | None:
    """The id that a repository carries; None before its first registration, and where there is none. Raises
    StorageError (``unreadable``)."""
    found = (presence.read(f"{common}/{ID_FILE}", 64) or b"").decode("ascii", "replace").strip()
    return found if _ID.match(found) else None


def register(root: str, common: str) -> None:
    """Make a repository known to a store; one small file is read when it is known already. Raises
    StorageError."""
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
        # What it last held goes with it, before the name that it is known by.
        if presence.found(held_file(root, old)) and not presence.found(held_file(root, name)):
            durable.rename(held_file(root, old), held_file(root, name))
    told = {"path": path_text(path), "identity": mine, "place": place, "registered": time.time()}
    durable.write_file(_file(root, name), json.dumps(told, indent=1).encode() + b"\n")
    for old in moved:
        durable.unlink(_file(root, old))


def registrations(root: str) -> list[Registration]:
    """All registered repositories, by name. Raises StorageError (``unreadable``) where the folder, or one of the
    files in it, cannot be read."""
    names = sorted(presence.names(f"{root}/{FOLDER}"))
    return [_read(root, name.removesuffix(".json")) for name in names if name.endswith(".json")]


def _read(root: str, name: str) -> Registration:
    try:
        told = json.loads(presence.read(_file(root, name), 1 << 16) or b"")
        device, inode = told["place"]
        found = Registration(name, _path_of(str(told["path"])), str(told["identity"]), (int(device), int(inode)))
    except (ValueError, KeyError, TypeError, RecursionError, OverflowError):
        return Registration(name, "", "")
    return found if name == _name(found.identity, found.path) else Registration(name, "", "")


def _path_of(told: str) -> str:
    """The path of a registration; those of earlier versions hold Python's own form of it."""
    return os.fsdecode(path_of(told)) if told.startswith('"') else told


def remove(root: str, name: str) -> None:
    """Take a registration away, and what was kept of the repository."""
    durable.unlink(_file(root, name))
    durable.unlink(held_file(root, name))


def held_file(root: str, name: str) -> str:
    """Where a store keeps what a repository last held."""
    return f"{root}/{FOLDER}/{name}.held"


def _file(root: str, name: str) -> str:
    return f"{root}/{FOLDER}/{name}.json"


def _name(known: str, path: str) -> str:
    return f"{known}-{hash_bytes(os.fsencode(path)).hex[:16]}"
