"""The files of a repository that name roots, and what they say without asking Git.

Whatever is in doubt is a root: any object id in any file that an operation which stopped in the middle left
behind counts. Git passes over what it cannot read here, mostly without a word: a reflog, a folder of refs, another
worktree. So all of it is read here first, and what cannot be read is refused by name.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from regenstore.errors import StorageError
from regenstore.fs import presence
from regenstore.objects.hashing import hash_bytes, hash_fd

_PSEUDO = re.compile(r"[A-Z][A-Z_]*\Z")
_STOPPED = ("rebase-merge", "rebase-apply", "sequencer")
OWN_REFS = ("refs/bisect", "refs/worktree", "refs/rewritten")
"""The refs that each worktree, also the main one, has for itself: from another one Git does not list them."""
_OID = re.compile(rb"(?<![0-9a-f])(?:[0-9a-f]{64}|[0-9a-f]{40})(?![0-9a-f])")
_TODO = re.compile(rb"^[a-z]+ (?:-[cC] )?([0-9a-f]{4,39})(?= |$)", re.MULTILINE)  # cherry-pick shortens ids here
_REF = re.compile(rb"(?:ref:\s*\S|[0-9a-f]{40})")
_INDEX = re.compile(r"index\Z|sharedindex\.")
_SHAPE = ("shallow", "info/grafts", "objects/info/alternates")
_LINK = ("gitdir", "commondir")
"""What makes a folder below ``worktrees/`` a worktree that Git lists."""
_AT_ONCE = 16 << 20
_LONGEST = 256
"""Bytes that a name of an object has at most, with the word before it."""
_LOGGED = 130
"""Of a reflog's line, the part with its two ids."""


class RootFiles:
    """Those of the repository with this common folder, read anew each time. What cannot be read is a StorageError
    (``unreadable``) that names it; only what is not there names no root."""

    def __init__(self, common: str) -> None:
        self.common = common

    def worktrees(self) -> list[tuple[str, str]]:
        """``(what Git puts before its names, its folder)``: the main worktree, then the linked ones."""
        linked = sorted(presence.names(f"{self.common}/worktrees"))
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
                    oid
                    for block in _blocks(f"{folder}/logs/{path}")
                    for line in block.split(b"\n")
                    for oid in _OID.findall(line[:_LOGGED])
                )
                yield from ((f"{prefix}{path} (reflog)", oid.decode()) for oid in ids if oid.strip(b"0"))

    def unlisted(self) -> list[str]:
        """The folders of linked worktrees that Git does not list, as they do not say where they are: it leaves their
        indexes out."""
        linked = [folder for _, folder in self.worktrees() if folder != self.common]
        return [
            folder
            for folder in linked
            if presence.is_file(f"{folder}/index") and not (presence.read(f"{folder}/gitdir") or b"").strip()
        ]

    def require_refs(self, prefix: str) -> None:
        """Refuse what Git would pass over of the refs below a prefix such as ``refs/tags/``."""
        folder = f"{self.common}/{prefix.rstrip('/')}"
        for path in () if self.reftable else _walk(folder):
            _require_ref(f"{folder}/{path}")

    @property
    def reftable(self) -> bool:
        """Whether refs and reflogs are no files that can be read here."""
        return any(presence.is_folder(f"{folder}/reftable") for _, folder in self.worktrees())

    @property
    def partial(self) -> bool:
        """Whether objects may be missing because this is a partial clone."""
        return any(name.endswith(".promisor") for name in presence.names(f"{self.common}/objects/pack"))

    def shape(self) -> bytes:
        """A digest of what changes history without changing a root."""
        return self._digest([f"{self.common}/{name}" for name in _SHAPE])

    def stamp(self) -> bytes:
        """A digest of everything that is a root, or that changes what roots reach. When it is equal, so is all
        that is live; it may differ for no reason. Also refuses a ref that holds nothing a ref can hold."""
        paths = [f"{self.common}/{name}" for name in ("packed-refs", "config", *_SHAPE)]
        refs = [f"{self.common}/refs/{path}" for path in _walk(f"{self.common}/refs")]
        for _, folder in self.worktrees():
            paths += [f"{folder}/{path}" for path in _left(folder)]
            paths += [f"{folder}/{name}" for name in _files(folder) if _INDEX.match(name) or name in _LINK]
            refs += [f"{folder}/HEAD"]
            refs += [f"{folder}/{kind}/{path}" for kind in OWN_REFS for path in _walk(f"{folder}/{kind}")]
            for kind in ("logs", "reftable"):
                paths += [f"{folder}/{kind}/{path}" for path in _walk(f"{folder}/{kind}")]
        for ref in () if self.reftable else dict.fromkeys(refs):  # with reftables these are placeholders
            _require_ref(ref)
        packs = "\0".join(sorted(presence.names(f"{self.common}/objects/pack")))
        return self._digest([*paths, *refs], os.fsencode(packs))

    @staticmethod
    def _digest(paths: list[str], more: bytes = b"") -> bytes:
        """Of names, bytes and identities: a file that was written anew with what it had before counts as
        changed, so that a stamp taken before and after a walk shows whether anything moved meanwhile."""
        parts = [more]
        for path in paths:
            fd = _opened(path)
            if fd is None:
                continue
            try:
                found = os.fstat(fd)
                digest, _ = hash_fd(fd)
            except OSError as error:
                raise presence.unreadable(error, path) from error
            finally:
                os.close(fd)
            told = (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
            parts += [os.fsencode(path), b"%d %d %d %d" % told, digest.raw]
        return hash_bytes(b"\0".join(parts)).raw


def _left(folder: str) -> Iterator[str]:
    """The files of a worktree's Git folder that name roots beside HEAD, as paths relative to it."""
    for name in _files(folder):
        if _PSEUDO.match(name) and name != "HEAD" and not name.endswith("_EDITMSG"):  # those say what people wrote
            yield name
    for kind in (*_STOPPED, *OWN_REFS):
        yield from (f"{kind}/{path}" for path in _walk(f"{folder}/{kind}"))


def _require_ref(path: str) -> None:
    """Refuse a ref that is none, such as one that a power cut left empty: Git would pass over it, and its reflog."""
    data = presence.read(path)
    name = os.path.basename(path)
    if data is None or name.startswith(".") or name.endswith(".lock"):  # the others are no names of refs
        return
    if not _REF.match(data):
        raise StorageError(
            "unreadable",
            f"{path} holds no object id and no name of a ref",
            hint="Its file below 'logs/' tells what it held; 'git update-ref' sets it again, or 'git fsck' tells more.",
        )


def _ids(path: str) -> Iterator[str]:
    """All object ids in a file, also the shortened ones of a list of things to do."""
    full, short = dict[bytes, None](), dict[bytes, None]()
    for block in _blocks(path):
        full.update(dict.fromkeys(_OID.findall(block)))
        short.update(dict.fromkeys(_TODO.findall(block)))
    for oid in full:
        if oid.strip(b"0"):
            yield oid.decode()
    for start in short:
        yield f"{start.decode()}^{{commit}}"


def _blocks(path: str) -> Iterator[bytes]:
    """A file's bytes in whole lines, many at a time; of a line without an end, blocks that overlap. What is cut
    where blocks overlap is read again as a whole in the next one."""
    fd = _opened(path)
    if fd is None:
        return
    try:
        with open(fd, "rb") as file:
            rest = b""
            while piece := file.read(_AT_ONCE):
                data = rest + piece
                end = data.rfind(b"\n") + 1
                yield data[:end] if end else data
                rest = data[end:] if end else data[-_LONGEST:]
            if rest:
                yield rest
    except OSError as error:
        raise presence.unreadable(error, path) from error


def _opened(path: str) -> int | None:
    """A descriptor, or None when nothing is there. Raises StorageError (``unreadable``)."""
    try:
        return presence.open_file(path)
    except presence.ABSENT:
        return None
    except presence.NotRegular as error:
        raise StorageError("unreadable", str(error)) from None
    except OSError as error:
        raise presence.unreadable(error, path) from error


def _files(folder: str) -> list[str]:
    """The names of regular files, and of what cannot be told."""
    names = sorted(presence.names(folder))
    return [name for name in names if _named(name) and presence.is_file(f"{folder}/{name}")]


def _named(name: str) -> bool:
    return bool(_PSEUDO.match(name) or _INDEX.match(name)) or name in _LINK


def _walk(folder: str) -> Iterator[str]:
    """Files below a folder, as paths relative to it."""
    for base, _, files in presence.walk(folder, follow=True):
        for name in files:
            yield os.path.relpath(f"{base}/{name}", folder)
