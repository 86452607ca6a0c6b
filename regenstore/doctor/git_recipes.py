"""Recipes in Git: those of the index and HEAD, and all that are reachable. Reads only; blobs that a partial clone
has not fetched are skipped."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from regenstore.objects import toml
from regenstore.objects.recipe import Recipe
from regenstore.refs.blobs import read_texts
from regenstore.refs.git import Git
from regenstore.refs.recipes import ATTRIBUTE
from regenstore.refs.roots import Roots

INDEX, HEAD = "Git's index", "HEAD"


@dataclass(frozen=True)
class Seen:
    """A blob at a filtered path, with all its locations."""

    path: bytes
    oid: bytes
    places: tuple[str, ...]


def current(git: Git) -> list[Seen]:
    """The blobs at filtered paths in Git's index (for paths in conflict, every side) and in HEAD's tree."""
    found: dict[tuple[bytes, bytes], list[str]] = {}
    for entry in git.ls_entries(ATTRIBUTE):
        if entry.is_file:
            found.setdefault((entry.path, entry.oid), []).append(INDEX)
    entries = {entry.path: entry.oid for entry in git.ls_tree("HEAD", check=False) if entry.is_file}
    for path in git.filtered(entries):
        found.setdefault((path, entries[path]), []).append(HEAD)
    return [Seen(path, oid, tuple(dict.fromkeys(places))) for (path, oid), places in sorted(found.items())]


def reachable(roots: Roots) -> Iterator[tuple[bytes, Recipe]]:
    """Every recipe blob that any root reaches, as (object id, recipe), oldest first."""
    for oid, text in read_texts(roots.git, roots.oldest_first()):
        recipe = toml.decode_or_none(text)
        if recipe is not None:
            yield oid, recipe
