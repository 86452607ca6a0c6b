"""Decides, from the survey alone, which takes a gc has to make once more before it may evict by proofs.

A content is evicted only if every generator that would bring it back is built in or passed a probe in this gc,
including the generators of inputs that are not in the store. Inputs that stay need none: they are there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from regenstore.objects.ids import Digest
from regenstore.proof.rules import weakness_of
from regenstore.proof.survey import Definition, JudgedContent, Referrer, Survey

if TYPE_CHECKING:
    from regenstore.schemas.printed_store import ProbeRow

BuiltIn = Callable[[str], bool]


@dataclass(frozen=True)
class PlannedProbe:
    """A take to make once more before anything is evicted by its generator's proofs."""

    definition: Definition
    referrer: Referrer
    """The recipe, and the take that it must give."""
    seconds: float
    """Estimated, including inputs that have to be made first."""
    weakness: int
    names: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        return self.names[0] if self.names else self.referrer.digest.short

    def record(self) -> ProbeRow:
        """Return the machine-readable form."""
        from regenstore.schemas.printed_store import ProbeRow

        return ProbeRow(
            generator=self.definition[0],
            version=self.definition[1],
            take=str(self.referrer.digest),
            key=str(self.referrer.key),
            paths=[name.encode(errors="replace").decode() for name in self.names],
            seconds=self.seconds,
        )


class ProbeNeeds:
    """The generators that are not built in by which the contents of a survey would come back."""

    def __init__(self, survey: Survey, built_in: BuiltIn | None) -> None:
        """Without ``built_in``, every generator counts as built in."""
        self._survey = survey
        names = {name for name, _ in survey.environments} if built_in is not None else set()
        self._foreign = {name for name in names if built_in is not None and not built_in(name)}

    def makers(self, digest: Digest) -> list[tuple[JudgedContent, Referrer]]:
        """Return every recipe that would have to run for a content and whose generator is not built in."""
        survey, found = self._survey, []
        if not self._foreign:
            return []
        todo, seen = [digest], {digest}
        while todo:
            current = todo.pop()
            entry = survey.entries.get(current) or survey.gone.get(current)
            if entry is None or entry.finding.rule == "confirmed":
                continue
            for referrer in entry.makers:
                if referrer.generator in self._foreign:
                    found.append((entry, referrer))
                missing = [need for need in referrer.inputs if need not in survey.entries and need not in seen]
                seen.update(missing)
                todo += missing
        return found

    def definitions(self, digest: Digest) -> set[Definition]:
        """Return the definitions that must pass before a content may be evicted."""
        return {(referrer.generator or "", referrer.version) for _, referrer in self.makers(digest)}


@dataclass
class Probing:
    """The probes that a gc can afford. Choose among what :meth:`allows`, then take the probes that the choice needs."""

    needs: ProbeNeeds
    budget: float
    affordable: dict[Definition, PlannedProbe] = field(default_factory=dict)

    @classmethod
    def over(cls, needs: ProbeNeeds, budget: float, digests: Iterable[Digest]) -> Probing:
        """Find the cheapest probe for each generator that these contents depend on, and keep those that fit into the
        budget together, cheapest first. Takes of the strictest tier are preferred: a take that is merely similar does
        not vouch for one that comes back byte for byte."""
        best: dict[Definition, PlannedProbe] = {}
        for digest in digests:
            for entry, referrer in needs.makers(digest):
                probe = _probe(entry, referrer)
                if probe is None:
                    continue
                before = best.get(probe.definition)
                if before is None or _rank(probe) < _rank(before):
                    best[probe.definition] = probe
        found, left = cls(needs, budget), budget
        for probe in sorted(best.values(), key=lambda probe: (probe.seconds, probe.definition)):
            if probe.seconds <= left:
                left -= probe.seconds
                found.affordable[probe.definition] = probe
        return found

    def allows(self, digest: Digest) -> bool:
        """Return whether all probes that a content needs are affordable."""
        return self.needs.definitions(digest) <= self.affordable.keys()

    def chosen(self, digests: Iterable[Digest], names: Mapping[Digest, Sequence[str]]) -> tuple[PlannedProbe, ...]:
        """Return the probes that these contents need."""
        wanted = set().union(*map(self.needs.definitions, digests))
        probes = (self.affordable[definition] for definition in sorted(wanted))
        return tuple(replace(probe, names=tuple(names.get(probe.referrer.digest, ()))) for probe in probes)


def _probe(entry: JudgedContent, referrer: Referrer) -> PlannedProbe | None:
    proof = entry.finding.proof
    if referrer.key is None or referrer.generator is None or proof is None or entry.closure is None:
        return None
    corrected = entry.finding.rule == "corrected"
    weakness = weakness_of(proof, lambda proof: corrected)
    seconds = entry.closure if referrer.key == entry.recipe_key else max(entry.closure, referrer.seconds or 0.0)
    return PlannedProbe((referrer.generator, referrer.version), referrer, seconds, weakness)


def _rank(probe: PlannedProbe) -> tuple[int, float, Digest]:
    return probe.weakness, probe.seconds, probe.referrer.digest
