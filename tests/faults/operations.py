"""What is done while something goes wrong: each operation with the state it begins in, and what has to hold
once it was done again."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

from blake3 import blake3

from regenstore.errors import NotFound
from regenstore.objects import toml
from tests.conftest import noise
from tests.faults.studio import DICE, FOLD, OUTTAKE, Studio, folded
from tests.git.film import ALPHA, CLASH, MAIN, SIDE, A, B, C, D, words

PAINTED = noise("painted", 40_000)
NEW = "shots/new.bin"


@dataclass(frozen=True)
class Operation:
    """``prepare`` brings the studio into the state before; ``command`` is a regenstore command, or one of
    git's that starts the filter; ``done`` checks that it was carried out."""

    name: str
    command: tuple[str, ...]
    prepare: Callable[[Studio], None]
    done: Callable[[Studio], None]
    loses: Callable[[Studio], set[str]] = lambda studio: set()
    """The contents that it may remove from the store."""
    already: int = 0
    """The exit code where there is nothing left to do."""

    @property
    def filters(self) -> bool:
        return self.command[0] == "git"


def _nothing(studio: Studio) -> None:
    """Begin with main as it is."""


def again(operation: Operation, before: Studio, studio: Studio, said: str, *, thorough: bool = False) -> None:
    """After a fault nothing is lost and nothing is wrong; and the same command, again, does its work."""
    assert "Traceback" not in said and "Please report it" not in said, said
    may_go = operation.loses(before)
    lost = before.names() - may_go - studio.names()
    assert not lost, f"lost: {lost}"
    if not may_go:
        studio.kept()
    studio.database_is_sound()
    code = studio.answers(*operation.command)
    assert code in (0, 1, operation.already), f"{studio.said}\nafter\n{said}"
    if operation.filters:
        studio.answers("regenstore", "status")  # git alone has no reason to start the filter again
    studio.no_stage()
    operation.done(studio)
    studio.kept()
    studio.database_is_sound()
    if thorough:
        assert studio.run("regenstore", "fsck", "--no-repair").returncode == 0


def take_of(studio: Studio, name: str, revision: str = "") -> str:
    take = toml.decode(studio.blob(name, revision)).output.take
    assert take is not None
    return take.digest.hex


# ------------------------------------------------------------------------------------------- taking in


def _paint(studio: Studio) -> None:
    studio.write(C, PAINTED)
    studio.write(OUTTAKE, PAINTED[:300])


def _painted(studio: Studio) -> None:
    studio.expect_blob(C, PAINTED)
    studio.expect_blob(OUTTAKE, PAINTED[:300])
    for name in (C, OUTTAKE):
        assert studio.files(take_of(studio, name))


def _made_new(studio: Studio) -> None:
    assert studio.read(NEW) == words("new")
    studio.git("add", NEW)
    assert toml.decode(studio.blob(NEW)).generator == "words"
    studio.expect_blob(NEW, words("new"))


# ------------------------------------------------------------------------------------------- bringing back


def _lost_and_dropped(studio: Studio) -> None:
    studio.regenstore("drop")
    studio.lose({take_of(studio, A), take_of(studio, FOLD), take_of(studio, D)})


def _all_there(studio: Studio) -> None:
    for name, data in studio.expected.items():
        assert studio.read(name) == data, name


def _side_lost(studio: Studio) -> None:
    studio.lose({take_of(studio, B, "side")})


def _on_side(studio: Studio) -> None:
    studio.regenstore("get")
    studio.expect(SIDE)


# ------------------------------------------------------------------------------------------- proof


def _verified(studio: Studio) -> None:
    assert "proven" in studio.regenstore("why", A) or "evictable" in studio.regenstore("why", A)
    assert len(studio.regenstore("takes", DICE).splitlines()) >= 2


def _second_dice(studio: Studio) -> None:
    studio.run("regenstore", "verify", DICE, check=False)


def _accepted(studio: Studio) -> None:
    studio.git("add", DICE)
    data = studio.read(DICE)
    assert data.startswith(b"six\n")  # either throw: doing it again takes the other one
    studio.expect_blob(DICE, data)


# ------------------------------------------------------------------------------------------- repair


def _damaged(studio: Studio) -> None:
    studio.regenstore("drop", A)
    for name in (A, C):
        (path,) = studio.files(take_of(studio, name))
        path.chmod(0o644)
        path.write_bytes(b"rotten" + path.read_bytes()[6:])
    studio.lose({take_of(studio, D)})
    (studio.path / D).unlink()


def _rotten(studio: Studio) -> set[str]:
    return {take_of(studio, A), take_of(studio, C)}


def _repaired(studio: Studio) -> None:
    studio.git("checkout", "-q", "--", D)
    studio.regenstore("get")
    _all_there(studio)
    confined = [path for path in (studio.store / "quarantine").iterdir() if path.suffix not in (".txt", ".tmp")]
    assert len(confined) == 2


def _no_database(studio: Studio) -> None:
    for path in studio.store.glob("results.sqlite*"):
        path.unlink()


def _has_database(studio: Studio) -> None:
    assert "2 known" in studio.regenstore("takes", DICE) or studio.regenstore("takes", A)
    assert (studio.store / "results.sqlite").exists()


# ------------------------------------------------------------------------------------------- gc


def _digest(data: bytes) -> str:
    return blake3(data).hexdigest()


MADE_ON_MAIN = {_digest(data) for data in (MAIN[A], MAIN[B], MAIN[D], folded(MAIN[A]))}
OF_CLASH = _digest(ALPHA[3])
"""What only the branch 'clash' has, and words can make again; its plate is imported."""


def _proven(studio: Studio) -> None:
    studio.run("regenstore", "verify", "--all", check=False)


def _freed(studio: Studio) -> None:
    """All that is proven is gone, all else is there, and everything comes back."""
    assert not MADE_ON_MAIN & studio.names()
    assert take_of(studio, DICE) in studio.names() and take_of(studio, C) in studio.names()
    studio.regenstore("drop")
    studio.regenstore("get")
    _all_there(studio)


def _clash_is_gone(studio: Studio) -> None:
    """The branch 'clash' was proven and deleted: reflogs alone know it."""
    studio.git("checkout", "-q", "clash")
    _proven(studio)
    studio.git("checkout", "-q", "main")
    studio.git("branch", "-q", "-D", "clash")


def _trashed(studio: Studio) -> None:
    _clash_is_gone(studio)
    studio.regenstore("gc", "--yes")
    assert [path.parts[-5] for path in studio.files(OF_CLASH)] == ["trash"]


def _untrashed(studio: Studio) -> None:
    assert [path.parts[-3] for path in studio.files(OF_CLASH)] in (["cache"], ["vault"])


def _purged(studio: Studio) -> None:
    assert OF_CLASH not in studio.names()
    assert _digest(CLASH[C]) in studio.names()
    assert not list(studio.store.glob("trash/*/*/*/*"))


def _unreachable(studio: Studio) -> None:
    """Nothing but the store knows of the branch 'clash'."""
    _clash_is_gone(studio)
    studio.git("reflog", "expire", "--expire=now", "--all")
    for name in studio.names():
        for path in studio.files(name):
            os.utime(path, (0, 0))


def _discarded(studio: Studio) -> None:
    """In the trash, and to be had from there."""
    (path,) = studio.files(_digest(CLASH[C]))
    assert "trash" in path.parts
    for name in studio.expected:
        assert studio.files(take_of(studio, name))


GC = [
    Operation("gc", ("regenstore", "gc", "--free", "1g", "--yes"), _proven, _freed, lambda studio: MADE_ON_MAIN),
    Operation("undo", ("regenstore", "undo"), _trashed, _untrashed, already=NotFound.exit_code),
    Operation("purge", ("regenstore", "gc", "--purge", "--yes"), _trashed, _purged, lambda studio: {OF_CLASH}),
    Operation("unreachable", ("regenstore", "gc", "--unreachable", "--yes"), _unreachable, _discarded),
]
OPERATIONS = [
    Operation("add", ("git", "add", "-A"), _paint, _painted),
    Operation("new", ("regenstore", "new", "--force", NEW, "-g", "words", "-p", "word=new"), _nothing, _made_new),
    Operation("get", ("regenstore", "get"), _lost_and_dropped, _all_there),
    Operation("checkout", ("git", "checkout", "-q", "-f", "side"), _side_lost, _on_side),
    Operation("verify", ("regenstore", "verify", A, DICE), _nothing, _verified),
    Operation("accept", ("regenstore", "accept", DICE), _second_dice, _accepted),
    Operation("fsck", ("regenstore", "fsck"), _damaged, _repaired, _rotten),
    Operation("rebuild", ("regenstore", "doctor", "--rebuild"), _no_database, _has_database),
]
OPERATIONS += GC
BY_NAME = {operation.name: operation for operation in OPERATIONS}
assert set(MAIN) <= {A, B, C, D}
