"""Kinds of repositories: clones of all sorts, other object formats, other index formats, submodules."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from collections.abc import Mapping

import pytest

from tests.git import film as project
from tests.git.film import ALPHA, BETA, CLASH, FIRST, MAIN, PLATE, SIDE, WORLDS, A, B, C, D, E, Film

GENERATED = {A, B, D}


def apart(media: Mapping[str, bytes]) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """What a clone without the store can make again, and what stays a recipe there."""
    made = {name: data for name, data in media.items() if name in GENERATED}
    return made, {name: data for name, data in media.items() if name not in GENERATED}


def clone(film: Film, *options: str, source: str | None = None, shared: bool = False) -> Film:
    """A clone beside the film; its store is empty unless it is ``shared``."""
    if shared:
        options = (*options, "-c", f"regenstore.store={film.store}")
    film.git("clone", "-q", *options, source or str(film.path), "../copy")
    return film.at(film.path.parent / "copy")


def forget(film: Film) -> None:
    """Take the store away, as if the clone were made on another machine."""
    film.store.rename(film.path.parent / "elsewhere")


# -------------------------------------------------------------------------------------------- clones


def test_clone_makes_media_again(film: Film) -> None:
    forget(film)
    film.git("clone", "-q", str(film.path), "../copy")
    copy = film.at(film.path.parent / "copy")
    made, kept = apart(MAIN)
    copy.settled(made, recipes=kept, later=True)


def test_clone_has_media_from_the_store_of_its_origin(film: Film) -> None:
    clone(film).settled(MAIN)


def test_clone_says_what_it_cannot_have(film: Film) -> None:
    forget(film)
    said = film.run("git", "clone", str(film.path), "../copy").stderr.decode()
    assert "1 medium stays a recipe; 'regenstore fsck' looks for other copies of it" in said
    assert f"'{C}'" in said


def test_clone_with_a_shared_store(film: Film) -> None:
    copy = clone(film, shared=True)
    copy.settled(MAIN)
    copy.git("checkout", "-q", "-b", "side", "origin/side")
    copy.settled(SIDE)


def test_regenstore_clone_needs_no_installation(film: Film) -> None:
    for section in ("filter", "merge", "diff"):
        film.git("config", "--global", "--remove-section", f"{section}.regenstore")
    film.regenstore("clone", "--store", str(film.store), str(film.path), "../copy")
    film.at(film.path.parent / "copy").settled(MAIN)


def test_clone_without_the_program_then_install_and_get(film: Film) -> None:
    for section in ("filter", "merge", "diff"):
        film.git("config", "--global", "--remove-section", f"{section}.regenstore")
    copy = clone(film)
    copy.expect({}, recipes=MAIN)
    assert copy.status() == ""
    copy.regenstore("init", "--store", str(film.store))
    copy.regenstore("get")
    copy.settled(MAIN)


@pytest.mark.parametrize("option", [["--filter=blob:none"], ["--depth=1"], ["--filter=tree:0"], ["--depth=2"]])
def test_partial_and_shallow_clones(film: Film, option: list[str]) -> None:
    film.git("config", "uploadpack.allowFilter", "true")
    film.git("config", "uploadpack.allowAnySHA1InWant", "true")
    copy = clone(film, *option, source=f"file://{film.path}", shared=True)
    copy.settled(MAIN)
    copy.put(A, ALPHA[1])
    copy.git("add", A)
    assert copy.blob(A) == film.blob(A, "first")
    copy.git("reset", "-q", "--hard")
    if "filter" in option[0]:
        copy.git("checkout", "-q", "-b", "side", "origin/side")
        copy.settled(SIDE)
        copy.git("merge", "-q", "--no-edit", "main")
        copy.quiet()


def test_partial_clone_makes_media_again(film: Film) -> None:
    film.git("config", "uploadpack.allowFilter", "true")
    forget(film)
    copy = clone(film, "--filter=blob:none", source=f"file://{film.path}")
    made, kept = apart(MAIN)
    copy.settled(made, recipes=kept, later=True)


def test_bare_clone_pushed_to_and_cloned_again(film: Film) -> None:
    film.git("clone", "-q", "--bare", str(film.path), "../hub.git")
    copy = clone(film, source=str(film.path.parent / "hub.git"), shared=True)
    copy.put(C, b"painted in the copy")
    copy.regenstore("set", A, "word=alpha3")
    copy.commit("from the copy")
    copy.git("push", "-q", "origin", "HEAD:main")
    film.git("remote", "add", "hub", "../hub.git")
    film.git("pull", "-q", "hub", "main")
    film.settled({**MAIN, C: b"painted in the copy", A: ALPHA[3]})
    hub = film.at(film.path.parent / "hub.git")
    assert hub.run("git", "cat-file", "blob", f"main:{C}").stdout.startswith(b"regenstore = 1\n")


def test_bare_repository_archives_recipes(film: Film) -> None:
    """No worktree, no store: the filter is asked, and lets the recipes pass."""
    film.git("clone", "-q", "--bare", str(film.path), "../hub.git")
    hub = film.at(film.path.parent / "hub.git")
    packed = hub.run("git", "archive", "--format=tar", "main").stdout
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        member = tar.extractfile(A)
        assert member is not None
        assert member.read() == film.blob(A)


# -------------------------------------------------------------------------------------------- formats


def test_sha256_repository(film: Film) -> None:
    film.git("init", "-q", "--object-format=sha256", "../wide")
    wide = film.at(film.path.parent / "wide")
    wide.regenstore("track", "*.bin")
    wide.write("regenstore.toml", project.GENERATOR)
    wide.write("tools/words.sh", project.PROGRAM).chmod(0o755)
    wide.regenstore("new", A, "-g", "words", "-p", "word=alpha1")
    wide.put(C, PLATE[1])
    first = wide.commit("first")
    assert len(first) == 64
    wide.regenstore("set", A, "word=alpha2")
    wide.put(C, PLATE[2])
    wide.commit("second")
    wide.git("checkout", "-q", first)
    wide.settled({A: ALPHA[1], C: PLATE[1]})
    wide.git("checkout", "-q", "main")
    wide.settled({A: ALPHA[2], C: PLATE[2]})
    wide.git("stash", "push", "-q", check=False)
    wide.git("restore", "--source", first, "--staged", "--worktree", C)
    wide.expect({A: ALPHA[2], C: PLATE[1]})
    wide.no_filter("status")


def walk(film: Film) -> None:
    """A round through the branches, with what a person does in between."""
    film.settled(MAIN)
    for branch in ("side", "clash", "main"):
        film.git("checkout", "-q", branch)
        film.settled(WORLDS[branch])
    film.put(C, b"painted")
    film.git("stash", "push", "-q")
    film.settled(MAIN)
    film.git("stash", "pop", "-q")
    film.git("commit", "-q", "-a", "-m", "painted")
    film.settled({**MAIN, C: b"painted"})
    film.regenstore("drop", A)
    film.quiet()
    film.regenstore("get")
    film.settled({**MAIN, C: b"painted"})
    film.git("reset", "-q", "--hard", "first")
    film.settled(FIRST)


@pytest.mark.parametrize("version", ["2", "3", "4"])
def test_index_versions(film: Film, version: str) -> None:
    film.git("config", "index.version", version)
    film.git("update-index", "--force-write-index", "--index-version", version, check=False)
    film.git("update-index", "--index-version", version)
    if version == "3":  # Git writes 3 only where an entry needs it
        film.write("later.txt", "intent to add")
        film.git("add", "-N", "later.txt")
        assert (film.path / ".git/index").read_bytes()[7] == 3
        film.git("rm", "-q", "--cached", "later.txt")
        (film.path / "later.txt").unlink()
        film.git("update-index", "--skip-worktree", "notes.txt")
    assert (film.path / ".git/index").read_bytes()[7] == int(version)
    walk(film)


@pytest.mark.parametrize(
    "setting",
    [
        ["index.skipHash", "true"],
        ["core.untrackedCache", "true"],
        ["core.splitIndex", "true"],
        ["core.autocrlf", "true"],
        ["core.eol", "crlf"],
        ["core.trustctime", "false"],
        ["core.checkStat", "minimal"],
        ["core.preloadIndex", "true"],
        ["checkout.workers", "4"],
        ["feature.manyFiles", "true"],
        ["core.quotePath", "false"],
        ["core.ignoreCase", "true"],
    ],
    ids=lambda setting: "=".join(setting),
)
def test_settings(film: Film, setting: list[str]) -> None:
    film.git("config", *setting)
    film.git("update-index", "--force-write-index", check=False)
    film.git("status", "--porcelain")
    walk(film)


def test_split_index_is_one(film: Film) -> None:
    """The split index is really in use, and a path whose index entry is another is left alone."""
    film.git("config", "core.splitIndex", "true")
    film.git("update-index", "--split-index")
    assert list((film.path / ".git").glob("sharedindex.*"))
    film.git("restore", "--source=first", A, C)
    assert film.read(A) == ALPHA[1]
    film.expect_blob(A, ALPHA[2])  # the index still says what HEAD says
    assert film.status() == f" M {C}\n M {A}"
    film.git("checkout", "-q", "-f", "side")
    film.settled(SIDE)


def test_split_index_keeps_conflicts(film: Film) -> None:
    film.git("config", "core.splitIndex", "true")
    film.git("update-index", "--split-index")
    film.run("git", "merge", "clash", check=False)
    film.git("checkout", "--ours", A, C)
    assert film.read(A) == ALPHA[2]
    assert film.status() == f"UU {C}\nUU {A}"


def test_sparse_index(film: Film) -> None:
    film.git("config", "index.sparse", "true")
    film.git("sparse-checkout", "set", "--cone", "--sparse-index", "plates")
    assert b"sdir" in (film.path / ".git/index").read_bytes()
    assert film.read(C) == PLATE[2]
    assert not (film.path / A).exists()
    film.quiet()
    film.git("checkout", "-q", "side")
    assert film.read(E) == SIDE[E]
    film.quiet()
    film.put(E, b"painted")
    film.git("add", E)
    film.git("commit", "-q", "-m", "painted")
    film.expect_blob(E, b"painted", "HEAD")
    film.quiet()
    film.git("sparse-checkout", "disable")
    film.settled({**SIDE, E: b"painted"})


def test_index_file_keeps_its_mode(film: Film) -> None:
    index = film.path / ".git/index"
    film.git("config", "core.sharedRepository", "0660")
    film.git("checkout", "-q", "side")
    assert index.stat().st_mode & 0o777 == 0o660
    film.settled(SIDE)


# -------------------------------------------------------------------------------------------- submodules


def test_submodule(film: Film) -> None:
    film.git("init", "-q", "../whole")
    whole = film.at(film.path.parent / "whole")
    whole.git("-c", f"regenstore.store={film.store}", "submodule", "--quiet", "add", str(film.path), "reel")
    reel = film.at(whole.path / "reel")
    reel.git("config", "regenstore.store", str(film.store))
    reel.regenstore("get")
    reel.settled(MAIN)
    whole.git("commit", "-q", "-m", "with a reel")
    reel.git("checkout", "-q", "-b", "side", "origin/side")
    reel.settled(SIDE)
    assert whole.status() == " M reel"
    whole.git("submodule", "--quiet", "update")
    reel.settled(MAIN)
    reel.git("checkout", "-q", "side")
    whole.git("commit", "-q", "-a", "-m", "another reel")
    whole.git("-c", "submodule.recurse=true", "checkout", "-q", "HEAD~1")
    reel.settled(MAIN)
    reel.put(A, b"painted in the submodule")
    reel.git("commit", "-q", "-a", "-m", "painted")
    reel.expect_blob(A, b"painted in the submodule", "HEAD")


def test_git_dir_and_work_tree_elsewhere(film: Film) -> None:
    """--git-dir and --work-tree, and a folder below the top: the same worktree."""
    git_dir, top = str(film.path / ".git"), str(film.path)
    subprocess.run(
        ["git", "--git-dir", git_dir, "--work-tree", top, "checkout", "-q", "side"],
        cwd=film.path.parent,
        env=film.environment,
        check=True,
    )
    film.settled(SIDE)
    film.at(film.path / "shots").git("checkout", "-q", "clash")
    film.settled(CLASH)
    film.git("-C", "plates", "checkout", "-q", "main", GIT_DIR=git_dir, GIT_WORK_TREE=top)
    film.settled(MAIN)


def test_separate_git_dir_and_moved_worktree(film: Film) -> None:
    film.git("init", "-q", "--separate-git-dir", "../git-of-film")
    assert (film.path / ".git").is_file()
    film.git("checkout", "-q", "side")
    film.settled(SIDE)
    moved = film.path.parent / "moved film"
    film.path.rename(moved)
    film = film.at(moved)
    film.git("checkout", "-q", "main")
    film.settled(MAIN)


def test_another_index_file(film: Film) -> None:
    """GIT_INDEX_FILE: the index that git uses is the one that is told."""
    other = str(film.path.parent / "other-index")
    film.git("read-tree", "side", GIT_INDEX_FILE=other)
    film.git("--work-tree", ".", "checkout-index", "-a", "-f", "--prefix=../export/", GIT_INDEX_FILE=other)
    assert film.read(f"../export/{B}") == BETA[2]
    film.settled(MAIN)
    assert not os.path.exists(other + ".lock")
