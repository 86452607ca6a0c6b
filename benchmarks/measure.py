"""Timed commands, interleaved rounds, and rows with a goal.

Machines are noisy, so contenders take turns within a round and are compared within it: a row's ratio is
the median of the rounds' ratios, not the ratio of two medians.
"""

from __future__ import annotations

import math
import resource
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple


class Sample(NamedTuple):
    """What one timed command took: wall clock, and CPU of it and its children, in seconds."""

    wall: float
    cpu: float


def timed(action: Callable[[], object]) -> Sample:
    """Run something that waits for the processes it starts."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begun = time.perf_counter()
    action()
    wall = time.perf_counter() - begun
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Sample(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def interleave(
    rounds: int, contenders: Mapping[str, Callable[[], Sample]], *, warm_up: int = 1
) -> dict[str, list[Sample]]:
    """Each contender once per round, in an order that rotates; the first rounds only warm caches up."""
    names = list(contenders)
    taken: dict[str, list[Sample]] = {name: [] for name in names}
    for number in range(-warm_up, rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            sample = contenders[name]()
            if number >= 0:
                taken[name].append(sample)
    return taken


@dataclass(frozen=True)
class Row:
    """One measured claim. With a peer the goal bounds the ratio to it, else the value itself."""

    work: str
    against: str
    goal: float
    ours: Sequence[float] = ()
    theirs: Sequence[float] = ()
    unit: str = "s"
    cpu: float | None = None
    """Ratio of CPU times to the peer's: what noise of other processes changes least."""
    note: str = ""
    at_least: bool = False
    """More is better: the goal is a lower bound."""
    skipped: str = ""
    """Why it could not be measured."""

    @classmethod
    def of_samples(
        cls, work: str, against: str, goal: float, ours: Sequence[Sample], theirs: Sequence[Sample], note: str = ""
    ) -> Row:
        used = [mine.cpu / other.cpu for mine, other in zip(ours, theirs) if other.cpu > 0]
        return cls(
            work,
            against,
            goal,
            [sample.wall for sample in ours],
            [sample.wall for sample in theirs],
            cpu=statistics.median(used) if used else None,
            note=note,
        )

    @property
    def ratios(self) -> list[float]:
        return [mine / other for mine, other in zip(self.ours, self.theirs)]

    @property
    def measured(self) -> float:
        """What the goal bounds."""
        return statistics.median(self.ratios if self.theirs else self.ours)

    @property
    def met(self) -> bool | None:
        if self.skipped:
            return None
        return self.measured >= self.goal if self.at_least else self.measured <= self.goal

    def record(self) -> dict[str, Any]:
        """The row as plain data, for ``--json``."""
        fields = {
            name: getattr(self, name)
            for name in ("work", "against", "goal", "at_least", "unit", "cpu", "note", "skipped")
        }
        if self.skipped:
            return fields
        return {
            **fields,
            "ours": list(self.ours),
            "theirs": list(self.theirs),
            "measured": self.measured,
            "met": self.met,
        }


HEAD = "| work | against | ours: median (min-max) | peer: median (min-max) | ratio (min-max) | CPU ratio | goal | met |"


def table(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table."""
    rule = "|" + " --- |" * HEAD.count(" |")
    return "\n".join([HEAD, rule, *map(_line, rows)])


def _line(row: Row) -> str:
    if row.skipped:
        return f"| {row.work} | {row.against} | skipped: {row.skipped} | | | | {_goal(row)} | - |"
    work = f"{row.work} ({row.note})" if row.note else row.work
    ratio = spread(row.ratios, "", "x") if row.theirs else ""
    cpu = "" if row.cpu is None else f"{row.cpu:.2f} x"
    peer = spread(row.theirs, row.unit) if row.theirs else ""
    met = "yes" if row.met else "**no**"
    return (
        f"| {work} | {row.against} | {spread(row.ours, row.unit)} | {peer} | {ratio} | {cpu} | {_goal(row)} | {met} |"
    )


def _goal(row: Row) -> str:
    if math.isinf(row.goal):
        return ""  # it only tells
    # A row without a peer has no peer's name either.
    sign = ">=" if row.at_least else "<="
    return f"{sign} {row.goal:g} {'x' if row.against else row.unit}".strip()


def spread(values: Sequence[float], unit: str, suffix: str = "") -> str:
    """Median and extremes: ``1.25 (1.20-1.31) s``."""
    low, middle, high = min(values), statistics.median(values), max(values)
    shown = f"{middle:.3g}" if low == high else f"{middle:.3g} ({low:.3g}-{high:.3g})"
    return f"{shown} {unit or suffix}".strip()
