"""Objects by id from libgit2, in this process: faster than git for many, slower to start. Only this module imports
pygit2, and only when it is chosen.

libgit2 does not do everything that git does. It is not used in repositories that need more, and whatever it cannot read
is requested from git: libgit2 never decides that something is missing or damaged.
"""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Sequence

from regenstore.errors import RegenstoreError
from regenstore.fs import presence
from regenstore.refs.git.cat_file import CatFile
from regenstore.refs.git.history import History

_BLOB = 3
_KINDS = {1: "commit", 2: "tree", 3: "blob", 4: "tag"}
_ID = re.compile(rb"[0-9a-f]{40}\Z")
_LONGEST, _OVERHEAD = 64, 4096
"""The maximum length of an object's header, and what compression may add to a small object, in bytes."""
_ELSEWHERE = ("GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_REPLACE_REF_BASE", "GIT_GRAFT_FILE")
_BEYOND = r"^(extensions\.(partialclone|objectformat)|remote\..*\.promisor)$"


class Linked:
    """Reads from object folders; ``git`` serves whatever is not found there.

    libgit2 reads packs only. Loose objects are read here: libgit2 1.9 never returns from a truncated one.
    """

    def __init__(self, folders: Sequence[str], git: CatFile) -> None:
        import pygit2

        self._git = git
        self._folders = folders
        self._shards = frozenset(shard for folder in folders for shard in presence.names(folder))
        self._odb = pygit2.Odb()
        for folder in folders:
            self._odb.add_backend(pygit2.OdbBackendPack(folder), 1)
        self._look = self._odb.read_header
        self._oid = pygit2.Oid
        self._failures = (KeyError, ValueError, OSError, pygit2.GitError)

    def contents(self, names: Sequence[bytes], limit: int) -> list[bytes | None]:
        """Return the bytes of blobs, at most ``limit + 1`` of each; None for anything else or unreadable."""
        found: list[bytes | None] = [None if told is None else told[1] for told in self._all(names, limit)]
        left = [name for name, data in zip(names, found) if data is None]
        rest = iter(self._git.contents(left, limit) if left else ())
        return [next(rest) if data is None else data for data in found]

    def texts(self, names: Sequence[bytes], limit: int) -> list[tuple[str, bytes | None]]:
        """Return kind and bytes; raises like :meth:`CatFile.texts`."""
        found = self._all(names, limit)
        left = [name for name, told in zip(names, found) if told is None]
        rest = iter(self._git.texts(left, limit) if left else ())
        return [next(rest) if told is None else told for told in found]

    def _all(self, names: Sequence[bytes], limit: int) -> list[tuple[str, bytes | None] | None]:
        return [self._one(name.decode(), limit) if _ID.match(name) else None for name in names]

    def _one(self, name: str, limit: int) -> tuple[str, bytes | None] | None:
        """Return kind and bytes, no bytes for objects above the limit or not blobs; None if git must serve it."""
        if name[:2] in self._shards and (loose := self._loose(name, limit)) is not None:
            return loose
        try:
            oid = self._oid(hex=name)
            kind, size = self._look(oid)
            if kind != _BLOB or size > limit:
                return _KINDS[kind], None
            return "blob", self._odb.read(oid)[1]
        except self._failures:
            return None

    def _loose(self, name: str, limit: int) -> tuple[str, bytes | None] | None:
        """Read a loose object: gitformat-loose(5). None if there is none, or it is not fully valid."""
        for folder in self._folders:
            stream = zlib.decompressobj()
            try:
                with open(f"{folder}/{name[:2]}/{name[2:]}", "rb", buffering=0) as file:
                    told = stream.decompress(file.read(limit + _OVERHEAD), limit + _LONGEST)
            except (OSError, zlib.error):
                continue
            first, _, data = told.partition(b"\x00")
            kind, _, size = first.decode(errors="replace").partition(" ")
            if kind not in _KINDS.values() or not size.isdigit():
                continue
            if kind != "blob" or int(size) > limit:
                return kind, None
            if stream.eof and len(data) == int(size):
                return kind, data
        return None


def version() -> str:
    """Return the version of libgit2. Raises ImportError if it is not installed."""
    import pygit2

    return f"libgit2 {pygit2.LIBGIT2_VERSION}"


def open_linked(git: History, cat_file: CatFile) -> Linked | str:
    """Open a repository with libgit2, or return why it is not used there. On any failure, git serves instead."""
    try:
        objects = git.objects_folder()
        if objects is None:
            return "git does not say where its objects are"
        alternates = [os.fsdecode(line) for line in (presence.read(f"{objects}/info/alternates") or b"").splitlines()]
        return _why_not(git, alternates) or Linked([objects, *alternates], cat_file)
    except ImportError as error:
        return f"pygit2 cannot be imported ({error})"
    except Exception as error:  # a library that parses untrusted data may raise anything
        return error.message if isinstance(error, RegenstoreError) else f"libgit2: {error}"


def _why_not(git: History, alternates: Sequence[str]) -> str:
    """Return what makes libgit2 unsuitable for a repository; empty if nothing does."""
    told = git.config(_BEYOND)
    if told.get("extensions.objectformat", "sha1") != "sha1":
        return "the repository has SHA-256 ids"
    if "extensions.partialclone" in told or any(name.endswith(".promisor") for name in told):
        return "it is a partial clone"
    if set_here := git.given(_ELSEWHERE):
        return f"{', '.join(set_here)} is set"
    if git.for_each_ref("refs/replace/"):
        return "it has replacements (git replace)"
    if presence.read(git.git_path("info/grafts"), 1):
        return "it has grafts"
    for folder in alternates:
        if not folder.startswith("/") or presence.lstat(f"{folder}/info/alternates") is not None:
            return "its alternates are given by relative paths or have alternates of their own"
    return ""
