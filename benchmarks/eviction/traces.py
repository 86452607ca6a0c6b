"""Seeded traces of what artists ask a store for: which objects, when, and how each is held meanwhile.

An object is one content of one of eight classes of media. A trace ends after a number of requests; only what
was asked for counts in its footprint.
"""

from __future__ import annotations

import itertools
import random
from bisect import bisect
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from regenstore.gc.policy import DEAD, SUPERSEDED, TIP, WORKING

_PROJECTS = 40


class Medium(NamedTuple):
    """A class of media: medians of size and of seconds to generate, and its share of all objects."""

    megabytes: float
    seconds: float
    share: float


MEDIA = {
    "thumbnail": Medium(0.06, 0.08, 0.25),
    "image": Medium(1.6, 6, 0.40),
    "upscale": Medium(18, 15, 0.10),
    "audio": Medium(4, 5, 0.07),
    "latents": Medium(180, 8, 0.07),
    "mesh": Medium(30, 120, 0.04),
    "video": Medium(14, 420, 0.065),
    "lora": Medium(150, 3600, 0.005),
}
_SIGMA = 0.7
_MADE_FROM = {
    "thumbnail": ("image",),
    "image": ("lora",),
    "upscale": ("image", "latents"),
    "video": ("upscale", "audio"),
}
"""In a trace with inputs: of which classes an object takes one input each, where its project has one."""
_ORDER = ["lora", "latents", "audio", "mesh", "image", "upscale", "thumbnail", "video"]
"""Inputs before what is made from them."""


@dataclass
class Trace:
    """What was asked for, in order, and what is known of each object."""

    name: str
    requests: list[int] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    """To make it alone, with its inputs at hand."""
    inputs: list[tuple[int, ...]] = field(default_factory=list)
    standings: list[tuple[int, int, int]] = field(default_factory=list)
    """``(before request number, object, standing from then on)``; DEAD until the first."""

    @property
    def footprint(self) -> int:
        """Bytes of all objects that were ever needed."""
        return sum(self.sizes[item] for item in self.needed())

    def needed(self) -> set[int]:
        """The objects asked for, and what they are made from."""
        found, todo = set[int](), list(set(self.requests))
        while todo:
            item = todo.pop()
            if item not in found:
                found.add(item)
                todo += self.inputs[item]
        return found

    def add(self, size: int, seconds: float, inputs: tuple[int, ...] = ()) -> int:
        self.sizes.append(size)
        self.seconds.append(seconds)
        self.inputs.append(inputs)
        return len(self.sizes) - 1


def _drawn(trace: Trace, draw: random.Random, medium: str, inputs: tuple[int, ...] = ()) -> int:
    """A new object of a class: log-normal, a longer or larger one also taking longer."""
    kind = MEDIA[medium]
    scale = draw.lognormvariate(0, _SIGMA)
    size = max(1, int(kind.megabytes * 1e6 * scale))
    return trace.add(size, kind.seconds * scale**0.5 * draw.lognormvariate(0, _SIGMA), inputs)


def _medium(draw: random.Random) -> str:
    return draw.choices(list(MEDIA), [kind.share for kind in MEDIA.values()])[0]


class _Zipf:
    """Draws ranks from 0 with weights 1 / (rank + 1) ** alpha."""

    def __init__(self, count: int, alpha: float) -> None:
        self._sums = list(itertools.accumulate((rank + 1) ** -alpha for rank in range(count)))

    def draw(self, draw: random.Random) -> int:
        return bisect(self._sums, draw.random() * self._sums[-1])


def zipf(seed: int, requests: int) -> Trace:
    """A static popularity: every object's chance is always the same."""
    draw = random.Random(seed)
    trace = Trace("zipf")
    objects = requests * 2 // 5
    for _ in range(objects):
        trace.standings.append((0, _drawn(trace, draw, _medium(draw)), TIP))
    ranks = _Zipf(objects, 0.8)
    trace.requests = [ranks.draw(draw) for _ in range(requests)]
    return trace


@dataclass
class _Slot:
    """A path of a project, and the version that its branch has."""

    medium: str
    now: int


class _Studio:
    """Forty projects: checkouts, iterations with one to eight variants, scans of old tags."""

    def __init__(self, trace: Trace, seed: int, requests: int, *, drift: bool, made_from: bool) -> None:
        self.trace, self.draw, self.limit = trace, random.Random(seed), requests
        self.drift, self.made_from = drift, made_from
        self.ranks = _Zipf(_PROJECTS, 0.9)
        self.order = list(range(_PROJECTS))
        self.slots_per_project = max(12, min(60, requests // 2500))
        self.projects: list[list[_Slot]] = [[] for _ in range(_PROJECTS)]
        self.tags: list[list[list[int]]] = [[] for _ in range(_PROJECTS)]
        self.checked_out: list[int] = []
        self.holders = {standing: Counter[int]() for standing in (SUPERSEDED, TIP, WORKING)}
        self.known = Counter[int]()
        for project in range(_PROJECTS):
            media = ["lora", *(_medium(self.draw) for _ in range(self.slots_per_project - 1))]
            for medium in sorted(media, key=_ORDER.index):
                self.projects[project].append(slot := _Slot(medium, self.new(project, medium)))
                self.hold(slot.now, TIP)
            self.draw.shuffle(self.projects[project])

    def run(self) -> Trace:
        while len(self.trace.requests) < self.limit:
            project = self.order[self.ranks.draw(self.draw)]
            what = self.draw.random()
            if what < 0.20:
                self.check_out(project)
            elif what < 0.985 or not self.tags[project]:
                self.iterate(project)
            else:
                self.scan(project)
            if self.drift and self.draw.random() < 0.05:
                one, other = self.draw.randrange(_PROJECTS), self.draw.randrange(_PROJECTS)
                self.order[one], self.order[other] = self.order[other], self.order[one]
        del self.trace.requests[self.limit :]
        return self.trace

    def ask(self, item: int) -> None:
        self.trace.requests.append(item)

    def new(self, project: int, medium: str) -> int:
        inputs: list[int] = []
        for kind in _MADE_FROM.get(medium, ()) if self.made_from else ():
            there = [slot.now for slot in self.projects[project] if slot.medium == kind]
            inputs += [self.draw.choice(there)] if there else []
        return _drawn(self.trace, self.draw, medium, tuple(inputs))

    def check_out(self, project: int) -> None:
        """A folder of the project, or all of it, becomes the worktree."""
        slots = self.projects[project]
        self.work_on(project)
        many = len(slots) if self.draw.random() < 0.3 else len(slots) // 3
        begin = self.draw.randrange(len(slots) - many + 1)
        for slot in slots[begin : begin + many]:
            self.ask(slot.now)

    def iterate(self, project: int) -> None:
        """Variants of one path; one is picked, looked at, and committed over what was there."""
        draw = self.draw
        self.work_on(project)
        # The first paths are worked on most; a model is trained far less often than it is used.
        slot = self.projects[project][min(draw.randrange(self.slots_per_project) for _ in range(2))]
        if slot.medium == "lora" and draw.random() < 0.8:
            return
        if draw.random() < 0.05:  # what another project has already: shared, not made
            other = draw.choice(self.projects[draw.randrange(_PROJECTS)])
            variants = [other.now] if other.medium == slot.medium else []
        else:
            variants = [self.new(project, slot.medium) for _ in range(draw.randrange(1, 9))]
        if not variants:
            return
        for variant in variants:
            self.hold(variant, WORKING)  # pending until one is picked
            self.ask(variant)
        for variant in variants:
            if draw.random() < 0.22:
                self.ask(variant)
        if draw.random() < 0.3:
            self.ask(slot.now)
        picked = draw.choice(variants)
        for _ in range(draw.randrange(1, 4)):
            self.ask(picked)
        self.hold(slot.now, WORKING, -1)
        self.hold(slot.now, TIP, -1)
        self.hold(slot.now, SUPERSEDED)
        slot.now = picked
        self.hold(picked, TIP)
        self.hold(picked, WORKING)
        for variant in variants:
            self.hold(variant, WORKING, -1)
        if draw.random() < 1 / 40:
            self.tags[project].append([one.now for one in self.projects[project]])
            for item in self.tags[project][-1]:
                self.hold(item, TIP)

    def scan(self, project: int) -> None:
        """Someone goes through an old tag."""
        for item in self.draw.choice(self.tags[project]):
            self.ask(item)

    def work_on(self, project: int) -> None:
        """Three worktrees exist at a time; what they have is the working set."""
        if project in self.checked_out:
            return
        self.checked_out.append(project)
        for slot in self.projects[project]:
            self.hold(slot.now, WORKING)
        if len(self.checked_out) > 3:
            for slot in self.projects[self.checked_out.pop(0)]:
                self.hold(slot.now, WORKING, -1)

    def hold(self, item: int, standing: int, count: int = 1) -> None:
        """One referrer more or less; a content stands as high as the highest of all its referrers."""
        self.holders[standing][item] += count
        highest = next((one for one in (WORKING, TIP, SUPERSEDED) if self.holders[one][item] > 0), DEAD)
        if highest != self.known[item]:
            self.known[item] = highest
            self.trace.standings.append((len(self.trace.requests), item, highest))


def session(seed: int, requests: int) -> Trace:
    """The studio, with projects of a fixed popularity."""
    return _Studio(Trace("session"), seed, requests, drift=False, made_from=False).run()


def churn(seed: int, requests: int) -> Trace:
    """The studio, with projects that come into fashion and go out of it."""
    return _Studio(Trace("churn"), seed, requests, drift=True, made_from=False).run()


def lineage(seed: int, requests: int) -> Trace:
    """The studio, with media made from others: a lost input has to be made again first."""
    return _Studio(Trace("lineage"), seed, requests, drift=True, made_from=True).run()


TRACES: dict[str, Callable[[int, int], Trace]] = {"session": session, "churn": churn, "zipf": zipf, "lineage": lineage}
