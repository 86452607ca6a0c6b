"""What exports know of media, and measure if they are asked to."""

from __future__ import annotations

from regenstore.cli.console import say
from regenstore.export.media_facts import FACES, NO_FACES, Measurements, measures
from regenstore.objects.fact_cache import ContentFacts
from regenstore.repository import Repository


def known_of(repository: Repository, *, measure: bool) -> Measurements:
    """What is kept about media in the repository's store; with ``measure``, what can be measured is, and what
    cannot is said."""
    able = measures() if measure else {}
    if measure and FACES not in able:
        say(f"hint: {NO_FACES}", err=True)
    return Measurements(ContentFacts(repository.store.root), able)
