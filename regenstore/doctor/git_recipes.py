"""The recipes that Git holds: those of the index and of HEAD, and all that are reachable. Reads only; blobs that
a partial clone has not fetched are passed over."""

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
    """A blob at a filtered path, and every place that has it there."""

    path: bytes
    oid: bytes
    places: tuple[str, ...]


def current(git: Git) -> list[Seen]:
    """The blobs at filtered paths in Git's index (of a path in conflict, every side) and in HEAD's tree."""
    found: dict[tuple[bytes, bytes], list[str]] = {}
    listing = git.output("ls-files", "-s", "-z", "--full-name", "--", ATTRIBUTE)
    for line in filter(None, listing.split(b"\0")):
        head, _, path = line.partition(b"\t")
        mode, oid, _stage = head.split(b" ")
        if mode.startswith(b"100"):
            found.setdefault((path, oid), []).append(INDEX)
    tree = git.run("ls-tree", "-r", "-z", "--full-tree", "HEAD", check=False).stdout
    entries = {}
    for line in filter(None, tree.split(b"\0")):
        head, _, path = line.partition(b"\t")
        mode, _kind, oid = head.split(b" ")
        if mode.startswith(b"100"):
            entries[path] = oid
    for path in filtered(git, list(entries)):
        found.setdefault((path, entries[path]), []).append(HEAD)
    return [Seen(path, oid, tuple(dict.fromkeys(places))) for (path, oid), places in sorted(found.items())]


def filtered(git: Git, paths: list[bytes]) -> list[bytes]:
    """Those paths for which the attributes here name our filter."""
    if not paths:
        return []
    answer = git.output("check-attr", "-z", "--stdin", "filter", stdin=b"".join(path + b"\0" for path in paths))
    fields = answer.split(b"\0")
    return [path for path, value in zip(fields[::3], fields[2::3]) if value == b"regenstore"]


def reachable(roots: Roots) -> Iterator[tuple[bytes, Recipe]]:
    """Every recipe blob that any root reaches, as (object id, recipe), oldest first."""
    for oid, text in read_texts(roots.git, roots.oldest_first()):
        recipe = toml.decode_or_none(text)
        if recipe is not None:
            yield oid, recipe
