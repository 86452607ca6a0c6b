"""Corrections for takes whose second run gave other bytes: kept if a third run repeats the second.

The difference is computed first, which is cheap; the third run is made only if the difference is small.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from regenstore.objects.corrections import Correction, encode
from regenstore.objects.corrector import Corrector
from regenstore.objects.ids import Digest
from regenstore.objects.result import Proof
from regenstore.planning import Want
from regenstore.realise import Progress
from regenstore.tracked.workbench import Workbench


@dataclass(frozen=True)
class Correcting:
    """A correction that is kept, or the reason why there is none."""

    size: int = 0
    share: float = 0.0
    """The size as a fraction of the take's."""
    method: str = ""
    reason: str = ""

    @property
    def kept(self) -> bool:
        return not self.reason


def correct(
    bench: Workbench, proofs: Sequence[tuple[Want, Proof]], progress: Progress
) -> Iterator[tuple[Want, Correcting]]:
    """For wants whose second run gave other bytes: keep a correction from those to the take, if there is one and a
    third run gives the same bytes as the second."""
    corrector = Corrector(bench.store)
    found: dict[str, Correction] = {}
    wants: list[Want] = []
    for want, proof in proofs:
        known = corrector.usable(proof.take, proof.second)
        tried = known or corrector.find(proof.key, proof.take, proof.second)
        if known is not None:
            yield want, _told(known)
        elif isinstance(tried, Correction):
            found[want.label] = tried
            wants.append(want)
        else:
            yield want, Correcting(reason=tried)
    for outcome in bench.realiser.run(bench.realiser.plan(wants, again=True), progress):
        third = outcome.content.digest if outcome.content is not None else None
        yield outcome.want, _kept(corrector, found[outcome.want.label], third)


def _kept(corrector: Corrector, correction: Correction, third: Digest | None) -> Correcting:
    if third is None:
        return Correcting(reason="the third run failed")
    if third != correction.base:
        return Correcting(reason="the third run gave other bytes than the second")
    if not corrector.keep(correction):
        return Correcting(reason="the correction that was found did not give the take back")
    return _told(correction)


def _told(correction: Correction) -> Correcting:
    size = len(encode(correction))
    return Correcting(size, size / max(1, correction.take_size), correction.method)
