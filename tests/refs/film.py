"""A repository whose recipes are plain text, random histories of it, and what git reaches in it by name."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

from regenstore.objects import toml
from regenstore.objects.hashing import hash_bytes
from regenstore.objects.recipe import Input, Output, Recipe, Take
from regenstore.refs.git import Git
from regenstore.refs.pending import Pending
from regenstore.refs.pins import Pins
from regenstore.refs.roots import Roots
from tests.conftest import Checkout

PSEUDO = [
    "HEAD", "ORIG_HEAD", "FETCH_HEAD", "MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD", "REBASE_HEAD",
    "BISECT_HEAD", "BISECT_EXPECTED_REV", "AUTO_MERGE",
]  # fmt: skip
STATE = ["orig-head", "onto", "stopped-sha", "autostash", "amend", "squash-onto", "head", "abort-safety"]


class Film(Checkout):
    """A repository without the filter: its recipes are plain text."""

    @property
    def common(self) -> str:
        return str(self.path / self.git("rev-parse", "--git-common-dir"))

    def roots(self, index: str | None = None) -> Roots:
        git_dir = self.git("rev-parse", "--absolute-git-dir")
        return Roots(Git(str(self.path)), git_dir, self.common, index or f"{git_dir}/index")

    def live(self) -> set[str]:
        return {oid.hex() for oid in self.roots().live().blobs}

    def names(self, oid: str) -> list[str]:
        return self.roots().names([bytes.fromhex(oid)])[bytes.fromhex(oid)]

    def put(self, name: str, text: str) -> str:
        """Write a file and add it; gives the blob's id."""
        self.write(name, text)
        self.git("add", name)
        return self.git("rev-parse", f":{name}")

    def save(self, name: str, text: str) -> str:
        oid = self.put(name, text)
        self.git("commit", "-q", "-m", text)
        return oid

    def pin(self, text: str) -> str:
        return Pins(Git(str(self.path))).add(hash_bytes(text.encode()).hex, text.encode(), "why", 1000.0).blob.hex()

    def at(self, folder: str) -> Film:
        return Film(self.path.parent / folder, self.environment)


def recipe(text: str, **inputs: Input) -> Recipe:
    data = text.encode()
    take = Take(hash_bytes(data), len(data))
    return Recipe("g", "1", Output("x/y", take=take), params={"text": text}, inputs=inputs)


class History:
    """Does things to a repository by chance; every one leaves it in a state that git knows."""

    def __init__(self, film: Film, chance: random.Random) -> None:
        self.film = film
        self.chance = chance
        self.count = 0
        self.log: list[str] = []

    def text(self) -> str:
        self.count += 1
        said = f"text {self.count} in {self.film.path}\n"
        if self.count % 7 == 0:
            return said
        return toml.encode(recipe(said)).decode()

    def step(self) -> None:
        places = [self.film, *(self.film.at(name) for name in ("w1", "w2") if (self.film.path.parent / name).exists())]
        here = self.chance.choice(places)
        name, arguments = self.chance.choice(list(self.actions()))
        self.log.append(f"{here.path.name}: {name}")
        if name == "edit":
            here.write(self.chance.choice(("a.txt", "b.txt", "deep/c.txt")), self.text())
            here.git("add", "-A", check=False)
        elif name == "commit":
            here.write(self.chance.choice(("a.txt", "b.txt")), self.text())
            here.git("add", "-A", check=False)
            here.git("commit", "-q", "-m", name, check=False)
        elif name == "pin":
            here.pin(self.text())
        elif name == "note":
            here.git("notes", "add", "-f", "-m", self.text(), check=False)
        elif name == "hold":
            Pending(here.git("rev-parse", "--absolute-git-dir")).set(b"h.txt", self.text().encode())
        else:
            here.git(*arguments, check=False)

    def actions(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        pick = self.chance.choice
        branch, other, number = pick("xyz"), pick("xyz"), str(self.chance.randrange(100))
        for _ in range(10):
            yield "commit", ()
        yield from (("edit", ()), ("edit", ()), ("pin", ()), ("note", ()), ("hold", ()))
        for line in (
            f"checkout -q -B {branch}", f"checkout -q {other}", "checkout -q --detach", f"branch -D {branch}",
            f"tag -a -m t t{number}", f"tag s{number}", f"tag -d t{number}", "stash -q -u", "stash drop -q",
            "stash drop -q stash@{1}", "stash pop -q", "commit -q --amend --no-edit", "reset -q --hard HEAD~1",
            "reset -q --soft HEAD~1", f"merge -q {other}", f"cherry-pick {other}~1 {other}",
            f"revert --no-edit {other}", f"rebase -q --autostash {other}", f"rebase -q {other}", f"fetch -q . {other}",
            "rebase --abort",
            "merge --abort", "cherry-pick --skip", "worktree add -q --detach ../w1", "worktree add -q -B w2 ../w2",
            "worktree remove -f ../w1", "worktree remove -f -f ../w2", f"replace -f HEAD~1 {other}",
            "reflog expire --expire=now --all", "reflog delete HEAD@{1}", "gc -q --prune=now",
            f"bisect start {branch} {other}", "rm -q --cached a.txt", f"update-ref refs/worktree/own {other}",
            "update-index --split-index", f"update-ref refs/remotes/origin/{branch} {other}",
        ):  # fmt: skip
            yield line, tuple(line.split(" "))


def worktrees(film: Film) -> list[Film]:
    """Where git shows what it has, and not what was put in its place."""
    environment = {**film.environment, "GIT_NO_REPLACE_OBJECTS": "1"}
    paths = [line[9:] for line in film.git("worktree", "list", "--porcelain").split("\n") if line[:9] == "worktree "]
    return [Film(Path(path), environment) for path in paths if os.path.isdir(path)]


def reachable_by_name(film: Film) -> dict[str, str]:
    """Blob -> how it was found. Slow, and in another way: each name for itself, from inside each worktree."""
    found: dict[str, str] = {}
    for place in worktrees(film):
        names = place.git("for-each-ref", "--format=%(refname)").split("\n") + PSEUDO
        for name in [*names, "HEAD", "refs/stash"]:
            names += place.git("log", "-g", "--format=%H", name, "--", check=False).split("\n")
        for folder in ("rebase-merge", "rebase-apply", "sequencer"):
            for state in STATE:
                path = Path(place.path, place.git("rev-parse", "--git-path", f"{folder}/{state}"))
                names += [path.read_text().strip()] if path.exists() else []
            todo = Path(place.path, place.git("rev-parse", "--git-path", f"{folder}/todo"))
            names += [row.split(" ")[1] for row in todo.read_text().splitlines()] if todo.exists() else []
        for name in filter(None, dict.fromkeys(names)):
            kind = place.git("cat-file", "-t", f"{name}^{{}}", check=False)
            if kind == "blob":
                found.setdefault(place.git("rev-parse", f"{name}^{{}}"), name)
            for commit in place.git("rev-list", name, "--", check=False).split() if kind == "commit" else [name]:
                for row in place.git("ls-tree", "-r", commit, check=False).splitlines():
                    found.setdefault(row.split()[2], f"{place.path.name} {name} {commit}")
        for row in place.git("ls-files", "-s").splitlines():
            found.setdefault(row.split()[1], f"{place.path.name} index")
    return found


def standing_by_name(film: Film) -> dict[str, int]:
    """Blob -> 3 when a worktree's HEAD or index has it, else 2 when a ref's tip has it. In another way again."""
    found: dict[str, int] = {}
    for place in worktrees(film):
        for name in ["HEAD", *place.git("for-each-ref", "--format=%(refname)").split("\n")]:
            if place.git("cat-file", "-t", f"{name}^{{}}", check=False) == "blob":
                found.setdefault(place.git("rev-parse", f"{name}^{{}}"), 2)
            for row in place.git("ls-tree", "-r", name, check=False).splitlines():
                oid = row.split()[2]
                found[oid] = max(found.get(oid, 0), 3 if name == "HEAD" else 2)
        for row in place.git("ls-files", "-s").splitlines():
            found[row.split()[1]] = 3
    return found
