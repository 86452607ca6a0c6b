"""git checkout of media whose bytes are in the local store."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator

from benchmarks.bench import Bench
from benchmarks.ground import Ground
from benchmarks.measure import Row, Sample, interleave, timed
from benchmarks.trees import LFS, REGENSTORE, Shape


def rows(bench: Bench) -> Iterator[Row]:
    for ground in bench.grounds:
        many, medium = (0.45, 0.08) if ground.reflinks else (0.6, 0.2)
        yield from _against_lfs(bench, ground, bench.many, many, "checkout-many")
        yield from _against_lfs(bench, ground, bench.medium, medium, "checkout-medium")
    if bench.reflinks is None:
        yield Row(
            f"checkout of {bench.many}, reflinks", "git-lfs", 0.45, skipped=bench.unavailable.get("xfs", "no reflinks")
        )
    for ground in bench.grounds:
        yield from _large(bench, ground)


def _against_lfs(bench: Bench, ground: Ground, shape: Shape, goal: float, name: str) -> Iterator[Row]:
    work = f"checkout of {shape}, {ground.name}"
    if bench.why_not_lfs():
        yield Row(work, "git-lfs", goal, skipped=bench.why_not_lfs())
        return
    with bench.media(ground, name, shape) as (folder, _):
        ours = bench.committed(ground, REGENSTORE, folder, shape)
        theirs = bench.committed(ground, LFS, folder, shape)
        taken = interleave(bench.rounds(7), {REGENSTORE: ours.checkout_media, LFS: theirs.checkout_media})
    yield Row.of_samples(work, "git-lfs", goal, taken[REGENSTORE], taken[LFS])


def _large(bench: Bench, ground: Ground) -> Iterator[Row]:
    """Few large media: against git-lfs, and against cp, which does nothing but copy."""
    shape = bench.large(2)
    work = f"checkout of {shape}, {ground.name}"
    with bench.media(ground, "checkout-large", shape) as (folder, media):

        def copy(how: str) -> Sample:
            target = f"{folder}/copy"
            shutil.rmtree(target, ignore_errors=True)
            ground.settle()
            command = ["cp", "-r", f"--reflink={how}", media, target]
            return timed(lambda: subprocess.run(command, check=True))

        ours = bench.committed(ground, REGENSTORE, folder, shape)
        contenders = {
            REGENSTORE: ours.checkout_media,
            "auto": lambda: copy("auto"),
            "never": lambda: copy("never"),
        }
        if not bench.why_not_lfs():
            contenders[LFS] = bench.committed(ground, LFS, folder, shape).checkout_media
        taken = interleave(bench.rounds(5), contenders)
    if LFS in taken:
        yield Row.of_samples(work, "git-lfs", 0.2, taken[REGENSTORE], taken[LFS])
    else:
        yield Row(work, "git-lfs", 0.2, skipped=bench.why_not_lfs())
    for how in ("auto", "never"):
        yield Row.of_samples(work, f"cp --reflink={how}", 1.2, taken[REGENSTORE], taken[how])
