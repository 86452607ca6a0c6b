"""The files of a repository that name roots, parsed without Git.

When in doubt, it is a root: any object id in any file left behind by an interrupted operation counts. Git skips what it
cannot read here, mostly in silence: a reflog, a folder of refs, another worktree. So everything is read here first, and
whatever cannot be read raises an error that names it.
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
"""The refs that each worktree, including the main one, has for itself: Git does not list those of other worktrees."""
_OID = re.compile(rb"(?<![0-9a-f])(?:[0-9a-f]{64}|[0-9a-f]{40})(?![0-9a-f])")
_TODO = re.compile(rb"^[a-z]+ (?:-[cC] )?([0-9a-f]{4,39})(?= |$)", re.MULTILINE)  # cherry-pick shortens ids here
_REF = re.compile(rb"(?:ref:\s*\S|[0-9a-f]{40})")
_INDEX = re.compile(r"index\Z|sharedindex\.")
_SHAPE = ("shallow", "info/grafts", "objects/info/alternates")
_LINK = ("gitdir", "commondir")
"""The files that make Git list a folder below ``worktrees/`` as a worktree."""
_AT_ONCE = 16 << 20
_LONGEST = 256
"""The maximum length of an object's name with the word before it, in bytes."""
_LOGGED = 130
"""The part of a reflog's line with its two ids, in bytes."""


class RootFiles:
    """The root files of the repository with this common folder, read anew each time. Raises StorageError
    (``unreadable``), with the path, for what cannot be read; only an absent file names no root."""

    def __init__(self, common: str) -> None:
        self.common = common

    def worktrees(self) -> list[tuple[str, str]]:
        """Return ``(prefix of its refs' names, folder)``: the main worktree, then the linked ones."""
        linked = sorted(presence.names(f"{self.common}/worktrees"))
        return [("", self.common), *((f"worktrees/{n}/", f"{self.common}/worktrees/{n}") for n in linked)]

    def left(self) -> Iterator[tuple[str, str]]:
        """Yield what pseudo refs, interrupted operations and each worktree's own refs name: (name, expression)."""
        for prefix, folder in self.worktrees():
            for path in _left(folder):
                yield from ((prefix + path, oid) for oid in _ids(f"{folder}/{path}"))

    def logged(self) -> Iterator[tuple[str, str]]:
        """Yield what reflogs name: (name, object id)."""
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
        """Return the folders of linked worktrees that Git does not list because they lack their location, and whose
        indexes it therefore ignores."""
        linked = [folder for _, folder in self.worktrees() if folder != self.common]
        return [
            folder
            for folder in linked
            if presence.is_file(f"{folder}/index") and not (presence.read(f"{folder}/gitdir") or b"").strip()
        ]

    def require_refs(self, prefix: str) -> None:
        """Raise an error for refs below a prefix such as ``refs/tags/`` that Git would skip."""
        folder = f"{self.common}/{prefix.rstrip('/')}"
        for path in () if self.reftable else _walk(folder):
            _require_ref(f"{folder}/{path}")

    @property
    def reftable(self) -> bool:
        """Whether refs and reflogs are in reftables, which cannot be read here."""
        return any(presence.is_folder(f"{folder}/reftable") for _, folder in self.worktrees())

    @property
    def partial(self) -> bool:
        """Whether objects may be missing because this is a partial clone."""
        return any(name.endswith(".promisor") for name in presence.names(f"{self.common}/objects/pack"))

    def shape(self) -> bytes:
        """Return a digest of what changes history without changing a root."""
        return self._digest([f"{self.common}/{name}" for name in _SHAPE])

    def stamp(self) -> bytes:
        """Return a digest of everything that is a root, or that changes what roots reach. If it is equal, so is the set
        of live objects; it may change without a reason. Also rejects refs with invalid contents."""
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
        """Hash names, bytes and identities: a file rewritten with the same bytes counts as changed, so that stamps
        taken before and after a walk show whether anything changed in between."""
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
            state = (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
            parts += [os.fsencode(path), b"%d %d %d %d" % state, digest.raw]
        return hash_bytes(b"\0".join(parts)).raw


def _left(folder: str) -> Iterator[str]:
    """Yield the files of a worktree's Git folder that name roots other than HEAD, as relative paths."""
    for name in _files(folder):
        if _PSEUDO.match(name) and name != "HEAD" and not name.endswith("_EDITMSG"):  # those hold people's messages
            yield name
    for kind in (*_STOPPED, *OWN_REFS):
        yield from (f"{kind}/{path}" for path in _walk(f"{folder}/{kind}"))


def _require_ref(path: str) -> None:
    """Reject an invalid ref, such as one that a power cut left empty: Git would skip it, and its reflog."""
    data = presence.read(path)
    name = os.path.basename(path)
    if data is None or name.startswith(".") or name.endswith(".lock"):  # such names are not refs
        return
    if not _REF.match(data):
        raise StorageError(
            "unreadable",
            f"{path} contains neither an object id nor the name of a ref",
            hint="Its reflog below 'logs/' has its last value; 'git update-ref' restores it, 'git fsck' shows more.",
        )


def _ids(path: str) -> Iterator[str]:
    """Yield all object ids in a file, including the abbreviated ones of a todo list."""
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
    """Yield a file's bytes in blocks of whole lines; overlapping blocks for a line without an end. An id cut off at the
    end of a block is complete in the next one."""
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
    """Open a file; None if it does not exist. Raises StorageError (``unreadable``)."""
    try:
        return presence.open_file(path)
    except presence.ABSENT:
        return None
    except presence.NotRegular as error:
        raise StorageError("unreadable", str(error)) from None
    except OSError as error:
        raise presence.unreadable(error, path) from error


def _files(folder: str) -> list[str]:
    """Return the names of regular files that may name roots."""
    names = sorted(presence.names(folder))
    return [name for name in names if _named(name) and presence.is_file(f"{folder}/{name}")]


def _named(name: str) -> bool:
    return bool(_PSEUDO.match(name) or _INDEX.match(name)) or name in _LINK


def _walk(folder: str) -> Iterator[str]:
    """Yield the files below a folder, as paths relative to it."""
    for base, _, files in presence.walk(folder, follow=True):
        for name in files:
            yield os.path.relpath(f"{base}/{name}", folder)
