"""kill -9 at random moments, for every process that takes part. The seed is printed; REGENSTORE_SEED sets it."""

from __future__ import annotations

import sys

import pytest

from regenstore.fs.boot import boot_id
from regenstore.worktree.fill import JOURNAL
from regenstore.worktree.index_lock import STAGE_PREFIX
from tests.conftest import THOROUGH, fresh_seed
from tests.git.film import MAIN, A, Film
from tests.git.stress import Stress

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="finds processes through /proc")


@pytest.mark.heavy
@pytest.mark.timeout(1800)
def test_kills_at_random(film: Film) -> None:
    seed = fresh_seed()
    print(f"REGENSTORE_SEED={seed}")
    stress = Stress(film, seed)
    for _ in range(200 if THOROUGH else 40):
        stress.round()
    film.quiet(later=True)
    film.git("fsck", "--strict")
    print(f"{stress.kills} kills")
    assert stress.kills


def test_a_file_that_a_killed_process_half_filled_is_what_git_has(film: Film) -> None:
    """Also while git holds the index, so that nobody can finish it: git add, and a stash, see no edit."""
    film.regenstore("drop", A)
    text = film.read(A)
    oid = film.git("rev-parse", f":{A}")
    stage = film.path / f".git/{STAGE_PREFIX}1-12345678"
    stage.mkdir()
    fields = [boot_id(), A.encode(), oid.encode(), text, b"end"]
    (stage / JOURNAL).write_bytes(b"\0".join(fields))
    film.write(A, MAIN[A][:30] + text[30:])
    film.git("add", A)
    assert film.git("rev-parse", f":{A}") == oid
    film.settled(MAIN)
    for torn in (b"", MAIN[A][:600]):
        stage.mkdir()
        (stage / JOURNAL).write_bytes(b"\0".join(fields))
        film.write(A, torn)
        film.git("stash", check=False)
        film.git("add", "-u")
        film.settled(MAIN)
