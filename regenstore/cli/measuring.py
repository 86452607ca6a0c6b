"""Media measurements for export commands."""

from __future__ import annotations

from regenstore.cli.console import say
from regenstore.export.media_facts import FACES, NO_FACES, Measurements, measures
from regenstore.objects.fact_cache import ContentFacts
from regenstore.repository import Repository


def known_of(repository: Repository, *, measure: bool, all_faces: bool = False) -> Measurements:
    """The kept measurements of the repository's media. With ``measure``, missing ones are computed on demand, and a
    hint is printed if face detection is not installed."""
    able = measures() if measure else {}
    if measure and FACES not in able:
        say(f"hint: {NO_FACES}", err=True)
    return Measurements(ContentFacts(repository.store.root), able, all_faces=all_faces)
