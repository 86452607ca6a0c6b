"""Works in a studio until it is stopped, and tells in a file elsewhere what was acknowledged.

usage: python -m tests.faults.writing STUDIO ACKNOWLEDGED SEED [nosync]

``nosync`` lets regenstore's processes leave out every fsync: the rig has to notice.
"""

from __future__ import annotations

import os
import random
import sys
from itertools import count
from pathlib import Path

from blake3 import blake3

from tests.conftest import hermetic_environment
from tests.faults.studio import Studio
from tests.git.film import words

ROOT = Path(__file__).parents[2]
IMPORTED, MADE = "imported", "made"


def without_fsync(program: str) -> str:
    """A command line for a program that never waits for the disk."""
    return f"env PYTHONPATH='{ROOT}' '{sys.executable}' -m tests.faults.nosync {program}"


class Writer:
    def __init__(self, studio: Studio, log: int, seed: int, *, sync: bool) -> None:
        self.studio = studio
        self.log = log
        self.random = random.Random(seed)
        self.sync = sync
        if not sync:
            studio.git("config", "filter.regenstore.process", without_fsync("regenstore-filter process"))

    def acknowledge(self, kind: str, *contents: bytes) -> None:
        lines = "".join(f"{kind} {blake3(data).hexdigest()}\n" for data in contents)
        os.write(self.log, lines.encode())

    def regenstore(self, *arguments: str) -> None:
        program = "regenstore" if self.sync else without_fsync("regenstore")
        self.studio.run("sh", "-c", f'{program} "$@"', "sh", *arguments)

    def round(self, number: int) -> None:
        studio = self.studio
        many = self.random.choice((3, 3, 40))  # from some on, they are waited for together
        sizes = (900, 30_000, 250_000) if many == 3 else (900, 9_000)
        plates = [self.random.randbytes(self.random.choice(sizes)) for _ in range(many)]
        for at, data in enumerate(plates):
            studio.write(f"plates/{number}-{at}.bin", data)
        studio.git("add", "plates")
        self.acknowledge(IMPORTED, *plates)
        word = f"w{number}"
        path = f"shots/{word}.bin"
        self.regenstore("new", path, "-g", "words", "-p", f"word={word}")
        self.acknowledge(MADE, words(word))
        studio.git("add", path)
        if number % 2:
            studio.git("commit", "-q", "-m", f"round {number}")
        if number % 3 == 0:
            self.regenstore("verify", path)
        if number % 4 == 3:
            self.regenstore("gc", "--free", "1", "--yes")
            self.regenstore("get")


def main() -> None:
    folder = Path(sys.argv[1])
    studio = Studio(folder / "film", hermetic_environment(folder / "home"))
    log = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    writer = Writer(studio, log, int(sys.argv[3]), sync="nosync" not in sys.argv[4:])
    for number in count():
        writer.round(number)


if __name__ == "__main__":
    main()
