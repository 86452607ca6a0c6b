"""Kills git, the filter or a generator at random moments, and asks whether anything was lost."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from pathlib import Path

from blake3 import blake3

from regenstore.objects import toml
from tests.git.film import WORLDS, A, B, C, Film

SLOW_PROGRAM = '#!/bin/sh\nsleep 0.04\nyes "$2" | head -c "$3" > "$1"\n'
BRANCHES = ("main", "side", "clash", "longer")
ACTIONS = ("add", "commit", "switch", "reset", "stash", "make", "get", "drop")
LASTS = {"make": 0.6, "get": 0.35, "drop": 0.35}
"""Seconds that actions take where nothing kills them, about."""
VICTIMS = ("git", "filter", "generator", "all")


class Stress:
    """One repository under fire. Every content that Git ever accepted must stay, whatever is killed."""

    def __init__(self, film: Film, seed: int) -> None:
        self.film = film
        self.random = random.Random(seed)
        self.count = 0
        self.kills = 0
        self.versions: dict[str, set[bytes]] = {}
        """Per path the digests of all that ever lay there."""
        self.accepted: set[bytes] = set()
        for world in WORLDS.values():
            for name, data in world.items():
                self.versions.setdefault(name, set()).add(blake3(data).digest())
        for branch in ("first", *BRANCHES):
            self._accept(branch)
        film.write("tools/words.sh", SLOW_PROGRAM)
        film.regenstore("trust", "--yes")
        film.git("stash", "push", "-q", "tools")  # the slow program comes back for every round
        film.git("stash", "drop", "-q")
        (film.path / ".git/info/attributes").write_text("tools/words.sh -diff\n")

    # -------------------------------------------------------------------------------- a round

    def round(self) -> None:
        """One action, killed; then every check."""
        action = self.random.choice(ACTIONS)
        victim = self.random.choice(VICTIMS if action == "make" else ("git", "filter", "all"))
        delay = self.random.random() * LASTS.get(action, 0.12)
        command = self._prepare(action)
        print(f"{action}: {victim} after {delay:.3f} s", flush=True)
        self._run_and_kill(command, victim, delay)
        self._check_store()
        self._accept("")
        self._repair()

    def _prepare(self, action: str) -> list[str]:
        film, branch = self.film, self.random.choice(BRANCHES)
        if action in ("add", "commit", "stash"):
            for name in self.random.sample([A, B, C, "plates/new.bin"], 2):
                self._edit(name)
        if action == "add":
            return ["git", "add", "-A"]
        if action == "commit":
            return ["git", "commit", "-q", "-a", "-m", f"round {self.count}"]
        if action == "stash":
            return ["git", "stash", "push", "-q"]
        if action == "make":
            made = [name for name in film.tracked(branch) if not toml.decode(film.blob(name, branch)).imported]
            film.forget(*made, revision=branch)
            return ["git", "checkout", "-q", "-f", branch]
        if action == "switch":
            return ["git", "checkout", "-q", "-f", branch]
        if action == "reset":
            for name in (A, C):
                (film.path / name).unlink(missing_ok=True)
            return ["git", "reset", "-q", "--hard"]
        if action == "get":
            film.run("regenstore", "drop", check=False)
        return ["regenstore", "get"] if action == "get" else ["regenstore", "drop"]

    def _edit(self, name: str) -> None:
        self.count += 1
        size = self.random.choice([10, 5000, 70_000, 600_000])
        data = self.random.randbytes(size)
        self.film.write(name, data)
        self.versions.setdefault(name, set()).add(blake3(data).digest())

    def _run_and_kill(self, command: list[str], victim: str, delay: float) -> None:
        process = subprocess.Popen(
            command,
            cwd=self.film.path,
            env=self.film.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        time.sleep(delay)
        found = session(process.pid)
        chosen = {
            "git": [process.pid],
            "filter": [pid for pid, name in found.items() if "regenstore-filter" in name or "filter_entry" in name],
            "generator": [pid for pid, name in found.items() if "words.sh" in name or "worker" in name],
            "all": list(found),
        }[victim]
        for pid in chosen:
            try:
                os.kill(pid, signal.SIGKILL)
                self.kills += 1
            except ProcessLookupError:
                continue
        process.wait()
        deadline = time.monotonic() + 30
        while others := session(process.pid):
            assert time.monotonic() < deadline, f"still running: {others}"
            time.sleep(0.01)

    # -------------------------------------------------------------------------------- checks

    def _check_store(self) -> None:
        """No content under another's name, and none that Git accepted is gone."""
        stored = {bytes.fromhex(digest) for digest in self.film.stored()}
        assert self.accepted <= stored, "imported media were lost"

    def _accept(self, revision: str) -> None:
        """What Git has now, in the index or at a revision: right blobs, whose imported bytes are stored."""
        for name in self.film.tracked(revision):
            text = self.film.blob(name, revision)
            recipe = toml.decode(text)
            take = recipe.output.take
            assert toml.encode(recipe) == text
            if take is None:
                continue
            assert take.digest.raw in self.versions[name], f"{name} names bytes that never lay there"
            if recipe.imported:
                self.accepted.add(take.digest.raw)
                assert (self.film.store / "vault" / take.digest.hex[:2] / take.digest.hex[2:]).exists(), name

    def _repair(self) -> None:
        """The next command puts right what is ours; Git's own locks are its user's to remove."""
        film = self.film
        git_dir = film.path / ".git"
        film.regenstore("status")
        assert not list(git_dir.glob("regenstore-stage-*"))
        assert not list(git_dir.glob("index.regenstore-stage-*"))
        for lock in git_dir.rglob("*.lock"):
            assert not lock.read_bytes().startswith(b"regenstore"), f"{lock} is ours"
            lock.unlink()
        film.git("reset", "-q", "--hard")
        film.git("clean", "-q", "-f", "-d")
        film.regenstore("get")
        assert film.status() == ""
        for name in film.tracked():
            take = toml.decode(film.blob(name)).output.take
            assert take is not None
            assert blake3(film.read(name)).digest() == take.digest.raw, f"{name} has other bytes than its take"


def session(leader: int) -> dict[int, str]:
    """The living processes of a session, with their command lines."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(") ")[2].split()
            if fields[0] != "Z" and int(fields[3]) == leader:
                found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except (OSError, IndexError):
            continue
    return found
