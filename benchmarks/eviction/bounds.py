"""What no policy can exceed, and what a clairvoyant one does reach.

Time is counted in requests. For an object to be at hand at request t, it has to be held from the last request
that may have made it (one for itself or for something made from it) until t: that takes size x distance of the
capacity x requests there is. Taking the most seconds per size x distance first, fractions included, cannot be
beaten (PFOO-L: Berger, Beckmann, Harchol-Balter 2018). What inputs that are lost cost on top is left out of the
bound, so for traces with inputs it is further away.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from benchmarks.eviction.traces import Trace


def upper_bound(trace: Trace, capacity: int) -> float:
    """At least the seconds that any policy avoids, also one that knows the future."""
    closure = {item: _closure(trace, item) for item in set(trace.requests)}
    last: dict[int, int] = {}
    worth: list[float] = []
    resource: list[float] = []
    for step, item in enumerate(trace.requests):
        if item in last and trace.sizes[item] <= capacity:
            worth.append(trace.seconds[item])
            resource.append(trace.sizes[item] * float(step - last[item]))
        for one in closure[item]:
            last[one] = step
    return _fractional(np.array(worth), np.array(resource), capacity * float(len(trace.requests)))


def _closure(trace: Trace, item: int) -> list[int]:
    seen, todo = {item}, [item]
    while todo:
        fresh = [one for one in trace.inputs[todo.pop()] if one not in seen]
        seen.update(fresh)
        todo += fresh
    return sorted(seen)


def _fractional(worth: np.ndarray, resource: np.ndarray, budget: float) -> float:
    if not worth.size:
        return 0.0
    order = np.argsort(-worth / resource, kind="stable")
    total = np.concatenate([[0.0], np.cumsum(resource[order])])
    fractions = np.clip((budget - total[:-1]) / resource[order], 0.0, 1.0)
    return float((worth[order] * fractions).sum())


def offline_greedy(trace: Trace, capacity: int) -> float:
    """Seconds that a plan made with the whole trace known does avoid; only for traces without inputs.

    Reuses are taken by seconds per size x distance wherever they fit at all times: feasible, so the best
    possible lies between this and the bound.
    """
    times: dict[int, list[int]] = {}
    for step, item in enumerate(trace.requests):
        times.setdefault(item, []).append(step)
    reuses = [
        (trace.seconds[item] / (trace.sizes[item] * (end - begin)), begin, end, item)
        for item, steps in times.items()
        for begin, end in pairwise(steps)
    ]
    room = np.full(len(trace.requests), float(capacity))
    avoided = 0.0
    for _, begin, end, item in sorted(reuses, reverse=True):
        if room[begin:end].min() >= trace.sizes[item]:
            room[begin:end] -= trace.sizes[item]
            avoided += trace.seconds[item]
    return avoided
