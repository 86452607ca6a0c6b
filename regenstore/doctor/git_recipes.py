"""The recipes that Git holds: those of the index and of HEAD, all that are reachable, and where a content
was last recorded. Reads only; blobs that a partial clone has not fetched are passed over."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

from regenstore.objects import toml
from regenstore.objects.ids import Digest
from regenstore.objects.recipe import Recipe
from regenstore.refs.git import BlobReader, Git
from regenstore.refs.recipes import ATTRIBUTE

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


def reachable(git: Git, blobs: BlobReader) -> Iterator[tuple[bytes, Recipe]]:
    """Every recipe blob that any ref, reflog or index leads to, as (object id, recipe), oldest first."""
    listing = git.output(
        "rev-list", "--objects", "--missing=allow-any", "--all", "--reflog", "--indexed-objects"
    )  # fmt: skip
    names = [line.split(b" ", 1)[0] for line in listing.splitlines()]
    asked = b"".join(name + b"\n" for name in dict.fromkeys(reversed(names)))
    answer = git.output("cat-file", "--batch-check=%(objectname) %(objecttype) %(objectsize)", stdin=asked)
    for line in answer.splitlines():
        fields = line.split(b" ")
        if len(fields) != 3 or fields[1] != b"blob" or int(fields[2]) > toml.MAX_BYTES:
            continue
        recipe = toml.decode_or_none(blobs.read(fields[0], toml.MAX_BYTES))
        if recipe is not None:
            yield bytes.fromhex(fields[0].decode("ascii")), recipe


def last_seen(git: Git, digest: Digest) -> tuple[bytes, str] | None:
    """The path whose recipe recorded a content last, anywhere in history, and the commit in words."""
    answer = git.output(
        "log", "--all", "--reflog", "-1", "-z", "--name-only", "--format=commit %h of %cs", f"-S{digest}", check=False
    )  # fmt: skip
    fields = [field.strip(b"\n") for field in answer.split(b"\0") if field.strip(b"\n")]
    return (fields[1], os.fsdecode(fields[0])) if len(fields) > 1 else None
