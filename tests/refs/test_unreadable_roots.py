"""Whatever names a root, or keeps objects, is refused by name when it cannot be read. Git passes over most of it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from regenstore.errors import StorageError
from regenstore.objects import toml
from regenstore.objects.results.cache import ResultCache
from regenstore.refs.git import Git
from regenstore.refs.root_files import RootFiles
from regenstore.refs.roots import Roots
from tests.refs.film import Film, recipe
from tests.unprivileged import AS_USER, needed

CHILD = """
import json, os, sys
from regenstore.errors import RegenstoreError
from regenstore.refs.git import Git
from regenstore.refs.roots import Roots
top, *paths = sys.argv[1:]
common = f"{top}/.git"
roots = Roots(Git(top), common, common, f"{common}/index")
told = {}
roots.live()
for path in paths:
    mode = os.stat(path).st_mode
    os.chmod(path, 0)
    try:
        roots.live()
        told[path] = "nothing"
    except RegenstoreError as error:
        told[path] = f"{error.kind}: {error.message}"
    finally:
        os.chmod(path, mode)
print(json.dumps(told))
"""


def busy(film: Film) -> str:
    """A repository with every kind of root; gives a commit that only the reflog names."""
    film.git("config", "gc.auto", "0")
    film.git("branch", "packed")
    film.git("pack-refs", "--all")
    film.git("repack", "-adq")
    film.save("lost.txt", "only the reflog knows")
    lost = film.git("rev-parse", "HEAD")
    film.git("reset", "-q", "--hard", "HEAD~")
    for name in ("stashed", "stashed later"):
        film.write("a.txt", name)
        film.git("stash", "-q")
    film.pin("pinned")
    film.git("worktree", "add", "-q", "--detach", "../w1")
    linked = film.at("w1")
    linked.save("w.txt", "detached")
    linked.put("w2.txt", "staged there")
    linked.git("update-ref", "refs/bisect/bad", "HEAD")
    linked.git("update-ref", "refs/worktree/mine", "HEAD")
    film.git("checkout", "-q", "-b", "side")
    film.save("a.txt", "theirs")
    film.git("checkout", "-q", "main")
    film.save("a.txt", "ours")
    film.git("merge", "-q", "side", check=False)
    film.put("c.txt", "staged")
    film.write(".git/rebase-apply/patch", "1" * 40)
    return lost


@needed
def test_nothing_that_names_a_root_is_passed_over(film: Film) -> None:
    lost = busy(film)
    git = film.path / ".git"
    shards = sorted(path for path in (git / "objects").iterdir() if len(path.name) == 2)
    paths = [
        "HEAD", "packed-refs", "refs/heads", "refs/heads/side", "refs/stash", "refs/regenstore", "refs/regenstore/pins",
        "logs", "logs/HEAD", "logs/refs", "logs/refs/heads", "logs/refs/heads/main", "logs/refs/stash",
        "index", "MERGE_HEAD", "ORIG_HEAD", "rebase-apply", "rebase-apply/patch",
        "worktrees", "worktrees/w1", "worktrees/w1/HEAD", "worktrees/w1/index", "worktrees/w1/gitdir",
        "worktrees/w1/commondir", "worktrees/w1/logs", "worktrees/w1/logs/HEAD", "worktrees/w1/refs/bisect",
        "worktrees/w1/refs/bisect/bad", "worktrees/w1/refs/worktree",
        "objects", "objects/info", "objects/pack",
    ]  # fmt: skip
    pins = next((git / "refs/regenstore/pins").iterdir())
    packs = sorted((git / "objects/pack").glob("*.idx")) + sorted((git / "objects/pack").glob("*.pack"))
    asked = [*(git / path for path in paths), pins, *packs, *shards, git / "objects" / lost[:2] / lost[2:]]
    done = subprocess.run(
        [*AS_USER, sys.executable, "-c", CHILD, str(film.path), *map(str, asked)],
        env=film.environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    silent = [path for path, said in told.items() if said == "nothing"]
    assert silent == []
    by_git = {path for path, said in told.items() if not said.startswith("unreadable: ")}
    # What Git itself says it cannot read, or what it then takes for no repository.
    assert by_git <= {str(git / "objects" / lost[:2] / lost[2:])}, {path: told[path] for path in by_git}
    unnamed = {path: said for path, said in told.items() if path not in said and path not in by_git}
    assert unnamed == {}


def test_a_reflog_of_any_size_is_read_whole(film: Film) -> None:
    first = film.git("rev-parse", "HEAD")
    oid = film.save("b.txt", "once")
    named = film.git("rev-parse", "HEAD")
    film.git("reset", "-q", "--hard", first)
    film.git("reflog", "expire", "--expire=now", "--all")
    log = film.path / ".git/logs/refs/heads/main"
    line = f"{first} {first} Ada <ada@example.org> 1700000000 +0000\treset: {'x' * 900}\n"
    log.write_text(line * (70 * 1024) + f"{named} {first} Ada <ada@example.org> 1700000000 +0000\treset: last\n")
    assert log.stat().st_size > 64 << 20
    assert (str(Path("refs/heads/main (reflog)")), named) in list(RootFiles(film.common).logged())
    assert oid in film.live()


def test_what_stopped_operations_left_is_read_whole(film: Film) -> None:
    """Also a patch without an end of line, in blocks that cut an id in two."""
    oid = film.save("b.txt", "picked")
    named = film.git("rev-parse", "HEAD")
    film.git("reset", "-q", "--hard", "HEAD~")
    shutil.rmtree(film.path / ".git/logs")
    for before in (0, (16 << 20) - 17, (16 << 20) + 5):
        film.write(".git/rebase-apply/patch", b"z" * before + b" " + named.encode() + b" z")
        assert oid in film.live()


def test_a_ref_that_holds_nothing_is_named(film: Film) -> None:
    """As a power cut leaves it: Git passes over the ref and over its reflog."""
    film.git("worktree", "add", "-q", "--detach", "../w1")
    film.at("w1").save("w.txt", "only there")
    git = film.path / ".git"
    for path in (git / "refs/heads/main", git / "worktrees/w1/HEAD"):
        kept = path.read_bytes()
        for junk in (b"", b"\0" * 41):
            path.write_bytes(junk)
            with pytest.raises(StorageError) as caught:
                film.roots().live()
            assert caught.value.kind == "unreadable" and str(path) in caught.value.message
        path.write_bytes(kept)
    (git / "refs/heads/.DS_Store").write_bytes(b"\0\0\0\1Bud1")
    (git / "refs/heads/main.lock").write_bytes(b"")
    film.roots().live()


def test_alternates_on_a_disk_that_is_away(film: Film, tmp_path: Path) -> None:
    borrowed = film.at("borrowed")
    film.git("clone", "-q", "--shared", str(film.path), str(borrowed.path))
    film.save("b.txt", "later")
    borrowed.roots().live()
    os.rename(film.path, tmp_path / "unmounted")
    with pytest.raises(StorageError) as caught:
        borrowed.roots().live()
    assert str(film.path / ".git/objects") in caught.value.message and "info/alternates" in caught.value.message
    os.rename(tmp_path / "unmounted", film.path)
    quoted = b'"%s/.git/objects"\n' % os.fsencode(film.path)
    (borrowed.path / ".git/objects/info/alternates").write_bytes(b"# a comment\n\n" + quoted)
    borrowed.roots().live()


@pytest.mark.parametrize("harm", ["empty", "another's bytes"])
def test_a_recipe_that_git_cannot_give_is_not_gone(film: Film, tmp_path: Path, harm: str) -> None:
    oid = film.save("r.txt", toml.encode(recipe("kept")).decode())
    path = film.path / ".git/objects" / oid[:2] / oid[2:]
    path.chmod(0o644)
    path.write_bytes(b"" if harm == "empty" else b"\x78\x9c nonsense")
    cache = ResultCache(str(tmp_path))
    with pytest.raises(StorageError) as caught:
        film.roots().say(cache, [bytes.fromhex(oid)], remember=False)
    assert caught.value.kind == "unreadable" and str(path) in caught.value.message
    path.unlink()
    assert not film.roots().say(cache, [bytes.fromhex(oid)], remember=False).records


def test_a_worktree_that_git_does_not_list_keeps_what_it_has(film: Film) -> None:
    film.git("worktree", "add", "-q", "--detach", "../w1")
    oid = film.at("w1").put("w.txt", "staged there")
    assert oid in film.live()
    shutil.rmtree(film.path.parent / "w1")  # as on a disk that is away
    assert oid in film.live()
    for text in ("", None):
        gitdir = film.path / ".git/worktrees/w1/gitdir"
        gitdir.unlink() if text is None else gitdir.write_text(text)
        assert oid in film.live()


def test_what_an_older_head_had_counts_though_its_parents_are_gone(film: Film) -> None:
    film.save("b.txt", "parent")
    parent = film.git("rev-parse", "HEAD")
    oid = film.save("c.txt", "merged")
    merged = film.git("rev-parse", "HEAD")
    film.git("reset", "-q", "--hard", "HEAD~2")
    shutil.rmtree(film.path / ".git/logs")
    film.write(".git/MERGE_HEAD", merged + "\n")
    (film.path / ".git/ORIG_HEAD").unlink(missing_ok=True)
    assert oid in film.live()
    (film.path / ".git/objects" / parent[:2] / parent[2:]).unlink()
    assert oid in film.live()


def test_the_callers_environment_cuts_nothing_off(film: Film, monkeypatch: pytest.MonkeyPatch) -> None:
    oid = film.save("b.txt", "old")
    film.git("rm", "-q", "b.txt")
    film.git("commit", "-q", "-m", "newer")
    shutil.rmtree(film.path / ".git/logs")
    cut = film.write("cut", film.git("rev-parse", "HEAD") + "\n")
    for name in ("GIT_SHALLOW_FILE", "GIT_GRAFT_FILE"):
        monkeypatch.setenv(name, str(cut))
        common = film.common
        assert bytes.fromhex(oid) in Roots(Git(str(film.path)), common, common, f"{common}/index").live().blobs
        monkeypatch.delenv(name)


def test_folders_of_refs_and_reflogs_may_be_links(film: Film, tmp_path: Path) -> None:
    """As 'git-new-workdir' makes them."""
    film.save("b.txt", "one")
    before = RootFiles(film.common).stamp()
    for name in ("refs/heads", "logs/refs"):
        os.rename(film.path / ".git" / name, tmp_path / name.replace("/", "-"))
        os.symlink(tmp_path / name.replace("/", "-"), film.path / ".git" / name)
    linked = RootFiles(film.common).stamp()
    film.save("b.txt", "two")
    assert len({before, linked, RootFiles(film.common).stamp()}) >= 2
    assert linked != RootFiles(film.common).stamp()
    os.symlink(".", film.path / ".git/refs/heads/loop")
    RootFiles(film.common).stamp()
