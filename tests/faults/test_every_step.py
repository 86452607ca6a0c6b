"""Killed before, or failing at, every single change that an operation makes to a file or the database.

One sample of the steps by default; REGENSTORE_FAULTS=all tries every one. The seed is printed.
"""

from __future__ import annotations

import random
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults import studio as project
from tests.faults.conftest import THOROUGH
from tests.faults.operations import BY_NAME, OPERATIONS, Operation, again
from tests.faults.studio import Studio
from tests.fork_server import CRASH

CHANGE = re.compile(r"^change (\d+): (.*)$", re.MULTILINE)
DECISIVE = ("os.rename", "os.link", "sqlite COMMIT")
"""Changes by which something comes into being: kills before them tell most."""
MANY = 3
ERRORS = ("EIO", "ENOSPC")


class Rig:
    """Runs an operation with a fault, each time from the same state."""

    def __init__(self, template: Path, folder: Path, operation: Operation) -> None:
        self.operation = operation
        self.folder = folder
        self.before = folder / "before"
        self.start = project.copy(template, self.before)
        operation.prepare(self.start)

    def run(self, fault: str, count: int) -> tuple[Studio, int, str]:
        """The studio after the operation went wrong; its exit code, and what it said."""
        studio = project.copy(self.before, self.folder / "now")
        crash = [*CRASH, "--deep", *(["--error", fault] if fault else []), str(count)]
        if self.operation.filters:
            process = shlex.join([*crash, "regenstore-filter", "process"])
            studio.git("config", "filter.regenstore.process", process)
            done = studio.run(*self.operation.command, check=False)
            studio.git("config", "--unset", "filter.regenstore.process")
            (studio.path / ".git/index.lock").unlink(missing_ok=True)
        else:
            done = studio.run(*crash, *self.operation.command, check=False)
        return studio, done.returncode, (done.stdout + done.stderr).decode(errors="replace")

    def steps(self) -> dict[int, str]:
        """Every change that the operation makes when nothing goes wrong."""
        studio, code, said = self.run("", 0)
        assert code in (0, 1), said
        self.operation.done(studio)
        found = {int(number): what for number, what in CHANGE.findall(said)}
        assert found, said
        return found


def chosen(steps: dict[int, str], seed: int, few: int, *, decisive: bool) -> Iterator[tuple[int, str]]:
    """Every step, or a sample: of those that decide, and a few others."""
    chance = random.Random(seed)
    certain = [n for n, what in steps.items() if decisive and what.startswith(DECISIVE)]
    others = sorted(steps.keys() - set(certain))
    if not THOROUGH:
        certain = chance.sample(certain, min(MANY, len(certain)))
        others = chance.sample(others, min(few, len(others)))
    for number in sorted([*certain, *others]):
        yield number, steps[number]


def every_step(rig: Rig, steps: dict[int, str], seed: int, fault: str, few: int) -> None:
    tried = 0
    for count, what in chosen(steps, seed, few, decisive=not fault):
        studio, code, said = rig.run(fault, count)
        print(f"{rig.operation.name}: {fault or 'killed'} at {count} ({what}): {code}", flush=True)
        again(rig.operation, rig.start, studio, said, thorough=tried % 4 == 0)
        tried += 1
    assert tried
    print(f"{tried} of {len(steps)} steps tried")


@pytest.mark.heavy
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", [operation.name for operation in OPERATIONS])
def test_killed_before_or_failing_at_every_step(studio_template: Path, tmp_path: Path, seed: int, name: str) -> None:
    rig = Rig(studio_template, tmp_path, BY_NAME[name])
    steps = rig.steps()
    every_step(rig, steps, seed, "", few=1)
    for error in ERRORS if THOROUGH else [ERRORS[seed % len(ERRORS)]]:
        every_step(rig, steps, seed, error, few=2)


@pytest.mark.parametrize("name", ["new", "fsck"])
def test_some_steps(studio_template: Path, tmp_path: Path, seed: int, name: str) -> None:
    rig = Rig(studio_template, tmp_path, BY_NAME[name])
    every_step(rig, rig.steps(), seed, "ENOSPC", few=1)
