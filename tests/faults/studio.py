"""The film project with generators of every temper, and the questions that every fault test asks.

``words`` gives the same bytes always, ``fold`` too, from an input; ``dice`` never gives the same bytes twice;
``fade`` gives nearly the same, by the mood that it finds in a file.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path

from blake3 import blake3

from regenstore.errors import RegenstoreError
from regenstore.objects import toml
from regenstore.objects.recipe import Recipe
from tests.conftest import copied, hermetic_environment
from tests.git import film as project
from tests.git.film import MAIN, Film

DICE, FOLD, OUTTAKE = "shots/dice.bin", "shots/fold.bin", "plates/outtake.bin"
GENERATORS = (
    project.GENERATOR
    + """\
[generators.dice]
version = "1"
command = ["more tools/dice.sh", "{output}", "{face}"]
media_type = "application/octet-stream"
seconds = 0.1
reproducible = false
[generators.dice.params.face]
type = "string"
[generators.fold]
version = "1"
command = ["more tools/fold.sh", "{output}", "{input.source}"]
media_type = "application/octet-stream"
seconds = 0.1
[generators.fold.inputs.source]
[generators.fade]
version = "1"
command = ["more tools/fade.sh", "{output}", "{word}"]
media_type = "application/octet-stream"
seconds = 0.1
[generators.fade.params.word]
type = "string"
"""
)
# In a folder of their own: what lies beside a program counts as a part of it, and only main has these.
PROGRAMS = {
    "more tools/dice.sh": '#!/bin/sh\n{ echo "$2"; head -c 600 /dev/urandom; } > "$1"\n',
    "more tools/fade.sh": '#!/bin/sh\n{ cat "${0%/*}/mood"; yes "$2" | head -c 40000; } > "$1"\n',
    "more tools/fold.sh": '#!/bin/sh\n{ echo folded; cat "$2"; } > "$1"\n',
}
EXIT_CODES = {0, 1, *(category.exit_code for category in RegenstoreError.__subclasses__())} - {70}


def folded(data: bytes) -> bytes:
    """What the generator ``fold`` makes."""
    return b"folded\n" + data


class Studio(Film):
    """The film project on branch main, with :data:`DICE` and :data:`FOLD` beside what it had."""

    def at(self, path: Path) -> Studio:
        return Studio(path, self.environment)

    @property
    def expected(self) -> dict[str, bytes]:
        """What main's paths hold; the dice as they fell."""
        fallen = (self.path.parent / "fallen").read_bytes()
        return {**MAIN, FOLD: folded(MAIN[project.A]), DICE: fallen}

    # -------------------------------------------------------------------------------- the store

    @property
    def store(self) -> Path:
        return self.path / super().store  # a setting is relative to the worktree

    def kept(self) -> dict[str, int]:
        """Every content of the trees and of the trash, hashed: digest -> size."""
        found = self.stored()
        for path in (self.store / "trash").glob("*/*/*/*"):
            data = path.read_bytes()
            digest = path.parent.name + path.name
            assert blake3(data).hexdigest() == digest, f"{path} holds other bytes"
            found[digest] = len(data)
        return found

    def names(self) -> set[str]:
        """The contents that the store has by name, in its trees or its trash."""
        places = [*self.store.glob("cache/*/*"), *self.store.glob("vault/*/*"), *self.store.glob("trash/*/*/*/*")]
        return {path.parent.name + path.name for path in places}

    def evicted(self) -> set[str]:
        """What manifests say that gc took, as far as a deterministic recipe brings it back."""
        lines = [line for path in self.store.glob("evicted/*.jsonl") for line in path.read_text().splitlines()]
        records = [json.loads(line) for line in lines]
        found = {}
        for record in records:
            recipe = toml.decode_or_none((record.get("recipe") or "").encode())
            if recipe is not None and recipe.generator in ("words", "fold"):
                found[record["digest"].removeprefix("blake3:")] = recipe
        return set(found)

    def files(self, digest: str) -> list[Path]:
        """Where the store has a content."""
        tail = f"{digest[:2]}/{digest[2:]}"
        places = [self.store / tree / tail for tree in ("cache", "vault")]
        return [path for path in [*places, *(self.store / "trash").glob(f"*/*/{tail}")] if path.exists()]

    def lose(self, digests: Iterable[str]) -> None:
        """Remove contents from the store, wherever it has them."""
        for digest in digests:
            for path in self.files(digest):
                path.unlink()

    def database_is_sound(self) -> None:
        path = self.store / "results.sqlite"
        if path.exists():
            with sqlite3.connect(path) as db:
                assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            db.close()

    # -------------------------------------------------------------------------------- the roots

    def live(self) -> dict[str, Recipe]:
        """Every recipe that anything refers to, by its blob; pending ones too."""
        listing = self.git("rev-list", "--objects", "--no-object-names", "--all", "--reflog", "--indexed-objects")
        asked = "".join(f"{oid}\n" for oid in listing.split()).encode()
        answer = self.run("git", "cat-file", "--batch", stdin=asked).stdout
        found = {}
        for oid, kind, data in _batch(answer):
            recipe = toml.decode_or_none(data) if kind == "blob" and data.startswith(b"regenstore = ") else None
            if recipe is not None:
                found[oid] = recipe
        for git_dir in [self.path / ".git", *(self.path / ".git/worktrees").glob("*")]:
            for path in (git_dir / "regenstore-pending").glob("*"):
                recipe = toml.decode_or_none(path.read_bytes().partition(b"\0")[2][:-32])
                if recipe is not None:
                    found[f"{git_dir.name} {path.name}"] = recipe
        return found

    def takes(self) -> dict[str, Recipe]:
        """The contents that live recipes record, and one recipe of each: hex digest -> recipe."""
        return {r.output.take.digest.hex: r for r in self.live().values() if r.output.take is not None}

    def obtain(self) -> None:
        """Get the take of every live recipe for real, in a copy of everything: nobody's bytes are out of reach.

        The copy is a clone with the same store, whose one commit has every live recipe at a path of its own.
        """
        wanted = self.takes()
        folder = self.path.parent / "obtained"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.store, folder / "store", symlinks=True)
        clone = self.at(folder / "clone")
        self.git("clone", "-q", "--no-checkout", str(self.path), str(clone.path))
        clone.git("remote", "remove", "origin")  # whose store would help out
        clone.git("config", "regenstore.store", str(folder / "store"))
        for name in (".gitattributes", "regenstore.toml"):
            shutil.copy2(self.path / name, clone.path / name)
        for name in ("tools", "more tools"):
            if (self.path / name).exists():
                shutil.copytree(self.path / name, clone.path / name)
        for digest, recipe in wanted.items():
            clone.write(f"all/{digest}.bin", toml.encode(recipe))
        clone.git("add", "-A")
        clone.git("commit", "-q", "-m", "everything")
        said = clone.run("regenstore", "get", check=False)
        for digest in wanted:
            data = clone.read(f"all/{digest}.bin")
            assert blake3(data).hexdigest() == digest, (
                f"out of reach: {digest} of {wanted[digest].generator} {dict(wanted[digest].params)}\n"
                f"{(said.stdout + said.stderr).decode()}"
            )
        shutil.rmtree(folder)

    # -------------------------------------------------------------------------------- answers

    def answers(self, *command: str, **extra: str) -> int:
        """Run a command that may fail, but only as documented: no traceback, no bug, a known exit code.
        What it said is in ``said``."""
        done = self.run(*command, check=False, **extra)
        self.said = said = (done.stdout + done.stderr).decode(errors="replace")
        assert "Traceback" not in said and "Please report it" not in said, f"{command}\n{said}"
        if command[0] == "regenstore":
            assert done.returncode in EXIT_CODES, f"{command} gave {done.returncode}\n{said}"
            assert done.returncode in (0, 1) or said.strip(), f"{command} gave {done.returncode} and said nothing"
        return done.returncode


def _batch(answer: bytes) -> Iterator[tuple[str, str, bytes]]:
    at = 0
    while at < len(answer):
        end = answer.index(b"\n", at)
        oid, kind, size = answer[at:end].decode().split()
        at = end + 1 + int(size) + 1
        yield oid, kind, answer[end + 1 : at - 1]


def build(folder: Path) -> None:
    """The film project of :mod:`tests.git.film`, and on main what this module adds."""
    project.build(folder)
    studio = Studio(folder / "film", hermetic_environment(folder / "home"))
    studio.write("regenstore.toml", GENERATORS)
    for name, text in PROGRAMS.items():
        studio.write(name, text).chmod(0o755)
    studio.regenstore("trust", "--yes")
    studio.regenstore("new", DICE, "-g", "dice", "-p", "face=six")
    studio.regenstore("new", FOLD, "-g", "fold", "-i", f"source={project.A}")
    (folder / "fallen").write_bytes(studio.read(DICE))
    studio.commit("studio")


def copy(template: Path, target: Path) -> Studio:
    """A private copy of what :func:`build` made, in which nothing has run yet."""
    shutil.rmtree(target, ignore_errors=True)
    return copied(template, target, Studio)
