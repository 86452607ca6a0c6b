"""Pointers of Git LFS that were taken for media: the medium itself is on an LFS server."""

from __future__ import annotations

from regenstore.errors import StorageError
from regenstore.fs import presence
from regenstore.objects.content_store import ContentStore
from regenstore.objects.recipe import Recipe

LFS_POINTER = "it is a pointer of Git LFS, not a medium; 'git lfs pull' in the original repository brings the medium"
_BEGIN = b"version https://git-lfs.github.com/spec/"
_LARGEST = 1024  # as Git LFS has it


def is_lfs_pointer(store: ContentStore, recipe: Recipe) -> bool:
    """Whether an imported medium is a pointer of Git LFS; False where the store cannot tell."""
    take = recipe.output.take
    if not recipe.imported or take is None or take.size >= _LARGEST:
        return False
    try:
        path = store.stored(take.digest, take.size)
        return path is not None and presence.read(path, len(_BEGIN)) == _BEGIN
    except StorageError:
        return False
