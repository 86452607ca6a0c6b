"""Peak memory of git and everything it starts, for one large medium, both ways.

Counted is each process's peak resident memory (VmHWM, so libraries too), summed. Linux only.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator

from benchmarks import trees
from benchmarks.bench import Bench
from benchmarks.measure import Row
from benchmarks.trees import REGENSTORE, Tree

GOAL = 150.0
_EVERY = 0.002


def rows(bench: Bench) -> Iterator[Row]:
    shape = bench.large(1)
    for ground in bench.grounds:
        works = [f"peak memory of git {verb} of {shape}, {ground.name}" for verb in ("add", "checkout")]
        if not os.path.exists("/proc/self/status"):
            yield from (Row(work, "", GOAL, unit="MiB", skipped="there is no /proc") for work in works)
            continue
        with bench.media(ground, "memory", shape) as (folder, media):
            peaks: list[list[float]] = [[], []]
            for number in range(bench.rounds(3)):
                tree = trees.begin(REGENSTORE, f"{folder}/{number}", ground, shape, media)
                tree.git("checkout", "-q", "-b", "media")
                name = shape.names()[0]
                os.makedirs(os.path.dirname(f"{tree.path}/{name}"))
                subprocess.run(["cp", "--reflink=never", f"{media}/{name}", f"{tree.path}/{name}"], check=True)
                peaks[0].append(peak(tree, "git", "add", "."))
                tree.git("commit", "-q", "-m", "media")
                tree.git("checkout", "-q", "empty")
                peaks[1].append(peak(tree, "git", "checkout", "-q", "media"))
                tree.verify()
        for work, values in zip(works, peaks):
            yield Row(work, "", GOAL, values, unit="MiB")


def peak(tree: Tree, *command: str) -> float:
    """MiB: the peak resident memory of each process of a command, summed."""
    highest: dict[int, int] = {}
    with subprocess.Popen(
        command, cwd=tree.path, env=tree.environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        while process.poll() is None:
            for pid in _family(process.pid):
                highest[pid] = max(highest.get(pid, 0), _high_water(pid))
            time.sleep(_EVERY)
        assert process.stderr is not None
        if process.returncode:
            raise RuntimeError(f"{' '.join(command)} failed: {process.stderr.read().decode(errors='replace')}")
    return sum(highest.values()) / 1024


def _family(pid: int) -> list[int]:
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
            children = [int(child) for child in file.read().split()]
    except OSError:
        children = []
    return [pid, *(member for child in children for member in _family(child))]


def _high_water(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
            for line in file:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1])
    except OSError:
        pass
    return 0
