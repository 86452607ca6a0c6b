"""check: finds what must not be in Git at filtered paths, in a tree or a range of commits. Made for CI, where neither
the filter nor a worktree need exist."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from regenstore.errors import FormatError, NotFound
from regenstore.objects import toml
from regenstore.objects.content_store import ContentStore
from regenstore.objects.lfs_pointer import LFS_POINTER, is_lfs_pointer
from regenstore.objects.mismatched_takes import judged
from regenstore.objects.results.cache import ResultCache
from regenstore.refs.git import LINK, SUBMODULE, BlobReader, Git

OUTDATED = "its take was made with other parameters; 'regenstore get', 'regenstore record' and 'git add' renew it"


@dataclass(frozen=True)
class Finding:
    """A problem: ``raw-media``, ``bad-recipe``, ``conflict-markers``, ``outdated-take`` or ``lfs-pointer``. ``commit``
    is empty for the index."""

    commit: str
    path: bytes
    kind: str
    message: str


def check_commits(
    git: Git,
    blobs: BlobReader,
    revisions: Iterable[str],
    cache: ResultCache | None = None,
    store: ContentStore | None = None,
) -> Iterator[Finding]:
    """Check what the commits of a range (any ``git rev-list`` arguments) added or changed. The ``cache`` says which
    parameters gave a take if the recipe itself does not; the ``store`` serves to find imported Git LFS pointers."""
    for commit in git.rev_list(*revisions):
        yield from _check(git, blobs, commit, _changed(git, commit), cache, store)


def check_tree(
    git: Git, blobs: BlobReader, revision: str, cache: ResultCache | None = None, store: ContentStore | None = None
) -> Iterator[Finding]:
    """Check a whole tree."""
    commit = git.commit(revision)
    if commit is None:
        raise NotFound("no-such-revision", f"there is no revision {revision!r}")
    entries = {entry.path: entry.oid for entry in git.ls_tree(commit) if entry.is_file}
    yield from _check(git, blobs, commit, entries, cache, store)


def check_index(
    git: Git,
    blobs: BlobReader,
    entries: Mapping[bytes, bytes],
    cache: ResultCache | None = None,
    store: ContentStore | None = None,
) -> Iterator[Finding]:
    """Check Git's index, given as path -> blob id, already limited to filtered paths."""
    for path, oid in entries.items():
        yield from _blob(blobs, "", path, oid, cache, store)


def _changed(git: Git, commit: str) -> dict[bytes, bytes]:
    """Return what a commit added or changed: path -> blob id. A merge is compared with its first parent."""
    changes = git.diff_tree(commit)
    return {each.path: each.oid for each in changes if each.status in "AMT" and each.mode not in (LINK, SUBMODULE)}


def _check(
    git: Git,
    blobs: BlobReader,
    commit: str,
    entries: Mapping[bytes, bytes],
    cache: ResultCache | None,
    store: ContentStore | None,
) -> Iterator[Finding]:
    for path in _filtered(git, commit, entries):
        yield from _blob(blobs, commit, path, entries[path], cache, store)


def _filtered(git: Git, tree: str, paths: Iterable[bytes]) -> list[bytes]:
    """Return the paths for which the attributes of a tree name our filter."""
    wanted = list(paths)
    if not wanted:
        return []
    with tempfile.TemporaryDirectory(prefix="regenstore-check-") as folder:
        index = os.path.join(folder, "index")
        with_index = Git(git.cwd, give={"GIT_INDEX_FILE": index})
        with_index.read_tree(tree)
        return with_index.filtered(wanted, cached=True)


def _blob(
    blobs: BlobReader, commit: str, path: bytes, oid: bytes, cache: ResultCache | None, store: ContentStore | None
) -> Iterator[Finding]:
    text = blobs.read(oid.hex().encode(), toml.MAX_BYTES)
    if text is None:
        yield Finding(commit, path, "bad-recipe", "the blob cannot be read")
    elif not text:
        return  # an empty file is allowed anywhere
    elif toml.has_conflict_markers(text):
        yield Finding(commit, path, "conflict-markers", "it was committed with conflict markers")
    elif not toml.looks_like_recipe(text):
        size = f"{len(text)} bytes" if len(text) <= toml.MAX_BYTES else f"over {toml.MAX_BYTES} bytes"
        yield Finding(
            commit, path, "raw-media", f"Git holds {size} of the medium itself; 'git add --renormalize' converts it"
        )
    else:
        try:
            recipe = toml.decode(text)
            if toml.encode(recipe) != text:
                yield Finding(
                    commit, path, "bad-recipe", "it is a valid recipe, but not in its one text: 'git add' it again"
                )
            if cache is not None:
                recipe = judged(cache, [recipe])[0]
            if recipe.output.outdated is not None:
                yield Finding(commit, path, "outdated-take", OUTDATED)
            if store is not None and is_lfs_pointer(store, recipe):
                yield Finding(commit, path, "lfs-pointer", LFS_POINTER)
        except FormatError as error:
            if error.kind != "newer-recipe":
                yield Finding(commit, path, "bad-recipe", error.message)
