"""The recipes that Git holds: those of the index and of HEAD, all that are reachable, and where a content
was last recorded. Reads only; blobs that a partial clone has not fetched are passed over."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

from regenstore.objects import toml
from regenstore.objects.ids import Digest
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
    for path in _filtered(git, list(entries)):
        found.setdefault((path, entries[path]), []).append(HEAD)
    return [Seen(path, oid, tuple(dict.fromkeys(places))) for (path, oid), places in sorted(found.items())]


def _filtered(git: Git, paths: list[bytes]) -> list[bytes]:
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


def last_seen(git: Git, digest: Digest) -> tuple[bytes, str] | None:
    """The path whose recipe recorded a content last, anywhere in history, and the commit in words."""
    answer = git.output(
        "log", "--all", "--reflog", "-1", "-z", "--name-only", "--format=commit %h of %cs", f"-S{digest}", check=False
    )  # fmt: skip
    fields = [field.strip(b"\n") for field in answer.split(b"\0") if field.strip(b"\n")]
    return (fields[1], os.fsdecode(fields[0])) if len(fields) > 1 else None
