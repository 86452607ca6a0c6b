"""git status after a checkout: as fast as without a filter, because the filter is not asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from benchmarks.bench import Bench
from benchmarks.measure import Row, Sample, interleave
from benchmarks.trees import PLAIN, REGENSTORE, Tree


def rows(bench: Bench) -> Iterator[Row]:
    ground, shape = bench.plain, bench.many
    with bench.media(ground, "status", shape) as (folder, _):
        ours = bench.committed(ground, REGENSTORE, folder, shape)
        plain = bench.committed(ground, PLAIN, folder, shape)

        def first(tree: Tree) -> Sample:
            tree.git("checkout", "-q", "empty")
            tree.git("checkout", "-q", "media")
            return tree.timed_git("status", "--porcelain")

        taken = interleave(bench.rounds(5), {REGENSTORE: lambda: first(ours), PLAIN: lambda: first(plain)})
        ours.git("checkout", "-q", "empty")
        ours.git("checkout", "-q", "media")
        without_filter(ours)
        yield Row.of_samples(
            f"first git status after checkout of {shape}", "no filter", 1.1, taken[REGENSTORE], taken[PLAIN]
        )
        ours.verify()
        taken = interleave(
            10 * bench.rounds(5),
            {kind: _status(tree) for kind, tree in ((REGENSTORE, ours), (PLAIN, plain))},
        )
        yield Row.of_samples(f"git status of {shape}", "no filter", 1.1, taken[REGENSTORE], taken[PLAIN])


def _status(tree: Tree) -> Callable[[], Sample]:
    def run() -> Sample:
        return tree.timed_git("status", "--porcelain")

    return run


def without_filter(tree: Tree) -> None:
    """Raise unless a status right after a checkout is clean and starts no filter."""
    log = f"{tree.path}/.git/trace"
    status = tree.git("status", "--porcelain", GIT_TRACE=log)
    with open(log, encoding="utf-8", errors="replace") as file:
        trace = file.read()
    if status or "regenstore-filter" in trace or "status" not in trace:
        raise RuntimeError(f"git status asked the filter, or was not clean:\n{status[:1000]}{trace[:1000]}")
