"""Which contents to evict: the policy of gc played against traces, beside its peers and what is possible at all.

Nothing is written, generated or measured in time: the same numbers come out on any machine.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from benchmarks.bench import Bench
from benchmarks.eviction.bounds import offline_greedy, upper_bound
from benchmarks.eviction.contenders import CONTENDERS, play, seconds_of_requests
from benchmarks.eviction.traces import TRACES
from benchmarks.measure import Row

_SHARES = (0.01, 0.03, 0.10)
_OURS, _PEER = "regenstore", "LRU"


def rows(bench: Bench) -> Iterator[Row]:
    requests, seeds = (15_000, 1) if bench.quick else (150_000, 3)
    names = [*CONTENDERS, "offline"]
    print(_line(["seconds avoided / bound", *names]), _line(["---"] * (len(names) + 1)), sep="\n", file=sys.stderr)
    for name, draw in TRACES.items():
        traces = [draw(seed, requests) for seed in range(1, seeds + 1)]
        for share in _SHARES:
            reached: dict[str, list[float]] = {contender: [] for contender in names}
            spent: dict[str, list[float]] = {contender: [] for contender in names}
            for trace in traces:
                capacity, asked = int(trace.footprint * share), seconds_of_requests(trace)
                bound = upper_bound(trace, capacity)
                for contender, build in CONTENDERS.items():
                    took = play(trace, build(trace, capacity))
                    spent[contender].append(took)
                    reached[contender].append((asked - took) / bound)
                if not any(trace.inputs):
                    reached["offline"].append(offline_greedy(trace, capacity) / bound)
            work = f"{name}, {share:.0%} of the footprint"
            means = [f"{sum(values) / len(values):.3f}" if values else "" for values in reached.values()]
            print(_line([work, *means]), file=sys.stderr, flush=True)
            ours = reached[_OURS]
            if any(traces[0].inputs):
                yield Row(f"seconds spent: {work}", _PEER, 1, spent[_OURS], spent[_PEER])
            else:
                yield Row(f"seconds avoided / bound: {work}", "", 0.85, ours, unit="", at_least=True)
                goal = 1.5 if share == _SHARES[0] else 1
                yield Row(f"seconds avoided / bound: {work}", _PEER, goal, ours, reached[_PEER], "", at_least=True)


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
