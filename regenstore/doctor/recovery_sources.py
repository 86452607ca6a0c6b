"""Other places on this machine that may have bytes which the store lacks: its quarantine and temp folder, the
worktrees of all repositories that use it, and the stores of repositories that this one was cloned from. Reads only;
everything found was hashed."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from regenstore.doctor.quarantine import FOLDER as QUARANTINE
from regenstore.objects.content_store import ContentStore
from regenstore.objects.hashing import hash_fd
from regenstore.objects.ids import Digest
from regenstore.refs.git import Git
from regenstore.refs.git import elsewhere as git_of
from regenstore.refs.nearby_stores import nearby_stores
from regenstore.refs.registration import registrations


@dataclass
class Sought:
    """A content to look for. ``size`` is None if unknown; ``near`` are likely paths in a worktree."""

    digest: Digest
    size: int | None
    near: set[bytes] = field(default_factory=set)


def search(store: ContentStore, git: Git, sought: Iterable[Sought]) -> dict[Digest, str]:
    """Find a file with the bytes of each content. Files are read only if their name or size matches, and only once."""
    left = {one.digest: one for one in sought}
    found: dict[Digest, str] = {}
    if not left:
        return found
    common = git.common_dir()
    users = [path for path in (common, *(r.path for r in registrations(store.root))) if path and os.path.isdir(path)]
    for root in set(nearby_stores(git, users)) - {store.root}:
        elsewhere = ContentStore(root)
        for digest in list(left):
            path = elsewhere.stored(digest)
            if path is not None and _hash(path) == digest:
                found[digest] = path
                del left[digest]
    tops = list(dict.fromkeys([*worktrees(git), *(top for path in users for top in worktrees(git_of(path, path)))]))
    for one in list(left.values()):
        for path in (os.path.join(top, os.fsdecode(near)) for near in one.near for top in tops):
            if one.digest in left and one.size in (None, _size(path)) and _hash(path) == one.digest:
                found[one.digest] = path
                del left[one.digest]
    inside = [f"{store.root}/{name}" for name in (QUARANTINE, "tmp")]
    found.update(_by_size((*inside, *tops), left))
    return found


def _by_size(folders: Iterable[str], left: dict[Digest, Sought]) -> Iterator[tuple[Digest, str]]:
    sizes: Mapping[int, list[Digest]] = {}
    sizes = {size: [d for d, s in left.items() if s.size == size] for size in {s.size for s in left.values()} if size}
    for folder in folders:
        for path, size in _files(folder):
            if not sizes:
                return
            if size in sizes and (digest := _hash(path)) in sizes[size]:
                assert digest is not None
                yield digest, path
                sizes[size].remove(digest)
                if not sizes[size]:
                    del sizes[size]


def worktrees(git: Git) -> list[str]:
    """The tops of all worktrees of a repository, the current one first."""
    return list(filter(os.path.isdir, git.worktrees()))


def _files(folder: str) -> Iterator[tuple[str, int]]:
    """Regular files below a folder, without Git's own folders."""
    for base, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name != ".git"]
        for name in files:
            path = os.path.join(base, name)
            size = _size(path)
            if size:
                yield path, size


def _size(path: str) -> int | None:
    try:
        found = os.lstat(path)
    except (OSError, ValueError):
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None


def _hash(path: str) -> Digest | None:
    """The digest of a regular file; None if it cannot be read."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        fd = os.open(path, flags)
    except (OSError, ValueError):
        return None
    try:
        return hash_fd(fd)[0] if stat.S_ISREG(os.fstat(fd).st_mode) else None
    except OSError:
        return None
    finally:
        os.close(fd)
