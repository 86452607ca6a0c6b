"""A small film project with a history, and what has to hold in it after every Git command."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from blake3 import blake3

from regenstore.objects import toml
from tests import filter_server
from tests.conftest import Checkout, copied, hermetic_environment, noise

A, B, C, D, E = "shots/a.bin", "shots/b.bin", "plates/c.bin", "shots/d.bin", "plates/e.bin"
GENERATOR = """\
[generators.words]
version = "1"
command = ["tools/words.sh", "{output}", "{word}", "{bytes}"]
media_type = "application/octet-stream"
seconds = 0.1
[generators.words.params.word]
type = "string"
[generators.words.params.bytes]
type = "integer"
default = 1000
"""
PROGRAM = """\
#!/bin/sh
yes "$2" | head -c "$3" > "$1"
"""


def words(word: str, size: int = 1000) -> bytes:
    """What the declared generator makes."""
    line = word.encode() + b"\n"
    return (line * (size // len(line) + 1))[:size]


ALPHA = {n: words(f"alpha{n}") for n in (1, 2, 3)}
BETA = {n: words(f"beta{n}") for n in (1, 2)}
PLATE = {n: noise(f"plate{n}", 5000 + n) for n in (1, 2, 3)}
DELTA = words("delta")
EXTRA = noise("extra", 70_000)

FIRST = {A: ALPHA[1], B: BETA[1], C: PLATE[1]}
MAIN = {A: ALPHA[2], B: BETA[1], C: PLATE[2], D: DELTA}
SIDE = {A: ALPHA[1], B: BETA[2], C: PLATE[1], E: EXTRA}
CLASH = {A: ALPHA[3], B: BETA[1], C: PLATE[3]}
LONGER = {A: words("alpha1", 2000), B: BETA[1], C: PLATE[1]}
WORLDS = {"first": FIRST, "main": MAIN, "side": SIDE, "clash": CLASH, "longer": LONGER}


class Film(Checkout):
    """A worktree with the questions that the tests of this folder ask."""

    def put(self, name: str, data: bytes) -> Path:
        """Write a file, dated a while ago: Git has no reason to read it again after adding it."""
        target = self.write(name, data)
        then = target.stat().st_mtime - 100
        os.utime(target, (then, then))
        return target

    def at(self, path: Path) -> Film:
        """Another worktree in the same home."""
        return Film(path, self.environment)

    def tracked(self, revision: str = "") -> set[str]:
        """The media paths of the index, or of a revision."""
        listing = self.git("ls-tree", "-r", "-z", "--name-only", revision) if revision else self.git("ls-files", "-z")
        return {name for name in listing.split("\0") if name.endswith(".bin")}

    def expect(self, media: Mapping[str, bytes], *, recipes: Mapping[str, bytes] | None = None) -> None:
        """The worktree has exactly these media, and recipe text for ``recipes`` (path -> its take); the
        index holds for each the one recipe text, naming exactly those bytes."""
        texts = recipes or {}
        assert self.tracked() == set(media) | set(texts)
        blobs = self.blobs([*media, *texts])
        for name, data in media.items():
            assert self.read(name) == data, f"{name} has other bytes"
            self.expect_text(name, blobs[name], data)
        for name, data in texts.items():
            assert self.read(name) == blobs[name], f"{name} is not its recipe text"
            self.expect_text(name, blobs[name], data)

    def blobs(self, names: list[str]) -> dict[str, bytes]:
        """What the index has at these paths, asked for at once where their names allow it."""
        if any("\n" in name for name in names):
            return {name: self.blob(name) for name in names}
        answer = self.run("git", "cat-file", "--batch", stdin=b"".join(b":%s\n" % os.fsencode(name) for name in names))
        found, at = {}, 0
        for name in names:
            end = answer.stdout.index(b"\n", at)
            size = int(answer.stdout[at:end].split()[2])
            found[name] = answer.stdout[end + 1 : end + 1 + size]
            at = end + size + 2
        return found

    def expect_blob(self, name: str, data: bytes, revision: str = "") -> None:
        """Git holds at the path the one text of a recipe whose take is ``data``."""
        self.expect_text(name, self.blob(name, revision), data)

    def expect_text(self, name: str, text: bytes, data: bytes) -> None:
        recipe = toml.decode(text)
        assert toml.encode(recipe) == text
        take = recipe.output.take
        assert take is not None, f"{name} records no take"
        assert (take.digest.raw, take.size) == (blake3(data).digest(), len(data)), f"{name} records other bytes"

    def quiet(self, *, later: bool = False) -> None:
        """Status is clean, and a second one runs no filter: Git needs to read no medium.

        ``later`` is for files that Git wrote itself (recipes that stay, bytes inline): those it reads
        once more as long as the second lasts in which it wrote them.
        """
        if later:
            time.sleep(1.01 - time.time() % 1)
        assert self.status() == ""
        self.no_filter("status", "--porcelain")

    def no_filter(self, *command: str) -> str:
        """Run a git command; the filter must not be started for it."""
        done = self.run("git", *command, GIT_TRACE="1")
        assert b"filter_entry" not in done.stderr, done.stderr.decode(errors="replace")
        return done.stdout.decode(errors="surrogateescape")

    def settled(
        self, media: Mapping[str, bytes], *, recipes: Mapping[str, bytes] | None = None, later: bool = False
    ) -> None:
        """Everything that has to hold after a Git command that went well."""
        self.quiet(later=later)
        self.expect(media, recipes=recipes)
        self.no_leftovers()

    def no_stage(self) -> None:
        """No lock or stage is left in Git's folder or the worktree."""
        folder = Path(self.git("rev-parse", "--absolute-git-dir"))
        names = [n for n in os.listdir(folder) if "regenstore-stage" in n or n.endswith(".lock")]
        names += [n for n in os.listdir(self.path) if n.startswith(".regenstore")]
        assert not names, names

    def no_leftovers(self) -> None:
        """No lock, stage or temporary file is left in Git's folder, the worktree or the store."""
        self.no_stage()
        common = Path(self.git("rev-parse", "--path-format=absolute", "--git-common-dir"))
        temp = common / "regenstore" / "tmp"
        assert not temp.is_dir() or os.listdir(temp) == []

    def stored(self) -> dict[str, int]:
        """Every content of the store, hashed: digest -> size. Fails for one that is not what its name says."""
        found = {}
        for tree in ("cache", "vault"):
            for path in (self.store / tree).glob("*/*"):
                data = path.read_bytes()
                digest = path.parent.name + path.name
                assert blake3(data).hexdigest() == digest, f"{path} holds other bytes"
                found[digest] = len(data)
        return found

    def forget(self, *names: str, revision: str = "") -> None:
        """Take the bytes of these paths' takes, as the index or a revision names them, out of the store."""
        for name in names:
            take = toml.decode(self.blob(name, revision)).output.take
            assert take is not None
            for tree in ("cache", "vault"):
                (self.store / tree / take.digest.hex[:2] / take.digest.hex[2:]).unlink(missing_ok=True)


def build(folder: Path) -> None:
    """``home/`` with Git and regenstore set up, and ``film/`` with the history that this module names."""
    home = folder / "home"
    home.mkdir(parents=True)
    (home / ".gitconfig").write_text(
        '[init]\n\tdefaultBranch = main\n[advice]\n\tdetachedHead = false\n[protocol "file"]\n\tallow = always\n'
        "[user]\n\tname = Ada\n\temail = ada@example.org\n[gc]\n\tauto = 0\n[maintenance]\n\tauto = false\n"
    )
    film = Film(folder / "film", hermetic_environment(home))
    film.path.mkdir()
    film.git("init", "-q")
    film.regenstore("install")
    film.regenstore("track", "*.bin")
    film.write("regenstore.toml", GENERATOR)
    film.write("tools/words.sh", PROGRAM).chmod(0o755)
    film.regenstore("trust", "--yes")
    film.write("notes.txt", "first\n")
    film.regenstore("new", A, "-g", "words", "-p", "word=alpha1")
    film.regenstore("new", B, "-g", "words", "-p", "word=beta1")
    film.put(C, PLATE[1])
    film.commit("first")
    film.git("tag", "first")
    _branches(film)


def _branches(film: Film) -> None:
    film.git("checkout", "-q", "-b", "side")
    film.regenstore("set", B, "word=beta2")
    film.put(E, EXTRA)
    film.commit("side")
    film.git("checkout", "-q", "-b", "clash", "first")
    film.regenstore("set", A, "word=alpha3")
    film.put(C, PLATE[3])
    film.commit("clash")
    film.git("checkout", "-q", "-b", "longer", "first")
    film.regenstore("set", A, "bytes=2000")
    film.commit("longer")
    film.git("checkout", "-q", "main")
    film.regenstore("set", A, "word=alpha2")
    film.put(C, PLATE[2])
    film.regenstore("new", D, "-g", "words", "-p", "word=delta")
    film.commit("second")


def with_real_filters(film: Film) -> Film:
    """The same film, whose filters Python starts, and nothing of tests/filter_server.py."""
    config = Path(film.environment["HOME"], ".gitconfig")
    config.write_text(config.read_text().replace(filter_server.python(), sys.executable))
    film.environment.pop(filter_server.NAME, None)
    return film


def copy(template: Path, target: Path) -> Film:
    """A private copy of what :func:`build` made."""
    return copied(template, target, Film)
