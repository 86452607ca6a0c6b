"""Finds recipes in Git: at a path of the index or of a revision, or by the content they made."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping

from regenstore.errors import NotFound
from regenstore.objects import toml
from regenstore.objects.ids import Digest
from regenstore.objects.recipe import Recipe
from regenstore.objects.scan import scan_take
from regenstore.refs.git import BlobReader, Git

ATTRIBUTE = ":(top,attr:filter=regenstore)"


def read_text(blobs: BlobReader, name: bytes) -> bytes:
    """Return the blob of a name such as ``HEAD:shots/a.mp4``. Raises NotFound."""
    text = blobs.read(name, toml.MAX_BYTES)
    if text is None:
        raise NotFound("no-such-path", f"Git has no file {os.fsdecode(name)!r}")
    return text


class RecipeFinder:
    """Finds the recipe that made a content, nearest place first."""

    def __init__(self, git: Git, blobs: BlobReader, index: Callable[[], Mapping[bytes, bytes]]) -> None:
        self._git = git
        self._blobs = blobs
        self._index = index

    def find(self, digest: Digest, hint: str | None) -> Iterator[Recipe]:
        """Yield the recipes with this take: from the hinted path of the index, anywhere in the index, then history. A
        recipe may be repeated; history is searched lazily."""
        for oid in self._candidates(digest, None if hint is None else os.fsencode(hint)):
            text = self._blobs.read(oid, toml.MAX_BYTES)
            if text is not None and (scan_take(text) or (digest.raw, 0))[0] == digest.raw:
                recipe = toml.decode_or_none(text)
                if recipe is not None and recipe.output.take is not None and recipe.output.take.digest == digest:
                    yield recipe

    def _candidates(self, digest: Digest, hint: bytes | None) -> Iterator[bytes]:
        index = self._index()
        if hint is not None and hint in index:
            yield index[hint].hex().encode()
        for path in self._git.grep_index(str(digest), ATTRIBUTE):
            if path in index:
                yield index[path].hex().encode()
        for oid in self._git.blobs_that_mention(str(digest)):
            yield oid.hex().encode()
