"""kill -9 at random moments, for every process that takes part. The seed is printed; REGENSTORE_SEED sets it."""

from __future__ import annotations

import sys
import time

import pytest

from tests.conftest import fresh_seed
from tests.git.film import Film
from tests.git.stress import Stress

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="finds processes through /proc")


def run(film: Film, rounds: int, seconds: float) -> None:
    seed = fresh_seed()
    print(f"REGENSTORE_SEED={seed}")
    stress = Stress(film, seed)
    begun = time.monotonic()
    done = 0
    while done < rounds and (time.monotonic() - begun < seconds):
        stress.round()
        done += 1
    film.quiet(later=True)
    film.git("fsck", "--strict")
    print(f"{done} rounds, {stress.kills} kills")
    assert stress.kills


@pytest.mark.heavy
def test_kills_at_random(film: Film) -> None:
    run(film, 12, 30)


@pytest.mark.heavy
@pytest.mark.timeout(1800)
def test_many_kills_at_random(film: Film) -> None:
    run(film, 200, 1500)
