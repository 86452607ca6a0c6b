"""A store on a file system that fails: with an error at one change, full from there on, or with wrong bits.

Tried for changes of some sorts that an operation makes (which ones is chance; the seed is printed), for all with
REGENSTORE_FAULTS=all. Unlike the faults of test_every_step, these reach the database's files and those
that generators write.
"""

from __future__ import annotations

import os
import random
import re
from pathlib import Path

import pytest

from regenstore.objects import toml
from tests.faults import studio as project
from tests.faults.conftest import THOROUGH
from tests.faults.operations import BY_NAME, Operation, again, take_of
from tests.faults.studio import FOLD, Studio
from tests.git.film import A, C

try:
    from tests.faults.faulty import GROWING, shown_at
except (ImportError, OSError) as error:  # mfusepy, or the library that it loads
    pytest.skip(f"FUSE cannot be used here: {error}", allow_module_level=True)

pytestmark = [
    pytest.mark.skipif(not os.access("/dev/fuse", os.W_OK), reason="there is no /dev/fuse"),
    pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root"),
]
CHANGE = re.compile(r"^change (\d+): (\S+) (.*)$", re.MULTILINE)
NAMES = ["add", "new", "get", "verify", "fsck", "rebuild", "gc"]
MANY = 4


class Rig:
    """An operation in a studio whose store is on the failing file system."""

    def __init__(self, template: Path, folder: Path, operation: Operation) -> None:
        self.folder = folder
        self.operation = operation
        self.before = project.copy(template, folder / "before")
        operation.prepare(self.before)

    def run(self, **faults: object) -> tuple[Studio, int, str]:
        """The studio after the operation, its store as the disk has it; the exit code; the log."""
        studio = project.copy(self.folder / "before", self.folder / "now")
        log, mounted = self.folder / "log", self.folder / "mounted"
        with shown_at(studio.store, mounted, log, **faults):
            studio.git("config", "regenstore.store", str(mounted))
            code = studio.answers(*self.operation.command)
            (studio.path / ".git/index.lock").unlink(missing_ok=True)
        studio.git("config", "--unset", "regenstore.store")
        return studio, code, log.read_text()


def sort_of(what: str, path: str) -> tuple[str, str]:
    """Changes of one sort differ in names only."""
    top, _, rest = path.partition("/")
    return what, f"{top}/…" if rest else re.sub(r"[0-9a-f]{6,}|\d+", "…", top)


def chosen(log: str, seed: int, events: set[str] | None) -> list[int]:
    """The numbers of all changes, or of one of every sort; with ``events``, only of these."""
    changes = [
        (int(number), sort_of(what, path))
        for number, what, path in CHANGE.findall(log)
        if events is None or what in events
    ]
    if THOROUGH:
        return [number for number, _ in changes]
    sorts: dict[tuple[str, str], list[int]] = {}
    for number, sort in changes:
        sorts.setdefault(sort, []).append(number)
    chance = random.Random(seed)
    some = [chance.choice(numbers) for numbers in sorts.values()]
    return sorted(chance.sample(some, min(MANY, len(some))))


def fail_everywhere(rig: Rig, log: str, seed: int, **faults: object) -> None:
    numbers = chosen(log, seed, GROWING if faults.get("stays") else None)
    assert numbers, log
    failed = 0
    for number in numbers:
        studio, code, log = rig.run(fail=number, **faults)
        said = studio.said
        last = CHANGE.findall(log)[number - 1] if len(CHANGE.findall(log)) >= number else "nothing"
        print(f"{rig.operation.name}: {faults} at {number}: {last}: {code}", flush=True)
        failed += "failed" in log
        assert "owner and permissions" not in said, said
        assert "hint: " in said or "regenstore: error: " not in said, said
        if code == 0:  # it says that it is done
            rig.operation.done(studio)
        again(rig.operation, rig.before, studio, said, thorough=failed % 8 == 0)
    assert failed


@pytest.mark.heavy
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", NAMES)
def test_an_error_at_any_change_and_full_from_any_on(
    studio_template: Path, tmp_path: Path, seed: int, name: str
) -> None:
    rig = Rig(studio_template, tmp_path, BY_NAME[name])
    studio, _, log = rig.run()
    rig.operation.done(studio)
    fail_everywhere(rig, log, seed, error="EIO")
    fail_everywhere(rig, log, seed, error="ENOSPC", stays=True)


# ------------------------------------------------------------------------------------------- wrong bits


def test_fsck_sees_every_wrong_bit(studio: Studio, tmp_path: Path, seed: int) -> None:
    log = tmp_path / "log"
    before = studio.kept()
    with shown_at(studio.store, tmp_path / "mounted", log, flip="vault/", seed=seed):
        done = studio.run("regenstore", "fsck", "--no-repair", check=False, REGENSTORE_STORE=str(tmp_path / "mounted"))
    told = done.stdout.decode()
    assert done.returncode == 1
    for digest in before:
        assert f"vault/{digest[:2]}/{digest[2:]}: wrong bytes" in told
    assert studio.kept() == before
    studio.regenstore("fsck", "--no-repair")


def test_nothing_is_made_from_wrong_bits(studio: Studio, tmp_path: Path, seed: int) -> None:
    studio.regenstore("drop", FOLD)
    digest = take_of(studio, A)
    studio.lose({take_of(studio, FOLD)})
    before = studio.names()
    flip = f"vault/{digest[:2]}/{digest[2:]}"
    with shown_at(studio.store, tmp_path / "mounted", tmp_path / "log", flip=flip, seed=seed):
        done = studio.run("regenstore", "get", FOLD, check=False, REGENSTORE_STORE=str(tmp_path / "mounted"))
    assert done.returncode == 6
    assert "does not hold the bytes" in done.stderr.decode()
    assert studio.is_recipe(FOLD)
    assert studio.names() == before
    studio.regenstore("get", FOLD)
    assert studio.read(FOLD) == studio.expected[FOLD]


def test_taking_in_does_not_believe_what_it_reads(studio: Studio, tmp_path: Path, seed: int) -> None:
    """The worktree's bytes count, also where the store seems to have others under that digest."""
    data = studio.read(C)
    studio.write(C, data)  # a new date: Git asks the filter again
    with shown_at(studio.store, tmp_path / "mounted", tmp_path / "log", flip="vault/", seed=seed):
        studio.git("add", C, REGENSTORE_STORE=str(tmp_path / "mounted"))
    assert "flip" in (tmp_path / "log").read_text()
    studio.expect_blob(C, data)
    take = toml.decode(studio.blob(C)).output.take
    assert take is not None
    studio.kept()
    assert studio.status() == ""
