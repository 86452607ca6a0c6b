"""A repository's life, by chance: whatever happens in it, no root's bytes are ever out of reach.

A hypothesis state machine over real git and the real programs: media taken in and made, proofs, gc in all its
forms, branches that come and go, reflogs that expire, processes that die between any two changes, the database
lost. The model knows what every recipe's bytes are and how they come back; now and then everything is really
brought back, in a clone with the same store.
"""

from __future__ import annotations

import random
import shlex
import shutil
import tempfile
from pathlib import Path

import pytest
from blake3 import blake3
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from regenstore.objects import toml
from tests.faults import studio as project
from tests.faults.conftest import THOROUGH
from tests.faults.studio import folded
from tests.fork_server import CRASH
from tests.git.film import A, B, C, D, words

NAMES = [A, B, C, D, "shots/e.bin"]
BRANCHES = ["main", "one", "two"]
WORDS = ["yes", "no", "maybe"]
GC = [
    ("gc", "--dry-run"),
    ("gc", "--free", "1m", "--yes"),
    ("gc", "--max-size", "1k", "--yes"),
    ("gc", "--yes"),
    ("gc", "--purge", "--yes"),
]
names = st.sampled_from(NAMES)


class Life(RuleBasedStateMachine):
    template: Path

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="regenstore-life-"))
        self.studio = project.copy(self.template, self.folder)
        self.known: dict[str, bytes] = {}
        """What the deterministic generators were ever asked for: digest -> bytes."""
        for word in WORDS:
            self._knows(words(word))
        for data in self.studio.expected.values():
            self._knows(folded(data))
        for number in (1, 2, 3):
            for word in (f"alpha{number}", f"beta{number}", "delta"):
                self._knows(words(word))
                self._knows(words(word, 2000))
        self.checked = True

    def teardown(self) -> None:
        if hasattr(self, "studio"):
            self.studio.regenstore("status")
            self.studio.kept()
            self.studio.database_is_sound()
            self.studio.obtain()
            shutil.rmtree(self.folder, ignore_errors=True)

    def _knows(self, data: bytes) -> None:
        self.known[blake3(data).hexdigest()] = data

    def _run(self, *command: str) -> int:
        self.checked = False
        return self.studio.answers(*command)

    # -------------------------------------------------------------------------------- media

    @rule(name=names, number=st.integers(0, 3), add=st.booleans())
    def take_in(self, name: str, number: int, add: bool) -> None:
        self.studio.write(name, b"photo %d " % number * 300)
        if add:
            self.studio.git("add", name)
        self.checked = False

    @rule(name=names, word=st.sampled_from(WORDS), add=st.booleans())
    def make(self, name: str, word: str, add: bool) -> None:
        self._run("regenstore", "new", "--force", name, "-g", "words", "-p", f"word={word}")
        if add:
            self._run("git", "add", name)

    @rule(name=names)
    def roll(self, name: str) -> None:
        self._run("regenstore", "new", "--force", name, "-g", "dice", "-p", "face=one")
        self._run("git", "add", name)

    @rule(name=names, source=names)
    def fold(self, name: str, source: str) -> None:
        if name != source and (self.studio.path / source).exists():
            self._run("regenstore", "new", "--force", name, "-g", "fold", "-i", f"source={source}")
            self._run("git", "add", name)
            path = self.studio.path / name
            if path.exists() and not self.studio.is_recipe(name):
                self._knows(path.read_bytes())

    @rule(which=st.sampled_from(["--all", "--changed", A, B]))
    def verify(self, which: str) -> None:
        self._run("regenstore", "verify", which)

    @rule(verb=st.sampled_from(["drop", "get"]))
    def drop_or_get(self, verb: str) -> None:
        self._run("regenstore", verb)

    @rule(name=names)
    def pin(self, name: str) -> None:
        self._run("regenstore", "pin", name)

    # -------------------------------------------------------------------------------- Git

    @rule()
    def commit(self) -> None:
        self._run("git", "commit", "-q", "-a", "--allow-empty", "-m", "more")

    @rule(branch=st.sampled_from(BRANCHES))
    def switch(self, branch: str) -> None:
        exists = self._run("git", "rev-parse", "-q", "--verify", f"refs/heads/{branch}") == 0
        self._run("git", "checkout", "-q", "-f", *([] if exists else ["-b"]), branch)

    @rule(branch=st.sampled_from([*BRANCHES, "side", "clash", "longer"]))
    def delete_branch(self, branch: str) -> None:
        self._run("git", "branch", "-q", "-D", branch)

    @rule()
    def expire(self) -> None:
        self._run("git", "reflog", "expire", "--expire=now", "--all")

    @rule()
    def stash(self) -> None:
        self._run("git", "stash", "-q")

    # -------------------------------------------------------------------------------- gc

    @rule(how=st.sampled_from(GC))
    def collect(self, how: tuple[str, ...]) -> None:
        self._run("regenstore", "verify", "--all")
        self._run("regenstore", *how)

    @rule()
    def collect_unreachable(self) -> None:
        self._run("regenstore", "gc", "--unreachable", "--older-than", "0", "--yes")

    @rule()
    def undo(self) -> None:
        self._run("regenstore", "undo")

    # -------------------------------------------------------------------------------- misfortune

    @rule(
        step=st.integers(1, 45),
        command=st.sampled_from(
            [("get",), ("verify", "--all"), ("new", "--force", A, "-g", "words", "-p", "word=maybe"), ("fsck",), *GC]
        ),
    )
    def die(self, step: int, command: tuple[str, ...]) -> None:
        """A command is killed just before one of its changes."""
        self._run(*CRASH, "--deep", str(step), "regenstore", *command)

    @rule(step=st.integers(1, 30), name=names)
    def die_adding(self, step: int, name: str) -> None:
        studio = self.studio
        crash = shlex.join([*CRASH, "--deep", str(step), "regenstore-filter", "process"])
        studio.write(name, random.Random(step).randbytes(500))
        studio.git("config", "filter.regenstore.process", crash)
        self._run("git", "add", name)
        studio.git("config", "--unset", "filter.regenstore.process")
        (studio.path / ".git/index.lock").unlink(missing_ok=True)

    @rule()
    def lose_database(self) -> None:
        for path in self.studio.store.glob("results.sqlite*"):
            path.unlink()
        self.checked = False

    # -------------------------------------------------------------------------------- the model

    @invariant()
    def nothing_is_out_of_reach(self) -> None:
        """Every take of every root is stored, or a deterministic recipe brings it back from what is."""
        if not hasattr(self, "studio") or self.checked:
            return
        self.checked = True
        stored = self.studio.names()
        for digest, recipe in self.studio.takes().items():
            if digest in stored:
                continue
            assert recipe.generator in ("words", "fold"), f"lost: the bytes of {toml.encode(recipe).decode()}"
            assert digest in self.known, f"lost: {toml.encode(recipe).decode()}"
            for given in recipe.inputs.values():
                reachable = given.digest.hex in stored or given.digest.hex in self.known
                assert reachable, f"lost: an input of {toml.encode(recipe).decode()}"


def live(template: Path, examples: int, steps: int) -> None:
    Life.template = template
    run_state_machine_as_test(
        Life,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=tuple(Phase) if THOROUGH else (Phase.explicit, Phase.reuse, Phase.generate),
        ),
    )


def test_a_short_life(studio_template: Path) -> None:
    live(studio_template, 2, 10)


@pytest.mark.heavy
@pytest.mark.timeout(3600)
def test_long_lives(studio_template: Path) -> None:
    live(studio_template, 200 if THOROUGH else 5, 30)
