"""git add of new media: hashing them and taking them into the store, durably.

git-lfs leaves them in the page cache, so a slow disk is what the first comparison shows; the second one
makes git-lfs's files durable too, with one ``sync`` at the end.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

from benchmarks import trees
from benchmarks.bench import Bench
from benchmarks.ground import Ground
from benchmarks.measure import Row, Sample, interleave, timed
from benchmarks.trees import LFS, REGENSTORE, Shape, Tree


def rows(bench: Bench) -> Iterator[Row]:
    for ground in bench.grounds:
        yield from _rows(bench, ground, bench.many, 0.9)
        yield from _rows(bench, ground, bench.medium, 0.3 if ground.reflinks else 0.5)
        yield from _rows(bench, ground, bench.large(1), 0.3)


def _rows(bench: Bench, ground: Ground, shape: Shape, goal: float) -> Iterator[Row]:
    work = f"git add of {shape}, {ground.name}"
    if bench.why_not_lfs():
        yield Row(work, "git-lfs", goal, skipped=bench.why_not_lfs())
        return
    with bench.media(ground, "add", shape) as (folder, media):
        adders = {kind: _Adder(kind, folder, ground, shape, media) for kind in (REGENSTORE, LFS)}
        ours, theirs = adders[REGENSTORE], adders[LFS]
        contenders = {
            REGENSTORE: ours.add,
            LFS: theirs.add,
            "sync": lambda: theirs.add(sync=True),
        }
        taken = interleave(bench.rounds(5), contenders)
    yield Row.of_samples(work, "git-lfs", goal, taken[REGENSTORE], taken[LFS])
    yield Row.of_samples(work, "git-lfs, then sync", goal, taken[REGENSTORE], taken["sync"])


class _Adder:
    """Adds the same files to a repository that has never seen them, each time anew."""

    def __init__(self, kind: str, folder: str, ground: Ground, shape: Shape, media: str) -> None:
        self.tree: Tree = trees.begin(kind, f"{folder}/{kind}", ground, shape, media)
        self.fresh = f"{folder}/{kind}.git"
        shutil.copytree(f"{self.tree.path}/.git", self.fresh)
        shutil.copytree(media, self.tree.path, dirs_exist_ok=True)

    def add(self, *, sync: bool = False) -> Sample:
        repository = f"{self.tree.path}/.git"
        shutil.rmtree(repository)
        shutil.copytree(self.fresh, repository)
        self.tree.ground.settle()

        def work() -> None:
            self.tree.git("add", ".")
            if sync:
                self.tree.ground.settle()

        sample = timed(work)
        self._verify()
        return sample

    def _verify(self) -> None:
        """Everything is staged, small, and in the store."""
        staged = self.tree.git("ls-files", "-s").count("\n") - 1
        shape = self.tree.shape
        text = self.tree.git("cat-file", "blob", f":{shape.names()[-1]}")
        store = "regenstore" if self.tree.kind == REGENSTORE else "lfs/objects"
        kept = sum(
            os.path.getsize(os.path.join(folder, name)) == shape.size
            for folder, _, names in os.walk(f"{self.tree.path}/.git/{store}")
            for name in names
        )
        if staged != shape.count or kept != shape.count or len(text) > 500:
            raise RuntimeError(f"{self.tree.kind} staged {staged} and kept {kept} of {shape.count} media")
