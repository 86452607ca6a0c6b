"""Pointers of Git LFS, the texts that it keeps in Git instead of files."""

from __future__ import annotations

import re
from typing import NamedTuple

from regenstore.errors import StorageError
from regenstore.fs import presence
from regenstore.objects.content_store import ContentStore
from regenstore.objects.recipe import Recipe

LFS_POINTER = "it is a pointer of Git LFS, not a medium; 'git lfs pull' in the original repository brings the medium"
_BEGIN = b"version https://git-lfs.github.com/spec/"
LARGEST = 1024
"""A pointer is shorter, by the definition of Git LFS."""
_LINE = re.compile(rb"([a-z0-9.-]+) (.*)")


class LfsPointer(NamedTuple):
    """What a pointer tells of its file."""

    sha256: str
    size: int


def parse_pointer(text: bytes) -> LfsPointer | None:
    """Parse a pointer (git-lfs's docs/spec.md); None for any other text, and for one that needs an LFS extension."""
    if len(text) >= LARGEST or not text.startswith(_BEGIN):
        return None
    lines = (_LINE.fullmatch(line) for line in text.splitlines())
    fields = {found[1]: found[2] for found in lines if found is not None}
    oid = re.fullmatch(rb"sha256:([0-9a-f]{64})", fields.get(b"oid", b""))
    size = re.fullmatch(rb"[0-9]{1,18}", fields.get(b"size", b""))
    if oid is None or size is None or any(name.startswith(b"ext-") for name in fields):
        return None
    return LfsPointer(oid[1].decode(), int(size[0]))


def is_lfs_pointer(store: ContentStore, recipe: Recipe) -> bool:
    """Whether an imported medium is a pointer of Git LFS; False where the store cannot tell."""
    take = recipe.output.take
    if not recipe.imported or take is None or take.size >= LARGEST:
        return False
    try:
        path = store.stored(take.digest, take.size)
        return path is not None and presence.read(path, len(_BEGIN)) == _BEGIN
    except StorageError:
        return False
