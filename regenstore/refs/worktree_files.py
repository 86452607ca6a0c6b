"""Git's view of the files below a folder of the worktree, for hashing: tracked or not, media or not."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence

from regenstore.objects import toml
from regenstore.refs.git import SUBMODULE, BlobReader, Git


class WorktreeFiles:
    """Queries Git each time. Paths are relative to the worktree's top."""

    def __init__(self, git: Git) -> None:
        self._git = git

    def tracked(self, folder: str) -> Sequence[str]:
        """Return every tracked file below a folder, sorted; '' is the top. Empty if Git fails."""
        return sorted({path for path, _ in self._staged([_folder(folder)])})

    def untracked(self, folder: str) -> Sequence[str]:
        """Return the files that are neither tracked nor ignored."""
        return sorted(map(os.fsdecode, self._git.ls_untracked(_folder(folder), check=False)))

    def media(self, paths: Iterable[str]) -> Mapping[str, bool]:
        """Return the paths that Git stores, or will store, as recipes, and whether a generator made each."""
        media = [os.fsdecode(path) for path in self._git.filtered(map(os.fsencode, paths), check=False)]
        if not media:
            return {}
        oids = dict(self._staged([f":(top,literal){path}" for path in media]))
        asked = [path for path in media if path in oids]
        with BlobReader(self._git) as blobs:
            texts = dict(zip(asked, blobs.read_many((oids[path].encode() for path in asked), toml.MAX_BYTES)))
        return {path: _made(texts.get(path)) for path in media}

    def _staged(self, specs: Sequence[str]) -> Iterable[tuple[str, str]]:
        for entry in self._git.ls_entries(*specs, check=False):
            if entry.mode != SUBMODULE:
                yield os.fsdecode(entry.path), entry.oid.hex()


def _folder(folder: str) -> str:
    return f":(top,literal){folder}" if folder else ":(top)"


def _made(text: bytes | None) -> bool:
    recipe = None if text is None else toml.decode_or_none(text)
    return recipe is not None and not recipe.imported
