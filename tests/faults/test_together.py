"""Eight processes at once on one store, in two clones with a worktree each: nothing is lost, nobody waits for ever."""

from __future__ import annotations

import os
import random
import threading
import time

import pytest
from blake3 import blake3

from regenstore.objects import toml
from tests.faults.studio import EXIT_CODES, Studio
from tests.git.film import words

WORDS = [f"w{n}" for n in range(12)]


class Worker(threading.Thread):
    """Drives one worktree with one command after the other."""

    def __init__(self, studio: Studio, seed: int, until: float, *, collects: bool) -> None:
        super().__init__()
        self.studio = studio
        self.random = random.Random(seed)
        self.until = until
        self.collects = collects
        self.accepted: set[str] = set()
        self.done: dict[str, int] = {}
        self.failure = ""

    def run(self) -> None:
        try:
            while time.monotonic() < self.until and not self.failure:
                self.step()
        except AssertionError as error:
            self.failure = str(error)

    def step(self) -> None:
        action = self.random.choice([self.add, self.make, self.get, self.switch, self.verify, self.lose])
        if self.collects and self.random.random() < 0.5:
            action = self.collect
        action()
        self.done[action.__name__] = self.done.get(action.__name__, 0) + 1

    def command(self, *command: str) -> int:
        done = self.studio.run(*command, check=False)
        said = (done.stdout + done.stderr).decode(errors="replace")
        assert "Traceback" not in said and "Please report it" not in said, f"{command}\n{said}"
        fine = EXIT_CODES if command[0] == "regenstore" else {0}
        assert done.returncode in fine, f"{command} gave {done.returncode}\n{said}"
        assert "is locked" not in said, said
        return done.returncode

    # -------------------------------------------------------------------------------- actions

    def add(self) -> None:
        data = self.random.choice([self.random.randbytes(5_000), b"the same for all" * 100, words("w0")])
        name = f"plates/{self.random.randrange(5)}.bin"
        self.studio.write(name, data)
        self.command("git", "add", name)
        self.keep()

    def make(self) -> None:
        word = self.random.choice(WORDS)
        path = f"shots/{word}.bin"
        code = self.command("regenstore", "new", "--force", path, "-g", "words", "-p", f"word={word}")
        if code == 0:  # what it made can be lost before it is placed
            self.command("git", "add", path)

    def get(self) -> None:
        self.command("regenstore", "drop")
        self.command("regenstore", "get")

    def switch(self) -> None:
        self.command("git", "commit", "-q", "--allow-empty", "-a", "-m", "more")
        self.command("git", "checkout", "-q", "--detach", "HEAD~1")

    def verify(self) -> None:
        tracked = sorted(self.studio.tracked())
        self.command("regenstore", "verify", self.random.choice(tracked))

    def lose(self) -> None:
        """A medium that words can make again goes missing."""
        digest = blake3(words(self.random.choice(WORDS[1:]))).hexdigest()
        for tree in ("cache", "vault"):
            (self.studio.store / tree / digest[:2] / digest[2:]).unlink(missing_ok=True)

    def collect(self) -> None:
        self.command("regenstore", "gc", *self.random.choice([("--free", "1m"), (), ("--purge",)]), "--yes")

    def keep(self) -> None:
        for name in self.studio.tracked():
            take = toml.decode(self.studio.blob(name)).output.take
            if take is not None and toml.decode(self.studio.blob(name)).imported:
                self.accepted.add(take.digest.hex)


def together(studio: Studio, seed: int, seconds: float) -> None:
    home = studio.path.parent
    shared = home / "store"
    os.rename(studio.store, shared)
    studio.git("config", "regenstore.store", str(shared))
    studio.git("clone", "-q", "-c", f"regenstore.store={shared}", str(studio.path), str(home / "second"))
    places = [studio.path, home / "second"]
    for number, place in enumerate(list(places)):
        for more in range(3):
            where = home / f"tree{number}{more}"
            studio.at(place).git("worktree", "add", "-q", "--detach", str(where), "HEAD")
            places.append(where)
    until = time.monotonic() + seconds
    workers = [
        Worker(studio.at(place), seed + number, until, collects=number % 4 == 3) for number, place in enumerate(places)
    ]
    assert len(workers) == 8
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    print([worker.done for worker in workers])
    for worker in workers:
        assert not worker.failure, worker.failure
    kept = studio.kept()
    assert set.union(*(worker.accepted for worker in workers)) <= kept.keys()
    studio.database_is_sound()
    for place in places:
        worktree = studio.at(place)
        worktree.no_stage()
        worktree.regenstore("get")
        for name in worktree.tracked():
            worktree.expect_blob(name, worktree.read(name))
    for place in places[:2]:
        studio.at(place).obtain()


@pytest.mark.heavy
@pytest.mark.timeout(900)
def test_eight_at_once(studio: Studio, seed: int) -> None:
    together(studio, seed, float(os.environ.get("REGENSTORE_BUSY") or 12))
