"""What the filter imports: little to start, and no more than a request needs."""

from __future__ import annotations

import subprocess
import sys

from tests.git.film import FIRST, MAIN, A, Film

HEAVY = {"click", "pydantic", "numpy", "PIL", "av", "rich", "tomllib", "sqlite3", "pygit2"}


def imported(listing: str) -> set[str]:
    """The modules that ``-X importtime`` tells of."""
    lines = [line for line in listing.splitlines() if line.startswith("import time:")]
    return {line.rsplit("|", 1)[1].strip() for line in lines}


def test_the_entry_point_itself_imports_the_standard_library_only() -> None:
    code = (
        "import sys; before = set(sys.modules); import regenstore.cli.filter_entry; print(*set(sys.modules) - before)"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout.split()
    assert "regenstore.cli.filter_entry" in loaded
    assert not HEAVY & set(loaded)
    assert not {"blake3", "re"} & set(loaded)
    assert {name for name in loaded if name.startswith("regenstore")} == {
        "regenstore",
        "regenstore.cli",
        "regenstore.cli.filter_entry",
    }


def test_placing_what_the_store_has_parses_no_recipe(film: Film) -> None:
    program = f"'{sys.executable}' -X importtime '{sys.prefix}/bin/regenstore-filter' process"
    film.git("config", "filter.regenstore.process", program)
    said = film.run("git", "checkout", "-q", "first").stderr.decode()
    loaded = imported(said)
    assert "regenstore.worktree.place" in loaded
    assert not HEAVY & loaded
    film.git("config", "--unset", "filter.regenstore.process")
    film.settled(FIRST)


def test_cleaning_a_known_take_parses_no_recipe(film: Film) -> None:
    program = f"'{sys.executable}' -X importtime '{sys.prefix}/bin/regenstore-filter' process"
    film.git("config", "filter.regenstore.process", program)
    film.write(A, MAIN[A])
    said = film.run("git", "status", "--porcelain").stderr.decode()
    loaded = imported(said)
    assert "regenstore.gitfilter.clean" in loaded
    assert not HEAVY & loaded
