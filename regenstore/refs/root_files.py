"""The files of a repository that name roots, and what they say without asking Git.

Whatever is in doubt is a root: any object id in any file that an operation which stopped in the middle left
behind counts.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from regenstore.objects.hashing import hash_bytes

_PSEUDO = re.compile(r"[A-Z][A-Z_]*\Z")
_STOPPED = ("rebase-merge", "rebase-apply", "sequencer")
OWN_REFS = ("refs/bisect", "refs/worktree", "refs/rewritten")
"""The refs that each worktree, also the main one, has for itself: from another one Git does not list them."""
_OID = re.compile(rb"(?<![0-9a-f])(?:[0-9a-f]{64}|[0-9a-f]{40})(?![0-9a-f])")
_TODO = re.compile(rb"^[a-z]+ (?:-[cC] )?([0-9a-f]{4,39})(?= |$)", re.MULTILINE)  # cherry-pick shortens ids here
_INDEX = re.compile(r"index\Z|sharedindex\.")
_SHAPE = ("shallow", "info/grafts", "objects/info/alternates")
_MAX_FILE = 64 << 20
_LOGGED = 130
"""Of a reflog's line, the part with its two ids."""


class RootFiles:
    """Those of the repository with this common folder, read anew each time."""

    def __init__(self, common: str) -> None:
        self.common = common

    def worktrees(self) -> list[tuple[str, str]]:
        """``(what Git puts before its names, its folder)``: the main worktree, then the linked ones."""
        linked = sorted(_names(f"{self.common}/worktrees"))
        return [("", self.common), *((f"worktrees/{n}/", f"{self.common}/worktrees/{n}") for n in linked)]

    def left(self) -> Iterator[tuple[str, str]]:
        """What pseudo refs, stopped operations and each worktree's own refs name: (name, expression)."""
        for prefix, folder in self.worktrees():
            for path in _left(folder):
                yield from ((prefix + path, oid) for oid in _ids(f"{folder}/{path}"))

    def logged(self) -> Iterator[tuple[str, str]]:
        """What reflogs name: (name, object id)."""
        for prefix, folder in self.worktrees():
            for path in _walk(f"{folder}/logs"):
                ids = dict.fromkeys(
                    oid for line in _read(f"{folder}/logs/{path}").splitlines() for oid in _OID.findall(line[:_LOGGED])
                )
                yield from ((f"{prefix}{path} (reflog)", oid.decode()) for oid in ids if oid.strip(b"0"))

    @property
    def reftable(self) -> bool:
        """Whether refs and reflogs are no files that can be read here."""
        return any(os.path.isdir(f"{folder}/reftable") for _, folder in self.worktrees())

    @property
    def partial(self) -> bool:
        """Whether objects may be missing because this is a partial clone."""
        return any(name.endswith(".promisor") for name in _names(f"{self.common}/objects/pack"))

    def shape(self) -> bytes:
        """A digest of what changes history without changing a root."""
        return self._digest([f"{self.common}/{name}" for name in _SHAPE])

    def stamp(self) -> bytes:
        """A digest of everything that is a root, or that changes what roots reach. When it is equal, so is all
        that is live; it may differ for no reason. Empty when something could not be read."""
        paths = [f"{self.common}/{name}" for name in ("packed-refs", "config", *_SHAPE)]
        paths += [f"{self.common}/refs/{path}" for path in _walk(f"{self.common}/refs")]
        for _, folder in self.worktrees():
            paths += [f"{folder}/{path}" for path in _left(folder)]
            paths += [f"{folder}/{name}" for name in _files(folder) if name == "HEAD" or _INDEX.match(name)]
            for kind in ("logs", "reftable"):
                paths += [f"{folder}/{kind}/{path}" for path in _walk(f"{folder}/{kind}")]
        packs = "\0".join(sorted(_names(f"{self.common}/objects/pack")))
        return self._digest(paths, os.fsencode(packs))

    @staticmethod
    def _digest(paths: list[str], more: bytes = b"") -> bytes:
        """Of names, bytes and identities: a file that was written anew with what it had before counts as
        changed, so that a stamp taken before and after a walk shows whether anything moved meanwhile."""
        parts = [more]
        for path in paths:
            try:
                with open(path, "rb") as file:
                    found = os.fstat(file.fileno())
                    data = file.read()
            except FileNotFoundError:
                continue
            except OSError:
                return b""
            told = (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
            parts += [os.fsencode(path), b"%d %d %d %d" % told, hash_bytes(data).raw]
        return hash_bytes(b"\0".join(parts)).raw


def _left(folder: str) -> Iterator[str]:
    """The files of a worktree's Git folder that name roots beside HEAD, as paths relative to it."""
    for name in _files(folder):
        if _PSEUDO.match(name) and name != "HEAD" and not name.endswith("_EDITMSG"):  # those say what people wrote
            yield name
    for kind in (*_STOPPED, *OWN_REFS):
        yield from (f"{kind}/{path}" for path in _walk(f"{folder}/{kind}"))


def _ids(path: str) -> Iterator[str]:
    """All object ids in a file, also the shortened ones of a list of things to do."""
    data = _read(path)
    for oid in dict.fromkeys(_OID.findall(data)):
        if oid.strip(b"0"):
            yield oid.decode()
    for short in dict.fromkeys(_TODO.findall(data)):
        yield f"{short.decode()}^{{commit}}"


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(_MAX_FILE)
    except OSError:
        return b""


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _files(folder: str) -> list[str]:
    return sorted(name for name in _names(folder) if os.path.isfile(f"{folder}/{name}"))


def _walk(folder: str) -> Iterator[str]:
    """Files below a folder, as paths relative to it."""
    for base, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted(files):
            yield os.path.relpath(f"{base}/{name}", folder)
