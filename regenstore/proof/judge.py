"""Judges contents: which rule decides, the cost of bringing each back, and what is needed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from itertools import chain
from typing import NamedTuple

from regenstore.objects.ids import Digest, RecipeKey
from regenstore.proof import fixpoint
from regenstore.proof.rules import EVICTABLE, Corrected, Fingerprint, Judgement, own_finding
from regenstore.proof.survey import Definition, JudgedContent, Referrer, Standing, StoredContent, Survey
from regenstore.proof.survey_inputs import ProofFacts
from regenstore.refs.pins import name_of

Here = Callable[[str, str], Fingerprint]
_NAMED = "a recipe in Git that cannot be read here, or has other parameters now, names them"


class Way(NamedTuple):
    """One way to bring a content back: the recipe to run, and the inputs that it needs."""

    referrer: Referrer
    inputs: frozenset[Digest]


class Judged(NamedTuple):
    """The rule for a content and the ways to bring it back, best first."""

    finding: Judgement
    ways: tuple[Way, ...]

    @property
    def open(self) -> bool:
        """Whether it may be evicted provided that its inputs are available."""
        return self.finding.state == EVICTABLE and self.finding.rule != "confirmed"

    def by(self, rule: str, detail: str = "") -> Judged:
        """Return the same, decided by another rule."""
        return self._replace(finding=self.finding._replace(rule=rule, detail=detail))


class Judge:
    """Applies the rules to the facts. ``confirmed``: digests that a remote has just confirmed, with their sizes."""

    def __init__(self, facts: ProofFacts, here: Here, corrected: Corrected, confirmed: Mapping[Digest, int]) -> None:
        self._facts = facts
        self._here = here
        self._corrected = corrected
        self._confirmed = confirmed
        self._own: dict[int, Judgement] = {}  # by id() of referrers, which the facts keep alive
        self._environments: dict[Definition, Fingerprint] = {}

    def survey(self) -> Survey:
        """Judge every content of the store."""
        facts = self._facts
        judged = self._judge(facts.stored)
        entries = {digest: self.entry(stored, judged[digest]) for digest, stored in facts.stored.items()}
        gone = {
            digest: self.entry(StoredContent(digest, 0, "", (0, 0)), one)
            for digest, one in judged.items()
            if digest not in facts.stored and one.open
        }
        problems = [f"{name}: it is unknown what it needs, so nothing is evicted" for name in facts.unknown]
        problems += [f"{name}: a partial clone without some of its objects" for name in facts.partial]
        evictable = {digest for digest, entry in entries.items() if entry.evictable}
        absent = {
            digest: known[0].inputs
            for digest, known in facts.referrers.items()
            if digest not in facts.stored and known[0].inputs
        }
        return Survey(
            entries, self._needed(evictable), not problems, tuple(problems), absent, gone, dict(self._environments)
        )

    def entries(self, digests: Iterable[Digest]) -> dict[Digest, JudgedContent]:
        """Judge those of these contents that are in the store."""
        stored = self._facts.stored
        judged = self.findings(digest for digest in digests if digest in stored)
        return {digest: self.entry(stored[digest], found) for digest, found in judged.items()}

    def findings(self, digests: Iterable[Digest]) -> dict[Digest, Judged]:
        """Return the rule for each of these contents, taking all its inputs into account."""
        wanted = list(digests)
        found = self._judge(wanted)
        return {digest: found[digest] for digest in wanted} if len(found) > len(wanted) else found

    def _judge(self, digests: Iterable[Digest]) -> dict[Digest, Judged]:
        """Like :meth:`findings`, including the inputs."""
        found: dict[Digest, Judged] = {}
        todo = list(digests)
        while todo:
            digest = todo.pop()
            if digest not in found:
                found[digest] = judged = self._judged(digest)
                if judged.open:
                    todo += [need for way in judged.ways for need in way.inputs]
        similar = {digest for digest, judged in found.items() if judged.open and not judged.finding.exact}
        for digest in similar & self._facts.stored.keys() & self._used() if similar else ():
            found[digest] = found[digest].by("needed")
        self._keep_unfounded(found, similar)
        return found

    def _keep_unfounded(self, found: dict[Digest, Judged], similar: Set[Digest]) -> None:
        """Keep contents that would not come back if everything evictable were evicted at once."""
        stored = self._facts.stored
        ways: dict[Digest, list[frozenset[Digest]]] = {}
        for digest, judged in found.items():
            if judged.open and (len(judged.ways) > 1 or judged.ways[0].inputs):
                ways[digest] = [way.inputs for way in judged.ways]
        if not ways:
            return
        sure = (
            digest
            for digest, judged in found.items()
            if digest not in ways
            and (digest not in similar if judged.open else digest in stored and judged.finding.rule != "damaged")
        )
        sizes = {d: stored[d].size for d in ways.keys() & stored.keys()}
        solution = fixpoint.solve(sure, ways, sizes, similar & ways.keys())
        for digest in ways:
            if digest not in solution.founded:
                lacking = (
                    need for needs in ways[digest] for need in needs if need not in stored and not found[need].open
                )
                without = solution.kept[digest] if digest in solution.kept else next(lacking, None)
                found[digest] = self._unfounded(found[digest], without, found)
            elif solution.founded[digest]:
                way = found[digest].ways[solution.founded[digest]]
                found[digest] = Judged(self.own(way.referrer), (way,))

    # -------------------------------------------------------------------------------- rules

    def own(self, referrer: Referrer) -> Judgement:
        """Return the rule for one recipe's take, considering that recipe alone."""
        found = self._own.get(id(referrer))
        if found is None:
            found = self._own[id(referrer)] = self._alone(referrer)
        return found

    def _alone(self, referrer: Referrer) -> Judgement:
        facts, key = self._facts, referrer.key
        generator = referrer.generator
        if key is None or generator is None:
            return Judgement("imported")
        return own_finding(
            referrer.digest,
            facts.proofs.get((key, referrer.digest), ()),
            facts.runs.get((key, referrer.output), ()),
            lambda: self._environment(generator, referrer.version),
            self._corrected,
        )

    def _environment(self, generator: str, version: str) -> Fingerprint:
        found = self._environments[generator, version] = self._here(generator, version)
        return found

    def seconds(self, referrer: Referrer) -> float | None:
        """Return the cost of running a recipe here, without its inputs: as its proof measured it, else as recorded."""
        found = self.own(referrer)
        return found.proof.seconds if found.holds and found.proof is not None else self._facts.seconds(referrer)

    def _judged(self, digest: Digest) -> Judged:
        """Return the rule for a content, leaving its inputs aside."""
        judged = self._by_recipes(digest)
        stored = self._facts.stored.get(digest)
        if stored is None:
            return judged
        if self._damaged(digest):
            return judged.by("damaged")
        referrers = self._facts.referrers.get(digest, ())
        if any(map(self._pinned, referrers)):
            return judged.by("pinned")
        confirmed = self._confirmed.get(digest) == stored.size
        if judged.finding.state != EVICTABLE and not confirmed:
            return judged
        if digest in self._facts.held:
            return judged.by("held")
        if self._facts.unknown:
            return judged.by("incomplete", f"{self._facts.unknown[0]}: it is unknown what it needs")
        if confirmed:
            return Judged(Judgement("confirmed"), judged.ways)
        if self._facts.partial and all(r.standing == Standing.DEAD for r in referrers):
            return judged.by("incomplete", f"{self._facts.partial[0]} is a partial clone without some of its objects")
        return judged

    def _by_recipes(self, digest: Digest) -> Judged:
        """Return the rule that a content's recipes imply, and the ways in which they would bring it back."""
        referrers = self._facts.referrers.get(digest, [])
        live = [r for r in referrers if r.standing > Standing.DEAD]
        if live:
            judged = self._by_live(live)
        else:
            able = [r for r in referrers if self.own(r).state == EVICTABLE]
            able.sort(key=lambda r: not self.own(r).exact)
            able = [r for r in able if self.own(r).exact == self.own(able[0]).exact] or referrers[:1]
            if not able:
                return Judged(Judgement("unknown"), ())
            judged = Judged(self.own(able[0]), tuple(Way(r, frozenset(r.inputs)) for r in able))
        if digest in self._facts.mentioned and judged.finding.state == EVICTABLE:
            return judged.by("shared", _NAMED)
        return judged

    def _by_live(self, live: Sequence[Referrer]) -> Judged:
        """Judge by live referrers: every one of them must bring the content back."""
        judged = Judged(self.own(live[0]), (Way(live[0], frozenset(chain.from_iterable(r.inputs for r in live))),))
        for other in live[1:] if judged.finding.state == EVICTABLE else ():
            found = self.own(other)
            if found.state != EVICTABLE:
                name = "imported media" if other.key is None else f"key:{other.key.short}…"
                return judged.by("shared", f"{name}: {found.reason}")
            if not found.exact:
                judged = judged._replace(finding=found)
        return judged

    def _pinned(self, referrer: Referrer) -> bool:
        return bool(self._facts.pins) and name_of(referrer.key, referrer.digest) in self._facts.pins

    def _damaged(self, digest: Digest) -> bool:
        size = self._facts.stored[digest].size
        return any(r.size != size for r in self._facts.referrers.get(digest, ()))

    def _unfounded(self, judged: Judged, blocked: Digest | None, found: Mapping[Digest, Judged]) -> Judged:
        """Keep a content that could be made again if its inputs were available."""
        if blocked is None:
            return judged.by("inputs", "they need each other")
        finding = found[blocked].finding
        reason = "what a second run gave is only like it" if finding.state == EVICTABLE else finding.reason
        return judged._replace(finding=judged.finding._replace(rule="inputs", detail=reason, blocked=blocked))

    # -------------------------------------------------------------------------------- cost and need

    def entry(self, stored: StoredContent, judged: Judged) -> JudgedContent:
        """Return one content of the store with the cost of bringing it back."""
        referrers = tuple(self._facts.referrers.get(stored.digest, ()))
        standing = max((r.standing for r in referrers), default=Standing.DEAD)
        if not judged.ways:
            return JudgedContent(stored, referrers, judged.finding, standing, None, None, None, None)
        first = judged.ways[0].referrer
        own = self.seconds(first)
        whole = all(need in self._facts.stored for need in first.inputs)
        closure = own if whole else self.closure(first)
        return JudgedContent(stored, referrers, judged.finding, standing, own, closure, judged.finding.proof, first.key)

    def closure(self, referrer: Referrer) -> float | None:
        """Return the seconds to run a recipe and everything it needs that is not in the store now."""
        costs: dict[RecipeKey | None, float] = {}
        todo = [referrer]
        while todo:
            current = todo.pop()
            if current.key in costs:
                continue
            seconds = self.seconds(current)
            if seconds is None:
                return None
            costs[current.key] = seconds
            for need in current.inputs:
                if need not in self._facts.stored:
                    ways = self._by_recipes(need).ways
                    if not ways:
                        return None
                    todo.append(ways[0].referrer)
        return sum(costs.values())

    def _used(self) -> set[Digest]:
        """Return the transitive inputs of everything that a root holds, whether present or not."""
        referrers = self._facts.referrers
        live = (d for d, known in referrers.items() if any(r.standing > Standing.DEAD for r in known))
        todo = [*self._facts.inputs, *(need for digest in live for r in referrers[digest] for need in r.inputs)]
        found: set[Digest] = set()
        while todo:
            digest = todo.pop()
            if digest not in found:
                found.add(digest)
                todo += [need for r in referrers.get(digest, ()) for need in r.inputs]
        return found

    def _needed(self, evictable: Set[Digest]) -> frozenset[Digest]:
        """Return everything that roots need, and would need if everything evictable were gone."""
        facts = self._facts
        todo = [*facts.inputs, *facts.mentioned, *facts.held]
        for digest, referrers in facts.referrers.items():
            if any(r.standing > Standing.DEAD or self._pinned(r) for r in referrers):
                todo.append(digest)
        found: set[Digest] = set()
        while todo:
            digest = todo.pop()
            if digest in found:
                continue
            found.add(digest)
            if digest not in facts.stored or digest in evictable:
                todo += [need for r in facts.referrers.get(digest, ()) for need in r.inputs]
        return frozenset(found)
