"""Commands that make or rewrite history: merge, rebase, cherry-pick, revert, stash, am, commit."""

from __future__ import annotations

import pytest

from regenstore.objects import toml
from tests.git.film import ALPHA, BETA, EXTRA, MAIN, PLATE, SIDE, A, B, C, D, E, Film, words

BOTH = {A: ALPHA[2], B: BETA[2], C: PLATE[2], D: MAIN[D], E: EXTRA}
ALPHA2_LONG = words("alpha2", 2000)


def add_longer_alpha(film: Film) -> None:
    """Let the store know the medium that the merge of main and longer wants."""
    film.git("checkout", "-q", "-b", "known", "main")
    film.regenstore("set", A, "bytes=2000")
    film.commit("known")
    film.git("checkout", "-q", "main")


def test_merge_clean(film: Film) -> None:
    film.git("merge", "-q", "--no-edit", "side")
    film.settled(BOTH)


def test_merge_fast_forward(film: Film) -> None:
    film.git("checkout", "-q", "-b", "behind", "first")
    film.git("merge", "-q", "--ff-only", "main")
    film.settled(MAIN)


def test_merge_of_parameters_makes_the_new_medium(film: Film) -> None:
    """word from one side, bytes from the other: nobody has that medium yet, and the tree stays clean."""
    film.git("merge", "-q", "--no-edit", "longer")
    film.quiet()
    assert film.read(A) == ALPHA2_LONG
    recipe = toml.decode(film.blob(A))
    assert dict(recipe.params) == {"word": "alpha2", "bytes": 2000}
    assert recipe.output.take is None
    assert "unrecorded" in film.regenstore("status", "--all", A)
    film.regenstore("record", A)
    film.git("add", A)
    film.expect({**MAIN, A: ALPHA2_LONG})
    film.git("commit", "-q", "-m", "recorded")
    film.git("checkout", "-q", "first")
    film.git("checkout", "-q", "main")
    film.settled({**MAIN, A: ALPHA2_LONG})


def test_merge_of_parameters_with_nothing_made(film: Film) -> None:
    film.git("config", "regenstore.smudge", "place")
    said = film.run("git", "merge", "--no-edit", "longer").stderr.decode()
    assert "1 medium stays a recipe" in said
    assert A in said
    assert film.read(A) == film.blob(A)
    film.quiet(later=True)
    film.regenstore("get")
    film.quiet()
    assert film.read(A) == ALPHA2_LONG


@pytest.mark.parametrize("style", ["merge", "diff3"])
def test_merge_conflict_and_its_resolution(film: Film, style: str) -> None:
    film.git("config", "merge.conflictStyle", style)
    done = film.run("git", "merge", "--no-edit", "clash", check=False)
    assert done.returncode == 1
    text = film.read(A).decode()
    assert text.startswith("regenstore = 1\n")
    assert "<<<<<<<" in text
    assert 'word = "alpha2"' in text
    assert 'word = "alpha3"' in text
    assert film.status() == f"UU {C}\nUU {A}"
    assert "alpha3" in film.git("diff")  # the filter sees the marked text, and lets it pass
    film.git("checkout", "--theirs", A, C)
    assert film.read(A) == ALPHA[3]
    assert film.read(C) == PLATE[3]
    film.git("add", A, C)
    film.git("commit", "-q", "--no-edit")
    film.settled({**MAIN, A: ALPHA[3], C: PLATE[3]})
    assert film.blob(A) == film.blob(A, "clash")
    assert film.blob(C) == film.blob(C, "clash")


def test_merge_conflict_resolved_by_editing_the_text(film: Film) -> None:
    film.run("git", "merge", "--no-edit", "clash", check=False)
    kept = []
    for line in film.read(A).decode().splitlines(keepends=True):
        if not line.startswith(("<<<<<<<", "=======", ">>>>>>>")) and "alpha2" not in line:
            kept.append(line)
    text = [line for n, line in enumerate(kept) if not (line.startswith("digest") and line in kept[:n])]
    film.write(A, "".join(line for line in text if not line.startswith(("digest", "size", "seconds", "key"))))
    film.git("checkout", "--ours", C)
    film.git("add", "-A")
    film.git("commit", "-q", "--no-edit")
    assert toml.decode(film.blob(A)).params["word"] == "alpha3"
    film.quiet(later=True)
    film.regenstore("get")
    film.quiet()
    assert film.read(A) == ALPHA[3]


def test_the_side_that_was_chosen_keeps_its_whole_recipe(film: Film) -> None:
    """While a path is in conflict, the index has no one recipe there: the sides are asked."""
    film.git("checkout", "-q", "clash")
    for name in (A, C):
        film.regenstore("drop", name)
        film.write(name, film.read(name) + b'\n[about]\nnote = "take this one"\n')
    film.git("commit", "-q", "-a", "-m", "noted")
    film.git("checkout", "-q", "main")
    film.run("git", "merge", "clash", check=False)
    film.git("checkout", "--theirs", A, C)
    assert (film.read(A), film.read(C)) == (ALPHA[3], PLATE[3])
    film.git("add", A, C)
    for name in (A, C):
        assert film.blob(name) == film.blob(name, "clash")
        assert toml.decode(film.blob(name)).about == {"note": "take this one"}
    film.git("reset", "-q", "--merge")
    film.settled(MAIN)


def test_an_edit_of_a_path_in_conflict_names_its_origin(film: Film) -> None:
    film.run("git", "merge", "clash", check=False)
    film.put(A, b"painted instead of merged")
    film.git("add", A)
    recipe = toml.decode(film.blob(A))
    assert recipe.imported
    assert recipe.about["edited_from"] == str(toml.decode(film.blob(A, "main")).key)


@pytest.mark.parametrize("driver", [True, False], ids=["driver", "no driver"])
def test_a_conflict_inside_a_prompt(film: Film, driver: bool) -> None:
    """Markers inside a multi-line string are valid TOML, and still no recipe: nothing is placed or made."""
    if not driver:
        film.git("config", "--global", "--remove-section", "merge.regenstore")
    for branch, line in (("base", "dawn"), ("ours", "noon"), ("theirs", "dusk")):
        film.git("checkout", "-q", "-b", branch, "main" if branch == "base" else "base")
        film.regenstore("set", A, f"word=a wide shot\n{line}\nover the sea")
        film.commit(branch)
    film.git("checkout", "-q", "ours")
    said = film.run("git", "merge", "theirs", check=False)
    assert said.returncode == 1
    text = film.read(A)
    assert b"<<<<<<<" in text
    assert b"noon" in text
    assert b"dusk" in text
    film.run("regenstore", "get", check=False)
    assert film.read(A) == text
    assert film.status() == f"UU {A}"
    film.git("merge", "--abort")
    film.quiet()


def test_merge_with_renormalize(film: Film) -> None:
    """Git then smudges and cleans all three sides: media in memory, and the same result."""
    film.git("-c", "merge.renormalize=true", "merge", "-q", "--no-edit", "side")
    film.settled(BOTH)


def test_merge_abort(film: Film) -> None:
    film.run("git", "merge", "--no-edit", "clash", check=False)
    film.git("merge", "--abort")
    film.settled(MAIN)


@pytest.mark.parametrize("option", ["ours", "theirs"])
def test_merge_with_a_favoured_side(film: Film, option: str) -> None:
    """Git does not tell -X to a merge driver; without one its own text merge takes the side."""
    film.git("config", "--global", "--remove-section", "merge.regenstore")
    film.git("merge", "-q", "--no-edit", "-X", option, "clash")
    chosen = {"ours": {}, "theirs": {A: ALPHA[3], C: PLATE[3]}}[option]
    film.settled({**MAIN, **chosen})


def test_merge_without_the_driver(film: Film) -> None:
    """A collaborator's Git merges recipes as text: a clean merge where other lines changed, else markers."""
    film.git("config", "--global", "--remove-section", "merge.regenstore")
    film.git("merge", "-q", "--no-edit", "side")
    film.settled(BOTH)
    done = film.run("git", "merge", "--no-edit", "clash", check=False)
    assert done.returncode == 1
    assert b"<<<<<<<" in film.read(A)
    film.git("merge", "--abort")
    film.settled(BOTH)


def test_merge_without_commit_then_edit(film: Film) -> None:
    film.git("merge", "-q", "--no-commit", "--no-ff", "side")
    film.expect(BOTH)
    film.no_filter("diff", "--stat")
    film.git("commit", "-q", "--no-edit")
    film.settled(BOTH)


def test_octopus_merge(film: Film) -> None:
    film.git("checkout", "-q", "-b", "other", "first")
    film.put("plates/f.bin", b"another plate")
    film.commit("other")
    film.git("checkout", "-q", "main")
    film.git("merge", "-q", "--no-edit", "side", "other")
    film.settled({**BOTH, "plates/f.bin": b"another plate"})


@pytest.mark.parametrize("backend", ["--merge", "--apply"])
def test_rebase(film: Film, backend: str) -> None:
    film.git("checkout", "-q", "side")
    film.put("plates/f.bin", b"one more plate")
    film.commit("more")
    film.git("rebase", "-q", backend, "main")
    film.settled({**BOTH, "plates/f.bin": b"one more plate"}, later=backend == "--apply")
    film.git("checkout", "-q", "main")
    film.settled(MAIN)


@pytest.mark.parametrize("backend", ["--merge", "--apply"])
def test_rebase_with_a_conflict(film: Film, backend: str) -> None:
    film.git("checkout", "-q", "clash")
    assert film.run("git", "rebase", backend, "main", check=False).returncode
    film.git("checkout", "--theirs", A, C)
    film.git("add", A, C)
    film.git("rebase", "--continue")
    film.settled({**MAIN, A: ALPHA[3], C: PLATE[3]})
    assert film.blob(A) == film.blob(A, "clash@{1}")


def test_rebase_abort_and_skip(film: Film) -> None:
    film.git("checkout", "-q", "clash")
    film.run("git", "rebase", "main", check=False)
    film.git("rebase", "--abort")
    film.settled({A: ALPHA[3], B: BETA[1], C: PLATE[3]})
    film.run("git", "rebase", "main", check=False)
    film.git("rebase", "--skip")
    film.settled(MAIN)


def test_rebase_interactive_squashes(film: Film) -> None:
    plates = {f"plates/s{n}.bin": b"plate %d" % n for n in (1, 2, 3)}
    for name, data in plates.items():
        film.put(name, data)
        film.commit(name)
    film.git("rebase", "-q", "-i", "HEAD~3", GIT_SEQUENCE_EDITOR="sed -i -e '2s/pick/squash/'")
    assert film.git("rev-list", "--count", "first..HEAD") == "3"
    film.settled({**MAIN, **plates})


def test_rebase_with_exec_sees_media_between_picks(film: Film) -> None:
    film.git("checkout", "-q", "side")
    film.git("rebase", "-q", "-x", f"cp {E} ../seen", "main", REGENSTORE_INLINE="1")
    assert film.read("../seen") == EXTRA
    film.settled(BOTH, later=True)


def test_rebase_autostash(film: Film) -> None:
    film.git("checkout", "-q", "side")
    film.put(C, b"painted")
    film.git("rebase", "-q", "--autostash", "main", check=False)
    assert film.read(E) == EXTRA
    film.expect_blob(C, b"painted", "stash@{0}")  # both sides changed it: Git keeps the stash


def test_cherry_pick(film: Film) -> None:
    film.git("cherry-pick", "side")
    film.settled(BOTH)


def test_cherry_pick_conflict(film: Film) -> None:
    assert film.run("git", "cherry-pick", "clash", check=False).returncode
    film.git("checkout", "--ours", A, C)
    film.git("add", "-A")
    film.git("cherry-pick", "--skip")
    film.settled(MAIN)


def test_revert(film: Film) -> None:
    film.git("revert", "--no-edit", "HEAD")
    film.settled({A: ALPHA[1], B: BETA[1], C: PLATE[1]})
    film.git("revert", "--no-edit", "HEAD")
    film.settled(MAIN)


def test_stash_push_and_pop(film: Film) -> None:
    film.put(A, b"painted over")
    film.regenstore("set", B, "word=beta2")
    film.put("plates/new.bin", b"not added yet")
    film.git("stash", "push", "-q", "--include-untracked")
    film.settled(MAIN)
    film.git("stash", "pop", "-q")
    assert film.read(A) == b"painted over"
    assert film.read(B) == BETA[2]
    assert film.read("plates/new.bin") == b"not added yet"
    film.git("add", "-A")
    film.expect({**MAIN, A: b"painted over", B: BETA[2], "plates/new.bin": b"not added yet"})
    assert toml.decode(film.blob(A)).imported
    assert toml.decode(film.blob(B)).params["word"] == "beta2"


def test_stash_keeps_the_index_and_applies_elsewhere(film: Film) -> None:
    film.put(C, b"staged plate")
    film.git("add", C)
    film.git("stash", "push", "-q")
    film.settled(MAIN)
    film.git("stash", "apply", "-q", "--index")
    film.expect({**MAIN, C: b"staged plate"})
    assert film.status() == f"M  {C}"
    film.git("reset", "-q", "--hard")
    film.git("stash", "branch", "from-stash")
    assert film.read(C) == b"staged plate"
    film.git("commit", "-q", "-a", "-m", "from the stash")
    film.settled({**MAIN, C: b"staged plate"})


def test_format_patch_and_am(film: Film) -> None:
    patch = film.no_filter("format-patch", "--stdout", "first..side")
    assert 'word = "beta2"' in patch
    film.run("git", "am", "-q", stdin=patch.encode())
    assert film.status() == ""
    film.expect(BOTH)


def test_apply_to_index_and_worktree(film: Film) -> None:
    patch = film.no_filter("diff", "first", "side")
    film.run("git", "apply", "--index", stdin=patch.encode())
    film.expect(BOTH)
    film.git("commit", "-q", "-m", "applied")
    assert film.status() == ""


def test_commit_all_and_of_a_path(film: Film) -> None:
    film.put(A, b"painted")
    film.put(C, b"new plate")
    film.git("commit", "-q", "-a", "-m", "all")
    film.settled({**MAIN, A: b"painted", C: b"new plate"})
    film.put(A, b"painted again")
    film.put(C, b"another plate")
    film.git("commit", "-q", "-m", "one", "--", A)
    assert film.status() == f" M {C}"
    film.git("commit", "-q", "--amend", "--no-edit", "--include", C)
    film.settled({**MAIN, A: b"painted again", C: b"another plate"})


def test_edit_and_checkout_is_refused_then_merged(film: Film) -> None:
    film.put(A, b"painted over")
    refused = film.run("git", "checkout", "side", check=False)
    assert refused.returncode
    assert film.read(A) == b"painted over"
    film.git("checkout", "-q", "-m", "side", check=False)
    assert film.git("rev-parse", "--abbrev-ref", "HEAD") == "side"
    assert film.read(B) == BETA[2]
    film.git("reset", "-q", "--hard")
    film.settled(SIDE)


def test_checkout_merge_of_a_conflicted_path(film: Film) -> None:
    film.run("git", "merge", "--no-edit", "clash", check=False)
    film.git("checkout", "--ours", A)
    assert film.read(A) == ALPHA[2]
    film.git("checkout", "-m", A)
    assert b"<<<<<<<" in film.read(A)
    film.git("merge", "--abort")
    film.settled(MAIN)


def test_rename_and_edit_merge(film: Film) -> None:
    film.git("checkout", "-q", "side")
    film.git("mv", B, "shots/renamed.bin")
    film.git("commit", "-q", "-m", "renamed")
    film.git("checkout", "-q", "main")
    film.regenstore("set", B, "bytes=1500")
    film.commit("longer")
    film.git("merge", "-q", "--no-edit", "-X", "find-renames=30%", "side")
    assert "shots/renamed.bin" in film.tracked()
    recipe = toml.decode(film.blob("shots/renamed.bin"))
    assert dict(recipe.params) == {"word": "beta2", "bytes": 1500}
    assert film.read("shots/renamed.bin") == words("beta2", 1500)
    film.quiet()


def test_rename_keeps_the_recipe(film: Film) -> None:
    before = film.blob(A), film.blob(C)
    film.git("mv", A, "shots/z.bin")
    (film.path / C).rename(film.path / "plates/z.bin")
    film.git("add", "-A")
    assert (film.blob("shots/z.bin"), film.blob("plates/z.bin")) == before
    film.git("commit", "-q", "-m", "renamed")
    film.quiet()
    film.git("checkout", "-q", "HEAD~1")
    film.settled(MAIN)


def test_executable_bit_is_kept(film: Film) -> None:
    (film.path / A).chmod(0o755)
    film.git("add", A)
    film.git("commit", "-q", "-m", "executable")
    film.git("checkout", "-q", "first")
    assert not (film.path / A).stat().st_mode & 0o111
    film.git("checkout", "-q", "main")
    assert (film.path / A).stat().st_mode & 0o111
    film.settled(MAIN)
    film.regenstore("drop", A)
    assert (film.path / A).stat().st_mode & 0o111
    film.regenstore("get", A)
    assert (film.path / A).stat().st_mode & 0o111
    film.settled(MAIN)
