"""What every subject gets: how many rounds, how large, where, and the trees that several of them use."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from benchmarks import trees
from benchmarks.ground import Ground
from benchmarks.trees import Shape, Tree


@dataclass
class Bench:
    """One run of the benchmarks."""

    quick: bool
    grounds: list[Ground]
    unavailable: dict[str, str] = field(default_factory=dict)
    """Programs and file systems that are not there -> why."""

    def rounds(self, full: int) -> int:
        return 3 if self.quick else full

    @property
    def many(self) -> Shape:
        """Small media: what each file costs. As many in a quick run, so that its ratios mean the same."""
        return Shape(5000, 50_000)

    @property
    def medium(self) -> Shape:
        return Shape(100 if self.quick else 500, 2_000_000)

    def large(self, count: int) -> Shape:
        return Shape(count, (128 << 20) if self.quick else (1 << 30))

    @property
    def plain(self) -> Ground:
        """The folder that was given, whatever its file system."""
        return self.grounds[0]

    @property
    def reflinks(self) -> Ground | None:
        """A file system with reflinks, if there is one."""
        return next((ground for ground in self.grounds if ground.reflinks), None)

    def why_not_lfs(self) -> str:
        return self.unavailable.get("git-lfs", "")

    @contextmanager
    def folder(self, ground: Ground, name: str) -> Iterator[str]:
        """A folder for one subject, removed after it."""
        path = f"{ground.folder}/{name}"
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)

    @contextmanager
    def media(self, ground: Ground, name: str, shape: Shape) -> Iterator[tuple[str, str]]:
        """``(folder, media folder)`` with the media of a shape written."""
        with self.folder(ground, name) as folder:
            trees.write_media(f"{folder}/source", shape)
            yield folder, f"{folder}/source"

    def committed(self, ground: Ground, kind: str, folder: str, shape: Shape) -> Tree:
        """A tree of a kind whose media are committed."""
        return trees.committed(kind, f"{folder}/{kind}", ground, shape, f"{folder}/source")
