"""Media that commits have themselves, because they were added before their paths were tracked."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from regenstore.fs import durable
from regenstore.gitfilter import attributes
from regenstore.objects import toml
from regenstore.objects.lfs_pointer import LARGEST, parse_pointer
from regenstore.objects.recipe import Take
from regenstore.refs.git import Rewriter, Rewritten
from regenstore.tracked.workbench import Workbench

Tell = Callable[[bytes], None]


class RawMedium(NamedTuple):
    """A medium in a commit, instead of a recipe."""

    path: bytes
    oid: str
    size: int


@dataclass(frozen=True)
class RawPlan:
    """What rewriting the history would do."""

    media: tuple[RawMedium, ...]
    """Each once per path."""
    patterns: tuple[str, ...]
    """What the worktree's .gitattributes track; all commits get these patterns."""

    @property
    def bytes(self) -> int:
        return sum({found.oid: found.size for found in self.media}.values())


class RawHistory:
    """The media that the branches and tags of one repository have themselves."""

    def __init__(self, bench: Workbench) -> None:
        self._bench = bench
        self._texts: dict[str, bytes | None] = {}

    def plan(self) -> RawPlan:
        """Look at all branches and tags. Changes nothing. Raises FormatError and StorageError."""
        git = self._bench.git
        listed = dict.fromkeys((path, oid) for oid, path in git.blob_paths("--branches", "--tags") if path)
        tracked = set(git.filtered({path for path, _ in listed}))
        named = [(path, oid.hex()) for path, oid in listed if path in tracked]
        headers = git.object_types(oid for _, oid in named)
        sizes = {oid: header.size for (_, oid), header in zip(named, headers) if header is not None}
        small = [bytes.fromhex(oid) for oid, size in sizes.items() if size <= toml.MAX_BYTES]
        passed = {oid.hex() for oid, text in self._bench.blobs.texts(small, toml.MAX_BYTES) if _passes(text or b"")}
        media = [RawMedium(path, oid, sizes[oid]) for path, oid in named if oid in sizes and oid not in passed]
        text, _ = attributes.read(os.fsdecode(self._bench.location.top))
        return RawPlan(tuple(media), tuple(attributes.tracked_patterns(text)))

    def rewrite(self, plan: RawPlan, rewriter: Rewriter, tell: Tell) -> Rewritten:
        """Store the media, and write all commits of branches and tags again with recipes, and with .gitattributes that
        track the patterns. Nothing refers to these commits yet. Raises StorageError and FormatError."""
        raw = {(found.path, found.oid) for found in plan.media}
        file = os.fsencode(attributes.FILE)

        def convert(path: bytes, oid: str) -> bytes | None:
            if path == file:
                before = self._bench.blobs.read(oid.encode(), toml.MAX_BYTES) or b""
                after, added = attributes.track(before.decode(errors="surrogateescape"), plan.patterns)
                return after.encode(errors="surrogateescape") if added else None
            if (path, oid) not in raw:
                return None
            if oid not in self._texts:
                self._texts[oid] = self._taken(path, oid)
                tell(path)
            return self._texts[oid]

        first = attributes.track("", plan.patterns)[0].encode(errors="surrogateescape")
        return rewriter.rewrite(convert, first_files={file: first})

    def _taken(self, path: bytes, oid: str) -> bytes:
        """Store the medium of a blob; returns its recipe text."""
        bench = self._bench
        bench.store.prepare()
        temp = bench.store.temp_path("history")
        try:
            with durable.storage_errors(temp), open(temp, "xb") as target:
                bench.git.copy_blob(oid, target.fileno())
            with open(temp, "rb") as file:
                digest, size = bench.store.adopt(temp)
                return bench.text_of_stored(path, Take(digest, size), file.fileno())
        finally:
            durable.unlink(temp)


def _passes(text: bytes) -> bool:
    """Whether a text is no medium: a recipe, a conflict, nothing at all, or a pointer of Git LFS."""
    head = text.removeprefix(b"\xef\xbb\xbf")
    known = not text or head.startswith((b"regenstore = ", b"<<<<<<<"))
    return known or (len(text) < LARGEST and parse_pointer(text) is not None)
