"""From spawning the filter process to its answer to git's handshake: what every git command pays."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator

from benchmarks import trees
from benchmarks.bench import Bench
from benchmarks.measure import Row, Sample, interleave
from benchmarks.trees import LFS, REGENSTORE, Shape, Tree

_WELCOME = b"0016git-filter-client\n000eversion=2\n0000"
_OFFER = b"0015capability=clean\n0016capability=smudge\n0015capability=delay\n0000"


def rows(bench: Bench) -> Iterator[Row]:
    work, goal = "filter spawn to handshake", 0.5
    if bench.why_not_lfs():
        yield Row(work, "git-lfs", goal, skipped=bench.why_not_lfs())
        return
    ground, shape = bench.plain, Shape(0, 0)
    with bench.folder(ground, "start") as folder:
        contenders: dict[str, Callable[[], Sample]] = {}
        for kind, setting in ((REGENSTORE, "filter.regenstore.process"), (LFS, "filter.lfs.process")):
            tree = trees.begin(kind, f"{folder}/{kind}", ground, shape, folder)
            contenders[kind] = _starter(tree, tree.git("config", setting).strip())
        taken = interleave(15 * bench.rounds(3), contenders, warm_up=3)
    yield Row.of_samples(work, "git-lfs", goal, taken[REGENSTORE], taken[LFS])


def _starter(tree: Tree, command: str) -> Callable[[], Sample]:
    def start() -> Sample:
        begun = time.perf_counter()
        with subprocess.Popen(
            ["sh", "-c", command], cwd=tree.path, env=tree.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as process:
            assert process.stdin is not None and process.stdout is not None
            process.stdin.write(_WELCOME + _OFFER)
            process.stdin.flush()
            lists, answer = 0, b""
            while lists < 2:
                head = process.stdout.read(4)
                if not head:
                    raise RuntimeError(f"{command} ended in the handshake, after {answer!r}")
                answer += process.stdout.read(max(int(head, 16) - 4, 0))
                lists += head == b"0000"
            wall = time.perf_counter() - begun
            process.stdin.close()
        if b"capability=smudge" not in answer or process.returncode:
            raise RuntimeError(f"{command} answered {answer!r} and ended with {process.returncode}")
        return Sample(wall, 0.0)

    return start
