"""Commands that move a worktree between commits: media, recipes and a clean status afterwards."""

from __future__ import annotations

import pytest

from tests.git.film import ALPHA, BETA, CLASH, EXTRA, FIRST, MAIN, PLATE, SIDE, WORLDS, A, B, C, D, E, Film


def test_template(film: Film) -> None:
    film.settled(MAIN)


@pytest.mark.parametrize("verb", [["checkout", "-q"], ["switch", "-q"], ["switch", "-q", "--detach"]])
def test_checkout_and_switch(film: Film, verb: list[str]) -> None:
    for branch in ("side", "clash", "longer", "main"):
        film.git(*verb, branch)
        film.settled(WORLDS[branch])


def test_switch_creates_and_orphan(film: Film) -> None:
    film.git("switch", "-q", "-c", "new", "side")
    film.settled(SIDE)
    film.git("switch", "-q", "--orphan", "empty")
    assert film.tracked() == set()
    film.git("switch", "-q", "main")
    film.settled(MAIN)


def test_restore_path(film: Film) -> None:
    film.write(A, b"ruined")
    (film.path / C).unlink()
    film.git("restore", A, C)
    film.settled(MAIN)


def test_checkout_path_and_folder(film: Film) -> None:
    film.write(A, b"ruined")
    film.write(B, b"ruined too")
    film.git("checkout", "--", "shots")
    film.settled(MAIN)


def test_restore_source_shows_the_old_take_as_a_change(film: Film) -> None:
    film.git("restore", "--source=first", A, C)
    assert film.read(A) == ALPHA[1]
    assert film.read(C) == PLATE[1]
    assert film.status() == f" M {C}\n M {A}"
    film.expect_blob(A, ALPHA[2])
    film.git("add", "-A")
    assert film.blob(A) == film.blob(A, "first")
    assert film.blob(C) == film.blob(C, "first")


def test_restore_staged_and_worktree(film: Film) -> None:
    film.git("restore", "--source=first", "--staged", "--worktree", A, C)
    assert film.status() == f"M  {C}\nM  {A}"
    film.expect({**MAIN, A: ALPHA[1], C: PLATE[1]})
    film.no_filter("status", "--porcelain")


def test_checkout_of_paths_from_a_commit(film: Film) -> None:
    film.git("checkout", "-q", "side", "--", B, E)
    film.expect({**MAIN, B: BETA[2], E: EXTRA})
    assert film.status() == f"A  {E}\nM  {B}"


def test_reset_hard(film: Film) -> None:
    film.git("reset", "-q", "--hard", "first")
    film.settled(FIRST)
    film.git("reset", "-q", "--hard", "clash")
    film.settled(CLASH)
    film.write(A, b"ruined")
    (film.path / B).unlink()
    film.git("reset", "-q", "--hard")
    film.settled(CLASH)


def test_reset_mixed_keeps_media(film: Film) -> None:
    film.git("reset", "-q", "first")
    assert film.read(A) == ALPHA[2]
    film.git("add", "-A")
    film.expect(MAIN)
    assert film.git("diff", "--cached", "ORIG_HEAD") == ""


def test_bisect_run_sees_media(film: Film) -> None:
    film.git("checkout", "-q", "main")
    for n in range(6):
        film.write("notes.txt", f"{n}\n")
        if n == 3:
            film.put(C, PLATE[3])
        film.commit(f"step {n}")
    film.write("../probe.sh", f'head -c 12 {C} | cmp -s - "{film.path.parent}/good"\n')
    film.write("../good", PLATE[2][:12])
    film.git("bisect", "start", "HEAD", "first~0")
    film.git("bisect", "good", "main~6")
    said = film.git("bisect", "run", "sh", str(film.path.parent / "probe.sh"))
    assert "is the first bad commit" in said
    assert "step 3" in said
    film.git("bisect", "reset")
    film.settled({**MAIN, C: PLATE[3]})


def test_worktree_add_shares_the_store(film: Film) -> None:
    film.git("worktree", "add", "-q", "../second", "side")
    second = film.at(film.path.parent / "second")
    second.settled(SIDE)
    film.settled(MAIN)
    second.git("checkout", "-q", "clash")
    second.settled(CLASH)
    second.put(A, b"painted over in the second worktree")
    second.commit("paint")
    film.git("checkout", "-q", "--detach", "clash")
    film.settled({**CLASH, A: b"painted over in the second worktree"})
    film.git("worktree", "remove", "../second")
    film.settled({**CLASH, A: b"painted over in the second worktree"})


@pytest.mark.parametrize("mode", ["--cone", "--no-cone"])
def test_sparse_checkout(film: Film, mode: str) -> None:
    film.git("sparse-checkout", "set", mode, "plates" if mode == "--cone" else "/plates/")
    assert not (film.path / A).exists()
    assert film.read(C) == PLATE[2]
    film.quiet()
    film.git("checkout", "-q", "side")
    assert film.read(E) == EXTRA
    film.quiet()
    film.git("sparse-checkout", "add", "shots" if mode == "--cone" else "/shots/")
    assert film.read(A) == ALPHA[1]
    film.quiet()
    film.git("sparse-checkout", "disable")
    film.settled(SIDE)


def test_read_tree_update(film: Film) -> None:
    film.git("read-tree", "-m", "-u", "HEAD", "side")
    assert film.git("diff", "--cached", "side") == ""
    film.expect(SIDE)


def test_a_removed_path_and_its_return(film: Film) -> None:
    film.git("rm", "-q", D)
    film.git("commit", "-q", "-m", "removed")
    assert not (film.path / D).exists()
    film.git("revert", "--no-edit", "HEAD")
    film.settled(MAIN)
