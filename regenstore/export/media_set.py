"""Which media an export is about, with what is known of each.

A :class:`Medium` names bytes that lie somewhere; they are read, copied or reflinked, never linked to and never
written.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from regenstore.objects.ids import Digest, RecipeKey
from regenstore.objects.recipe import Recipe


@dataclass(frozen=True)
class Medium:
    """One medium of an export, present on this machine."""

    path: str
    """In the worktree, with ``/``; never leaves it."""
    recipe: Recipe
    digest: Digest
    size: int
    media_type: str
    file: str
    """Absolute path of the bytes: in the store. For reading only."""
    key: RecipeKey | None = None
    """None for imported media."""
    proof: str = "unproven"
    """``exact``, ``equivalent``, ``unproven`` or ``imported``."""
    blob: str | None = None
    """Id of the recipe blob in Git, in hex; None where Git has none yet."""
    created: float | None = None
    """When the bytes were made, in seconds since the epoch, as recorded; None where nothing says."""
    revision: str | None = None
    """The commit that it was taken from, in hex; None for the worktree's index."""

    @property
    def name(self) -> str:
        """The file's name."""
        return os.path.basename(self.path)

    @property
    def stem(self) -> str:
        """The file's name without its last ending."""
        return os.path.splitext(self.name)[0]

    @property
    def folder(self) -> str:
        """The folder in the worktree, empty for its top."""
        return os.path.dirname(self.path)
