"""Any file of the store damaged in any way: clear answers, never wrong bytes after fsck, and nothing else lost."""

from __future__ import annotations

import os
import random
import re
import sqlite3
from pathlib import Path

import pytest
from blake3 import blake3

from tests.faults import studio as project
from tests.faults.conftest import THOROUGH
from tests.faults.damage import DAMAGES, files_by_kind
from tests.faults.operations import take_of
from tests.faults.studio import DICE, FOLD, Studio
from tests.faults.test_every_step import CHANGE
from tests.fork_server import CRASH
from tests.git.film import MAIN, A, B, C, words

QUESTIONS = [
    ("regenstore", "gc", "--dry-run"),
    ("regenstore", "du"),
    ("regenstore", "status"),
    ("regenstore", "why", A),
    ("regenstore", "takes", DICE),
    ("git", "checkout", "-q", "side"),
    ("git", "checkout", "-q", "main"),
    ("regenstore", "doctor"),
    ("regenstore", "get"),
    ("git", "add", "-A"),
]
CONTENTS = {"vault", "cache", "trash"}
FADED = "shots/faded.bin"


def wear(studio: Studio) -> None:
    """Use a store until it has a file of every kind: proofs, a correction, something evicted and something in the
    trash, a pending recipe, a killed placing."""
    (studio.path / ".git/info/exclude").write_text("more tools/mood\n")
    studio.write("more tools/mood", "1\n")
    studio.regenstore("new", FADED, "-g", "fade", "-p", "word=faded")
    (studio.path.parent / "faded").write_bytes(studio.read(FADED))
    studio.commit("faded")
    studio.write("more tools/mood", "2\n")
    studio.run("regenstore", "verify", A, FOLD, DICE, FADED, check=False)
    studio.git("checkout", "-q", "clash")
    studio.run("regenstore", "verify", "--all", check=False)
    studio.git("checkout", "-q", "main")
    studio.git("branch", "-q", "-D", "clash")
    os.rename(studio.store, studio.path.parent / "store")
    studio.git("config", "regenstore.store", "../store")
    studio.regenstore("gc", "--yes")
    studio.regenstore("set", B, "word=pending")
    studio.regenstore("drop", A)
    listing = studio.run(*CRASH, "0", "regenstore", "get").stderr.decode()
    (step,) = [int(number) for number, what in CHANGE.findall(listing) if re.match(r"os.rename.*moves\.", what)]
    studio.regenstore("drop", A)
    studio.run(*CRASH, str(step + 1), "regenstore", "get", check=False)
    assert list((studio.path / ".git").glob("regenstore-stage-*/moves"))
    with sqlite3.connect(studio.store / "results.sqlite") as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()


@pytest.fixture(scope="module")
def worn(studio_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Studio:
    studio = project.copy(studio_template, tmp_path_factory.mktemp("worn"))
    wear(studio)
    return studio


KINDS = [
    "cache",
    "corrections",
    "evicted",
    "format.json",
    "leases",
    "regenstore-pending",
    "regenstore-stage",
    "repositories",
    "results.sqlite",
    "trash",
    "uses",
    "vault",
]


def allowed(studio: Studio) -> dict[str, set[bytes]]:
    """What each path may hold, besides its recipe."""
    found = {name: {data} for name, data in studio.expected.items()}
    found[FADED] = {(studio.path.parent / "faded").read_bytes()}
    found[B].add(words("pending"))
    return found


def suffer(worn: Studio, folder: Path, kind: str, damage: str, chance: random.Random) -> None:
    studio = project.copy(worn.path.parent, folder)
    target = chance.choice(files_by_kind(studio)[kind])
    print(f"{damage} {target}", flush=True)
    DAMAGES[damage](target, chance)
    hit = target.parent.name + target.name if kind in CONTENTS else ""
    others = worn.names() - {hit}
    for command in QUESTIONS:
        studio.answers(*command)
    code = studio.answers("regenstore", "fsck")
    if code == 6:  # the remedy is to move away what is named: what cannot be read does not count as absent
        assert (kind == "format.json" or damage == "hide") and target.name in studio.said, studio.said
        target.rmdir() if target.is_dir() else target.unlink()
        code = studio.answers("regenstore", "fsck")
    assert code in (0, 1)
    assert others <= studio.names()
    studio.kept()
    studio.database_is_sound()
    lost = {name for name in studio.expected if not studio.files(take_of(studio, name))}
    assert code == 1 or not lost
    # Every path again from the store: right bytes, or the recipe where they are lost.
    studio.answers("regenstore", "drop")
    studio.answers("regenstore", "get")
    for name, data in allowed(studio).items():
        assert studio.read(name) in data or studio.is_recipe(name), f"{name} has wrong bytes"
        if studio.is_recipe(name):
            assert name in lost, f"{name} did not come back"
    assert {take_of(studio, name) for name in lost} <= {hit}
    assert not lost or lost <= {C, DICE}, "what can be made again, was not"


@pytest.mark.heavy
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("kind", KINDS)
def test_every_damage(worn: Studio, tmp_path: Path, seed: int, kind: str) -> None:
    chance = random.Random(f"{seed} {kind}")
    damages = sorted(DAMAGES) if THOROUGH else chance.sample(sorted(DAMAGES), 2)
    for damage in damages:
        suffer(worn, tmp_path / "now", kind, damage, chance)


def test_a_database_from_the_future(studio: Studio) -> None:
    """Every command that needs it says so and leaves it alone; media that are in the store are had all the same."""
    path = studio.store / "results.sqlite"
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 999")
    db.close()
    before = blake3(path.read_bytes()).digest()
    for command in (["why", A], ["takes", A], ["verify", A], ["fsck"], ["doctor", "--rebuild"]):
        done = studio.run("regenstore", *command, check=False)
        assert done.returncode in (1, 7), command
        assert "version 999" in done.stderr.decode(), command
    studio.git("checkout", "-q", "first")
    studio.git("checkout", "-q", "main")
    for name, data in MAIN.items():
        assert studio.read(name) == data
    studio.answers("regenstore", "status")
    studio.answers("regenstore", "get")
    assert blake3(path.read_bytes()).digest() == before
    assert not list(studio.store.glob("results.sqlite.*"))
