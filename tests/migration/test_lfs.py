"""From Git LFS to recipes: the pointers and files as git-lfs writes them, in real repositories."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from regenstore.objects import toml
from tests.conftest import Checkout, noise

LFS = "filter=lfs diff=lfs merge=lfs -text"
A1, A2, B = noise("lfs a1", 90_000), noise("lfs a2", 70_000), noise("lfs b", 3000)


def pointer(data: bytes) -> str:
    name = hashlib.sha256(data).hexdigest()
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{name}\nsize {len(data)}\n"


class LfsProject(Checkout):
    def keep(self, data: bytes, *, damaged: bool = False) -> None:
        """Have a file in the local storage of Git LFS."""
        name = hashlib.sha256(data).hexdigest()
        self.write(f".git/lfs/objects/{name[:2]}/{name[2:4]}/{name}", data[:-1] + b"!" if damaged else data)


@pytest.fixture
def project(environment: dict[str, str], tmp_path: Path) -> LfsProject:
    """Two commits of pointers, with a branch and tags; the worktree has the pointers themselves."""
    given = LfsProject(tmp_path / "film", environment)
    given.path.mkdir()
    given.git("init", "-q")
    given.write(".gitattributes", f"*.bin {LFS} lockable\n*.txt text\n")
    given.write("a.bin", pointer(A1))
    given.write('odd "name\u00e9\t.bin', pointer(B))
    given.commit("first\n\nM 100644 inline a.bin\n")
    given.git("tag", "light")
    given.git("checkout", "-q", "-b", "side")
    given.write("side.txt", "M 100644 x a.bin\n")
    given.commit("side")
    given.git("checkout", "-q", "main")
    given.write("a.bin", pointer(A2))
    given.commit("second")
    given.git("merge", "-q", "-m", "merge", "side")
    given.git("tag", "-a", "-m", "annotated", "v1")
    given.regenstore("init")
    return given


def test_pointers_become_recipes(project: LfsProject) -> None:
    for data in (A2, B):
        project.keep(data)
    planned = json.loads(project.regenstore("migrate-from", "lfs", "-n", "--json"))
    assert {(each["path"], each["size"], each["present"]) for each in planned["files"]} == {
        ("a.bin", len(A2), True), ('odd "name\u00e9\t.bin', len(B), True),
    }  # fmt: skip
    assert project.status() == ""
    project.regenstore("migrate-from", "lfs")
    assert project.read("a.bin") == A2
    attributes = project.read(".gitattributes").decode()
    assert attributes.startswith("*.bin filter=regenstore diff=regenstore merge=regenstore -text lockable\n*.txt text")
    recipe = toml.decode(project.blob("a.bin"))
    assert recipe.imported
    assert recipe.output.take is not None
    assert recipe.output.take.size == len(A2)
    project.git("commit", "-q", "-m", "migrated")
    assert project.status() == ""
    project.git("rm", "-q", "-r", "--cached", ".")
    project.git("reset", "-q", "--hard")
    assert project.read("a.bin") == A2
    assert "has no pointers" in project.regenstore("migrate-from", "lfs")


def test_nothing_changes_while_a_file_is_missing_or_damaged(project: LfsProject) -> None:
    project.keep(B)

    def refused() -> tuple[int, str]:
        done = project.run("regenstore", "migrate-from", "lfs", check=False)
        assert project.status() == ""
        return done.returncode, done.stderr.decode()

    code, said = refused()
    assert code == 3
    assert "a.bin: Git LFS does not have its file on this machine" in said
    assert "git lfs fetch" in said
    project.keep(A2, damaged=True)
    code, said = refused()
    assert code == 6
    assert "its SHA-256 is" in said
    project.keep(A2)
    project.write("a.bin", "an edit")
    done = project.run("regenstore", "migrate-from", "lfs", check=False)
    assert done.returncode == 4
    assert project.read("a.bin") == b"an edit"


def test_history_is_rewritten_when_asked(project: LfsProject, tmp_path: Path) -> None:
    for data in (A1, A2, B):
        project.keep(data)
    before = dict(line.split()[::-1] for line in project.git("show-ref").splitlines())
    told_before = sorted(project.git("log", "--branches", "--format=%an %ad %s %b").splitlines())
    shape = project.git("log", "--format=%s", "--graph")
    told = json.loads(
        project.regenstore("migrate-from", "lfs", "--history", "--map", str(tmp_path / "map.txt"), "--json")
    )
    assert told["commits"] == 4
    names = {"refs/heads/main", "refs/heads/side", "refs/tags/light", "refs/tags/v1"}
    assert {each["name"] for each in told["refs"]} == names
    assert project.status() == ""
    assert sorted(project.git("log", "--branches", "--format=%an %ad %s %b").splitlines()) == told_before
    assert project.git("log", "--format=%s", "--graph") == shape
    assert project.git("cat-file", "-t", "v1") == "tag"
    commits = dict(line.split() for line in (tmp_path / "map.txt").read_text().splitlines())
    assert commits[before["refs/heads/main"]] == project.git("rev-parse", "main")
    for revision, data in (("main", A2), ("light", A1), ("v1", A2)):
        project.git("checkout", "-q", revision)
        assert project.read("a.bin") == data
        assert project.read('odd "name\u00e9\t.bin') == B
        assert project.status() == ""
    # What was there before is only a ref away.
    old = project.git("for-each-ref", "--format=%(refname) %(objectname)", "refs/regenstore/before-rewrite")
    assert {line.split("/", 4)[4].split()[0]: line.split()[1] for line in old.splitlines()} == {
        "heads/main": before["refs/heads/main"], "heads/side": before["refs/heads/side"],
        "tags/light": before["refs/tags/light"], "tags/v1": before["refs/tags/v1"],
    }  # fmt: skip
    assert not list((project.path / ".git").glob("regenstore-rewrite-*"))


def test_history_is_left_alone_if_work_is_not_committed(project: LfsProject) -> None:
    for data in (A1, A2, B):
        project.keep(data)
    project.write("side.txt", "changed")
    refs = project.git("show-ref")
    done = project.run("regenstore", "migrate-from", "lfs", "--history", check=False)
    assert done.returncode == 4
    assert b"side.txt: it has changes that are not committed" in done.stderr
    project.git("checkout", "-q", "side.txt")
    project.git("worktree", "add", "-q", "../other", "side")
    done = project.run("regenstore", "migrate-from", "lfs", "--history", check=False)
    assert b"another worktree" in done.stderr
    assert project.git("show-ref") == refs
