"""Roots: whatever git can reach by any name is found, with its names; what nothing names is not."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from regenstore.errors import FormatError
from regenstore.objects import toml
from regenstore.objects.hashing import hash_bytes
from regenstore.objects.recipe import Input
from regenstore.objects.results.cache import ResultCache
from regenstore.refs.blobs import read_blobs
from regenstore.refs.git import Git
from tests.conftest import fresh_seed
from tests.refs.film import Film, History, reachable_by_name, recipe

# ------------------------------------------------------------------------------------------- one root at a time


def by_index(film: Film) -> tuple[str, str]:
    return film.put("b.txt", "staged"), "index"


def by_branch(film: Film) -> tuple[str, str]:
    film.git("checkout", "-q", "-b", "side")
    oid = film.save("b.txt", "branch")
    film.git("checkout", "-q", "main")
    return oid, "refs/heads/side"


def by_reflog(film: Film) -> tuple[str, str]:
    oid, _ = by_branch(film)
    film.git("branch", "-q", "-D", "side")
    return oid, "HEAD (reflog)"


def by_amended_commit(film: Film) -> tuple[str, str]:
    oid = film.save("b.txt", "before")
    film.put("b.txt", "after")
    film.git("commit", "-q", "--amend", "-m", "after")
    film.git("reflog", "expire", "--expire=now", "HEAD")
    return oid, "refs/heads/main (reflog)"


def by_tag(film: Film) -> tuple[str, str]:
    oid, _ = by_branch(film)
    film.git("tag", "-a", "-m", "inner", "inner", "side")
    film.git("tag", "-a", "-m", "outer", "outer", "inner")
    return oid, "refs/tags/outer"


def by_tag_of_a_tree(film: Film) -> tuple[str, str]:
    oid, _ = by_branch(film)
    film.git("tag", "leaves", "side^{tree}")
    return oid, "refs/tags/leaves"


def by_remote(film: Film) -> tuple[str, str]:
    oid, _ = by_branch(film)
    film.git("update-ref", "refs/remotes/origin/side", "side")
    return oid, "refs/remotes/origin/side"


def by_stash(film: Film) -> tuple[str, str]:
    oid = film.put("b.txt", "stashed")
    film.git("stash", "-q")
    return oid, "refs/stash"


def by_older_stash(film: Film) -> tuple[str, str]:
    oid, _ = by_stash(film)
    film.put("c.txt", "another")
    film.git("stash", "-q")
    return oid, "refs/stash (reflog)"


def by_untracked_stash(film: Film) -> tuple[str, str]:
    film.write("new.txt", "untracked")
    film.git("stash", "-q", "-u")
    return film.git("hash-object", "-t", "blob", "--stdin", stdin=b"untracked"), "refs/stash"


def by_note(film: Film) -> tuple[str, str]:
    film.git("notes", "add", "-m", "a note")
    return film.git("notes", "list", "HEAD"), "refs/notes/commits"


def by_pin(film: Film) -> tuple[str, str]:
    return film.pin("pinned"), f"refs/regenstore/pins/{hash_bytes(b'pinned').hex}"


def by_worktree_head(film: Film) -> tuple[str, str]:
    film.git("worktree", "add", "-q", "--detach", "../other")
    return film.at("other").save("b.txt", "detached"), "worktrees/other/HEAD"


def by_worktree_index(film: Film) -> tuple[str, str]:
    film.git("worktree", "add", "-q", "../other")
    return film.at("other").put("b.txt", "staged"), "worktrees/other/index"


def by_worktree_reflog(film: Film) -> tuple[str, str]:
    oid, _ = by_worktree_head(film)
    film.at("other").git("checkout", "-q", "main~0")
    return oid, "worktrees/other/HEAD (reflog)"


def by_worktree_bisect(film: Film) -> tuple[str, str]:
    oid, _ = by_branch(film)
    film.git("worktree", "add", "-q", "--detach", "../other")
    film.at("other").git("update-ref", "refs/bisect/bad", "side")
    film.git("branch", "-q", "-D", "side")
    film.git("reflog", "expire", "--expire=now", "--all")
    return oid, "worktrees/other/refs/bisect/bad"


def by_conflict(film: Film) -> tuple[str, str]:
    film.git("checkout", "-q", "-b", "side")
    oid = film.save("a.txt", "theirs")
    film.git("checkout", "-q", "main")
    film.save("a.txt", "ours")
    film.git("merge", "-q", "side", check=False)
    film.git("branch", "-q", "-D", "side")
    film.git("reflog", "expire", "--expire=now", "--all")
    return oid, "MERGE_HEAD"


def by_index_stage(film: Film) -> tuple[str, str]:
    oid, _ = by_conflict(film)
    (film.path / ".git" / "MERGE_HEAD").unlink()
    return oid, "index"


def by_fetch(film: Film) -> tuple[str, str]:
    oid, _ = by_branch(film)
    film.git("fetch", "-q", ".", "side")
    film.git("branch", "-q", "-D", "side")
    film.git("reflog", "expire", "--expire=now", "--all")
    return oid, "FETCH_HEAD"


def by_cherry_pick(film: Film) -> tuple[str, str]:
    """The second of two picks, known only by a shortened id in the list of what is still to do."""
    film.git("checkout", "-q", "-b", "side")
    film.save("a.txt", "theirs")
    oid = film.save("b.txt", "second")
    film.git("checkout", "-q", "main")
    film.save("a.txt", "ours")
    film.git("cherry-pick", "side~1", "side", check=False)
    film.git("branch", "-q", "-D", "side")
    film.git("reflog", "expire", "--expire=now", "--all")
    return oid, "sequencer/todo"


def by_rebase(film: Film) -> tuple[str, str]:
    """What a rebase autostashed before it stopped."""
    film.git("checkout", "-q", "-b", "side")
    film.save("a.txt", "theirs")
    film.git("checkout", "-q", "main")
    film.save("a.txt", "ours")
    oid = film.put("b.txt", "autostashed")
    film.git("rebase", "-q", "--autostash", "side", check=False)
    return oid, "rebase-merge/autostash"


ROOTS = {name.removeprefix("by_"): made for name, made in list(globals().items()) if name.startswith("by_")}


@pytest.mark.parametrize("root", ROOTS.values(), ids=ROOTS)
def test_each_root_keeps_its_blobs_and_is_named(film: Film, root: Callable[[Film], tuple[str, str]]) -> None:
    oid, name = root(film)
    assert oid in film.live()
    assert name in film.names(oid)


def test_roots_are_the_same_from_every_worktree(film: Film) -> None:
    kept = [by_worktree_index(film)[0], by_stash(film)[0], by_note(film)[0], film.put("d.txt", "bisected")]
    other = film.at("other")
    film.git("update-ref", "refs/bisect/bad", film.git("commit-tree", "-m", "x", film.git("write-tree")))
    film.git("reset", "-q", "--hard")
    kept.append(film.put("e.txt", "in the main worktree's index"))
    assert film.live() == other.live() >= set(kept)
    assert [film.names(oid) for oid in kept] == [other.names(oid) for oid in kept]


def test_what_nothing_names_is_not_live(film: Film) -> None:
    oid = film.git("hash-object", "-w", "--stdin", stdin=b"loose")
    dropped, _ = by_stash(film)
    film.git("stash", "drop", "-q")
    assert not {oid, dropped} & film.live()
    assert film.names(oid) == [] == film.names(dropped)


def test_an_index_of_the_callers_does_not_hide_the_worktrees_own(film: Film, monkeypatch: pytest.MonkeyPatch) -> None:
    oid, _ = by_index(film)
    other = str(film.path / ".git" / "other-index")
    monkeypatch.setenv("GIT_INDEX_FILE", other)
    temporary = Film(film.path, {**film.environment, "GIT_INDEX_FILE": other}).put("c.txt", "temporary")
    roots = film.roots(other)
    assert {oid, temporary} <= {found.hex() for found in roots.live().blobs}
    assert roots.names([bytes.fromhex(oid)])[bytes.fromhex(oid)] == ["index"]


def test_a_split_index_is_whole(film: Film) -> None:
    film.git("update-index", "--split-index")
    oid, name = by_index(film)
    assert oid in film.live() and name in film.names(oid)


def test_a_replaced_commit_hides_nothing(film: Film) -> None:
    hidden = film.save("b.txt", "replaced")
    film.git("rm", "-q", "b.txt")
    film.git("commit", "-q", "-m", "gone")
    film.git("reflog", "expire", "--expire=now", "--all")
    film.git("replace", "HEAD~1", "HEAD~2")
    assert hidden in film.live() and "HEAD" in film.names(hidden)


def test_a_damaged_ref_is_an_error_and_a_stale_orig_head_is_not(film: Film) -> None:
    by_branch(film)
    film.write(".git/ORIG_HEAD", "1" * 40 + "\n")
    assert film.live()
    lost = film.git("rev-parse", "side")
    film.write(".git/ORIG_HEAD", lost + "\n")
    film.git("branch", "-q", "-D", "side")
    film.git("reflog", "expire", "--expire=now", "--all")
    tree = film.git("rev-parse", f"{lost}^{{tree}}")
    (film.path / ".git/objects" / tree[:2] / tree[2:]).unlink()
    assert film.git("rev-parse", "HEAD:a.txt") in film.live()
    film.write(".git/refs/heads/side", lost + "\n")
    for damaged in (lost, "1" * 40):
        film.write(".git/refs/heads/side", damaged + "\n")
        with pytest.raises(FormatError):
            film.live()


def test_a_partial_clone_says_what_it_lacks_and_fetches_nothing(film: Film) -> None:
    kept, lacking = film.git("rev-parse", "HEAD:a.txt"), film.save("b.txt", "elsewhere")
    film.git("rm", "-q", "b.txt")
    film.git("commit", "-q", "-m", "gone")
    film.git("config", "uploadpack.allowFilter", "true")
    clone = film.at("clone")
    film.git("clone", "-q", "--filter=blob:none", f"file://{film.path}", str(clone.path))
    live = clone.roots().live()
    assert (live.blobs, live.missing) == ({bytes.fromhex(kept)}, {bytes.fromhex(lacking)})
    treeless = film.at("treeless")
    film.git("clone", "-q", "--filter=tree:0", f"file://{film.path}", str(treeless.path))
    assert kept in treeless.live() and treeless.roots().live().missing


def test_sha256_repositories(tmp_path: Path, film: Film) -> None:
    other = film.at("sha256")
    other.path.mkdir()
    other.git("init", "-q", "--object-format=sha256")
    other.save("a.txt", "first")
    oid, name = by_cherry_pick(other)
    assert len(oid) == 64 and oid in other.live() and name in other.names(oid)
    oid, name = by_pin(other)
    assert oid in other.live() and name in other.names(oid)


def test_a_repository_without_a_commit(tmp_path: Path, film: Film) -> None:
    new = film.at("new")
    new.path.mkdir()
    new.git("init", "-q")
    assert new.live() == set()
    assert {new.put("a.txt", "staged")} == new.live()


# ------------------------------------------------------------------------------------------- random histories


@pytest.mark.parametrize("round", range(4))
def test_everything_that_git_can_reach_by_name_is_live(film: Film, round: int) -> None:
    seed = fresh_seed()
    print(f"seed {seed}")
    history = History(film, random.Random(seed))
    for _ in range(80):
        history.step()
    expected = reachable_by_name(film)
    live = film.live()
    lost = {oid: how for oid, how in expected.items() if oid not in live}
    others = [film.at(name) for name in ("w1", "w2") if (film.path.parent / name).exists()]
    assert all(other.live() == live for other in others), "\n".join(history.log)
    assert not lost, "\n".join(history.log)
    assert len(expected) > 3
    names = film.roots().names(bytes.fromhex(oid) for oid in expected)
    assert not [expected[oid.hex()] for oid, found in names.items() if not found], "\n".join(history.log)


# ------------------------------------------------------------------------------------------- what they say


def test_blobs_are_read_once_and_say_takes_and_inputs(film: Film, tmp_path: Path) -> None:
    source, shot = recipe("source"), recipe("shot", source=Input(hash_bytes(b"source")))
    for name, text in (("s", toml.encode(source)), ("t", toml.encode(shot)), ("u", b"regenstore: no\n")):
        film.save(name, text.decode())
    film.save("v", "regenstore = 99\n" + str(hash_bytes(b"newer")))
    film.write("large", b"regenstore = 1\n" + bytes(toml.MAX_BYTES))
    film.commit()
    cache = ResultCache(str(tmp_path))
    live = film.roots().live().blobs
    said = read_blobs(Git(str(film.path)), cache, live, remember=True)
    assert {record.key for record in said.records.values()} == {source.key, shot.key}
    assert said.digests == {hash_bytes(b) for b in (b"source", b"shot", b"newer")}
    # Asked again, Git is needed only for the one that a newer program may understand.
    assert cache.blobs(live) == said.records
    assert len(cache.plain_blobs(live)) == len(live) - 3
    assert read_blobs(Git(str(film.path)), cache, live, remember=True) == said
    known = live - said.unreadable.keys()
    assert read_blobs(Git(str(tmp_path), program="no-such-git"), cache, known, remember=True).records == said.records
    cache.close()
