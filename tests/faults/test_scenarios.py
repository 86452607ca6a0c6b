"""The situations in which other programs lose generated media: here nothing is lost, and what is said is true.

git-annex's compute remote counts a recipe as a copy: it drops the only copy of what a random program made, or of
what a program made that is gone since. DVC's gc, and then a stage that is not deterministic, rewrites results.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from tests.faults.operations import take_of
from tests.faults.studio import DICE, FOLD, Studio, folded
from tests.git.film import ALPHA, FIRST, MAIN, PLATE, A, B, C, D

pytestmark = pytest.mark.heavy

UPGRADED = '#!/bin/sh\nyes "$2 2.0" | head -c "$3" > "$1"\n'


def prove(studio: Studio) -> None:
    """A second run of everything; the dice fall otherwise."""
    assert studio.run("regenstore", "verify", "--all", check=False).returncode == 1


def free(studio: Studio) -> set[str]:
    """Evict all that may go, at once; gives what went."""
    before = studio.names()
    studio.answers("regenstore", "gc", "--free", "1g", "--yes")
    return before - studio.names()


def why(studio: Studio, name: str) -> Mapping[str, object]:
    told = json.loads(studio.regenstore("why", name, "--json"))
    assert isinstance(told, dict)
    return told


def states(studio: Studio) -> dict[str, str]:
    told = json.loads(studio.regenstore("status", "--json"))
    return {entry["path"]: entry["state"] for entry in told["paths"]}


def uninstall(studio: Studio, program: str) -> None:
    (studio.path / f"tools/{program}.sh").unlink()


def install(studio: Studio, program: str, text: str) -> None:
    studio.write(f"tools/{program}.sh", text).chmod(0o755)
    studio.regenstore("trust", "--yes")


def all_there(studio: Studio) -> None:
    studio.regenstore("get")
    for name, data in studio.expected.items():
        assert studio.read(name) == data, name
    assert studio.status() == ""


# ------------------------------------------------------------------------------------------- a random generator


def test_a_random_generator(studio: Studio) -> None:
    """The recipe is there, the program is there, and the bytes never come back: they are kept."""
    prove(studio)
    assert why(studio, DICE)["rule"] in ("different", "varies")
    gone = free(studio)
    assert take_of(studio, DICE) not in gone and take_of(studio, C) not in gone
    assert {take_of(studio, name) for name in (A, B, D, FOLD)} <= gone
    (studio.path / DICE).unlink()
    studio.git("checkout", "-q", "--", DICE)
    all_there(studio)


def test_gc_and_a_random_generator_again(studio: Studio) -> None:
    """Every take that ever was committed stays what it is, however often the dice are thrown beside it."""
    fallen = [studio.expected[DICE]]
    for _ in range(3):
        studio.run("regenstore", "verify", DICE, check=False)
        free(studio)
        assert studio.run("regenstore", "accept", DICE, check=False).returncode in (0, 2)
        studio.git("commit", "-q", "-a", "--allow-empty", "-m", "another throw")
        fallen.append(studio.read(DICE))
        free(studio)
    assert len(set(fallen)) > 1
    for back, data in enumerate(reversed(fallen)):
        studio.git("checkout", "-q", f"main~{back}")
        assert studio.read(DICE) == data
    studio.obtain()


# ------------------------------------------------------------------------------------------- the program is gone


def test_the_program_is_uninstalled_before_gc(studio: Studio) -> None:
    prove(studio)
    uninstall(studio, "words")
    told = why(studio, A)
    assert told["state"] == "kept" and told["rule"] == "generator"
    gone = free(studio)
    assert not gone & {take_of(studio, name) for name in (A, B, D)}
    studio.git("checkout", "-q", "--", "tools")
    all_there(studio)


def test_the_program_is_uninstalled_after_gc(studio: Studio) -> None:
    """Then the medium cannot be had for now: that is said, the tree is clean, and it comes back with the program."""
    prove(studio)
    studio.regenstore("drop", A, D)
    assert {take_of(studio, A), take_of(studio, D)} <= free(studio)
    uninstall(studio, "words")
    done = studio.run("regenstore", "get", A, D, check=False)
    assert done.returncode in (5, 8), done.stderr.decode()
    assert A in done.stderr.decode() and D in done.stderr.decode()
    assert studio.is_recipe(A) and studio.is_recipe(D)
    assert states(studio)[A] == "recipe"
    assert studio.status() == " D tools/words.sh"
    assert studio.run("regenstore", "fsck", check=False).returncode == 1
    studio.git("checkout", "-q", "--", "tools")
    all_there(studio)


def test_the_program_is_upgraded_before_gc(studio: Studio) -> None:
    """A proof holds for what it was made with, and for nothing else."""
    prove(studio)
    install(studio, "words", UPGRADED)
    told = why(studio, A)
    assert told["state"] == "kept" and told["rule"] == "lapsed"
    assert not free(studio) & {take_of(studio, name) for name in (A, B, D)}
    assert studio.read(A) == MAIN[A]
    assert studio.run("regenstore", "verify", A, check=False).returncode == 1
    assert not free(studio) & {take_of(studio, name) for name in (A, B, D)}


def test_the_program_is_upgraded_after_gc(studio: Studio) -> None:
    """What the new program makes is never passed off as the take; the old program gives it back."""
    prove(studio)
    studio.regenstore("drop", A)
    assert take_of(studio, A) in free(studio)
    install(studio, "words", UPGRADED)
    blob = studio.blob(A)
    done = studio.run("regenstore", "get", A, check=False)
    said = (done.stdout + done.stderr).decode()
    assert "other bytes" in said or "drifted" in said or "differ" in said, said
    assert studio.blob(A) == blob
    assert states(studio)[A] in ("drifted", "recipe")
    studio.git("checkout", "-q", "-f", "HEAD", "--", "tools", A)
    studio.regenstore("trust", "--yes")
    studio.regenstore("drop", A)
    all_there(studio)


# ------------------------------------------------------------------------------------------- an input is lost


def test_an_input_is_lost_and_cannot_come_back(studio: Studio) -> None:
    """Proven as it is: what is made from a lost plate stays."""
    studio.regenstore("new", "shots/proof.bin", "-g", "fold", "-i", f"source={C}")
    studio.commit("made from a plate")
    prove(studio)
    assert why(studio, "shots/proof.bin")["state"] == "evictable"
    studio.lose({take_of(studio, C)})
    told = why(studio, "shots/proof.bin")
    assert told["state"] == "kept" and told["rule"] == "inputs"
    gone = free(studio)
    assert take_of(studio, "shots/proof.bin") not in gone
    studio.regenstore("drop", "shots/proof.bin")
    studio.regenstore("get", "shots/proof.bin")
    assert studio.read("shots/proof.bin") == folded(PLATE[2])


def test_an_input_can_be_made_again_until_its_program_is_gone(studio: Studio) -> None:
    prove(studio)
    studio.lose({take_of(studio, A)})
    assert why(studio, FOLD)["state"] == "evictable"
    uninstall(studio, "words")
    assert why(studio, FOLD)["rule"] == "inputs"
    assert take_of(studio, FOLD) not in free(studio)
    studio.git("checkout", "-q", "--", "tools")
    all_there(studio)


def test_everything_goes_and_comes_back_in_order(studio: Studio) -> None:
    """Input and output are both evicted: the one is made for the other."""
    prove(studio)
    studio.regenstore("drop")
    assert {take_of(studio, A), take_of(studio, FOLD)} <= free(studio)
    studio.regenstore("get", FOLD)
    assert studio.read(FOLD) == studio.expected[FOLD]
    all_there(studio)


# ------------------------------------------------------------------------------------------- an old commit


def test_gc_then_an_old_commit(studio: Studio) -> None:
    """Its media are made again on checkout, to the byte, and the tree is clean."""
    for branch in ("first", "side", "main"):
        studio.git("checkout", "-q", branch)
        studio.run("regenstore", "verify", "--all", check=False)
    gone = free(studio)
    assert {take_of(studio, A, "first"), take_of(studio, B, "side")} <= gone
    studio.git("checkout", "-q", "first")
    studio.settled(FIRST)
    assert studio.read(A) == ALPHA[1]
    studio.git("checkout", "-q", "main")
    all_there(studio)
    studio.obtain()


def test_gc_then_an_old_commit_without_the_database_or_the_branch(studio: Studio) -> None:
    """The producer of an input lives on no branch any more, and the database is lost: the manifest knows it."""
    studio.git("checkout", "-q", "-b", "source", "main")
    studio.regenstore("new", "shots/base.bin", "-g", "words", "-p", "word=base")
    studio.regenstore("new", "shots/made.bin", "-g", "fold", "-i", "source=shots/base.bin")
    studio.commit("base and made")
    prove(studio)
    base, made = take_of(studio, "shots/base.bin"), take_of(studio, "shots/made.bin")
    blob = studio.blob("shots/made.bin")
    assert {base, made} <= free(studio)
    studio.git("checkout", "-q", "main")
    studio.write("shots/made.bin", blob)
    studio.git("add", "shots/made.bin")
    studio.git("commit", "-q", "-m", "made alone")
    studio.git("branch", "-q", "-D", "source")
    studio.git("reflog", "expire", "--expire=now", "--all")
    studio.git("gc", "-q", "--prune=now")
    for path in studio.store.glob("results.sqlite*"):
        path.unlink()
    studio.regenstore("doctor", "--rebuild")
    studio.regenstore("get", "shots/made.bin")
    assert studio.read("shots/made.bin") == folded(b"base\n" * 200)
