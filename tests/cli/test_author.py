"""new, set, unset, edit, record: writing recipes."""

from __future__ import annotations

import tomllib

import pytest

from regenstore.objects.hashing import hash_bytes
from tests.cli.conftest import SMALL
from tests.conftest import Checkout


def recipe(film: Checkout, name: str, revision: str = "") -> dict[str, object]:
    return tomllib.loads(film.blob(name, revision).decode())


def test_new_makes_the_medium_and_stages_nothing(film: Checkout) -> None:
    said = film.regenstore("new", "plates/fog.png", "-g", "procedural.image", "-p", "prompt=fog", *SMALL)
    assert "plates/fog.png" in said
    assert film.read("plates/fog.png").startswith(b"\x89PNG")
    assert film.status() == "?? plates/fog.png"
    film.git("add", "plates/fog.png")
    written = recipe(film, "plates/fog.png")
    assert written["params"] == {"prompt": "fog", "width": 64, "height": 48}
    assert written["output"]["digest"] == str(hash_bytes(film.read("plates/fog.png")))
    assert written["output"]["size"] == len(film.read("plates/fog.png"))


def test_new_without_generating_writes_text_that_get_turns_into_the_medium(film: Checkout) -> None:
    film.regenstore("new", "a.png", "-g", "procedural.image", "-p", "prompt=fog", *SMALL, "--no-generate")
    assert film.is_recipe("a.png")
    assert "digest" not in film.read("a.png").decode()
    film.regenstore("get", "a.png")
    assert film.read("a.png").startswith(b"\x89PNG")
    film.git("add", "a.png")
    assert recipe(film, "a.png")["output"]["size"] == len(film.read("a.png"))


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (
            ["x.png", "-g", "procedural.imag", "-p", "prompt=a"],
            3,
            ["procedural.imag", "did you mean 'procedural.image'"],
        ),
        (["x.png", "-g", "procedural.image", "-p", "promt=a"], 2, ["promt", "did you mean 'prompt'"]),
        (["x.png", "-g", "procedural.image"], 2, ["'prompt' is required", "-p NAME=VALUE"]),
        (
            ["x.png", "-g", "procedural.image", "-p", "prompt=a", "-p", "width=ten"],
            2,
            ["width", "a whole number", "ten"],
        ),
        (["x.png", "-g", "procedural.image", "-p", "prompt=a", "-p", "width=1"], 2, ["width", "16 or more"]),
        (["x.png", "-g", "procedural.image", "-p", "prompt"], 2, ["NAME=VALUE"]),
        (
            ["x.png", "-g", "procedural.image", "-p", "prompt=a", "-i", "source=refs/photo.png"],
            2,
            ["no input 'source'"],
        ),
        (["x.png", "-g", "derive.image", "-i", "sorce=plates/sea.png"], 2, ["did you mean 'source'?"]),
        (["plates/sea.png", "--force", "-g", "derive.image", "-i", "source=plates/sea.png"], 2, ["its own input"]),
        (["x.wav", "-g", "procedural.image", "-p", "prompt=a"], 2, ["x.wav", ".png"]),
        (["x.txt", "-g", "procedural.image", "-p", "prompt=a"], 2, ["x.txt", "regenstore track '*.txt'"]),
        (["../x.png", "-g", "procedural.image", "-p", "prompt=a"], 2, ["outside the worktree"]),
        ([".git/x.png", "-g", "procedural.image", "-p", "prompt=a"], 2, ["not inside the worktree"]),
        (["plates/sea.png", "-g", "procedural.image", "-p", "prompt=a"], 4, ["regenstore set", "--force"]),
        (["x.mp4", "-g", "derive.video", "-i", "source=nowhere.mp4"], 3, ["nowhere.mp4"]),
    ],
)
def test_new_refuses_bad_input_clearly(film: Checkout, arguments: list[str], code: int, words: list[str]) -> None:
    done = film.run("regenstore", "new", *arguments, check=False)
    said = done.stderr.decode()
    assert done.returncode == code, said
    assert all(word in said for word in words), said
    assert "Traceback" not in said
    assert film.status() == ""


def test_inputs_are_pinned_by_digest_and_imported_ones_are_stored(film: Checkout) -> None:
    film.regenstore("new", "small.png", "-g", "derive.image", "-i", "source=plates/sea.png", "-p", "width=32")
    film.git("add", "small.png")
    assert recipe(film, "small.png")["inputs"] == {
        "source": {"path": "plates/sea.png", "digest": recipe(film, "plates/sea.png")["output"]["digest"]}
    }


def test_set_changes_the_recipe_and_the_diff_shows_the_parameter(film: Checkout) -> None:
    before = film.read("plates/sea.png")
    film.regenstore("set", "plates/sea.png", "seed=43")
    assert film.read("plates/sea.png") != before
    diff = film.git("diff", "plates/sea.png")
    assert "-seed = 42" in diff and "+seed = 43" in diff
    assert film.git("diff", "--cached") == ""
    film.commit("other seed")
    assert film.status() == ""
    assert recipe(film, "plates/sea.png", "HEAD")["params"]["seed"] == 43


def test_large_seeds_stay_exact(film: Checkout) -> None:
    film.regenstore("set", "plates/sea.png", f"seed={2**64 - 1}")
    film.git("add", "-A")
    assert recipe(film, "plates/sea.png")["params"]["seed"] == str(2**64 - 1)


def test_unset_goes_back_to_the_default(film: Checkout) -> None:
    film.regenstore("unset", "plates/sea.png", "seed")
    film.git("add", "-A")
    assert "seed" not in recipe(film, "plates/sea.png")["params"]
    done = film.run("regenstore", "unset", "plates/sea.png", "seed", check=False)
    assert done.returncode == 2 and b"does not set 'seed'" in done.stderr


def test_set_refuses_imported_and_edited_media(film: Checkout) -> None:
    done = film.run("regenstore", "set", "refs/photo.png", "seed=1", check=False)
    assert done.returncode == 2 and b"imported media" in done.stderr
    film.write("plates/sea.png", film.read("plates/sea.png") + b"paint")
    painted = film.read("plates/sea.png")
    done = film.run("regenstore", "set", "plates/sea.png", "seed=1", check=False)
    assert done.returncode == 4 and b"edited by hand" in done.stderr
    assert film.read("plates/sea.png") == painted
    film.regenstore("set", "plates/sea.png", "seed=1", "--force")
    film.git("add", "-A")
    assert recipe(film, "plates/sea.png")["params"]["seed"] == 1


def test_edit_takes_a_valid_text_and_refuses_a_bad_one(film: Checkout) -> None:
    film.regenstore("edit", "plates/sea.png", GIT_EDITOR="sed -i s/dusk/dawn/")
    film.git("add", "-A")
    assert recipe(film, "plates/sea.png")["params"]["prompt"] == "storm at dawn"
    before = film.read("plates/sea.png")
    done = film.run(
        "regenstore", "edit", "plates/sea.png", check=False, stdin=b"n\n", GIT_EDITOR="sed -i s/width/widht/"
    )
    assert done.returncode == 2 and b"did you mean 'width'" in done.stderr
    assert film.read("plates/sea.png") == before
    assert "nothing changed" in film.regenstore("edit", "plates/sea.png", GIT_EDITOR="true")


def test_editing_only_what_is_said_about_a_medium_keeps_its_bytes(film: Checkout) -> None:
    before = film.read("plates/sea.png")
    film.regenstore("edit", "plates/sea.png", GIT_EDITOR='sh -c \'printf "\\n[about]\\nscene = \\"sea\\"\\n" >> "$0"\'')
    assert film.read("plates/sea.png") == before
    assert film.status() == " M plates/sea.png"
    film.commit("about")
    assert recipe(film, "plates/sea.png", "HEAD")["about"] == {"scene": "sea"}
    assert film.status() == ""


def test_record_after_a_merge_of_two_artists(film: Checkout) -> None:
    film.git("switch", "-q", "-c", "ada")
    film.regenstore("set", "plates/sea.png", "seed=8")
    film.commit("seed")
    film.git("switch", "-q", "-c", "ben", "main")
    film.regenstore("set", "plates/sea.png", "prompt=storm at dawn")
    film.commit("prompt")
    film.git("merge", "-q", "--no-edit", "ada")
    merged = recipe(film, "plates/sea.png", "HEAD")
    assert merged["params"] == {"prompt": "storm at dawn", "seed": 8, "width": 64, "height": 48}
    assert "digest" not in merged["output"]
    assert film.read("plates/sea.png").startswith(b"\x89PNG")
    assert film.status() == ""
    assert "unrecorded" in film.regenstore("status")
    film.regenstore("record", "plates/sea.png")
    assert "+digest" in film.git("diff")
    film.commit("record")
    assert recipe(film, "plates/sea.png", "HEAD")["output"]["digest"] == str(hash_bytes(film.read("plates/sea.png")))
    assert "already recorded" in film.regenstore("record", "plates/sea.png")


def test_what_was_typed_into_an_editor_is_never_lost(film: Checkout) -> None:
    done = film.run(
        "regenstore", "edit", "plates/sea.png", check=False, GIT_EDITOR="sed -i 's/dusk/dawn/; s/width/widht/'"
    )
    (kept,) = (film.path / ".git").glob("regenstore-edit-*.toml")
    assert done.returncode and f"--from {kept}".encode() in done.stderr and "dawn" in kept.read_text()
    film.git("config", "core.editor", "sed -i 's/widht/width/; $a # a note'")
    del film.environment["GIT_EDITOR"]
    again = film.run("regenstore", "edit", "plates/sea.png", "--from", str(kept))
    assert b"Comments were dropped" in again.stderr
    film.git("add", "-A")
    assert recipe(film, "plates/sea.png")["params"]["prompt"] == "storm at dawn"
    done = film.run("regenstore", "edit", "plates/sea.png", check=False, GIT_EDITOR="false")
    assert done.returncode == 2 and b"'false' ended with code 1" in done.stderr
    assert len(list((film.path / ".git").glob("regenstore-edit-*.toml"))) == 1  # unchanged texts are not kept


@pytest.fixture
def conflict(film: Checkout) -> Checkout:
    """Two branches that chose another seed, prompt and rating."""
    for branch, seed, prompt, rating in (("side", "1", "calm", "2"), ("main", "2", "gale", "3")):
        film.git("checkout", "-q", "-B", branch, "main")
        film.regenstore("tag", "plates/sea.png", f"rating={rating}")
        film.regenstore("set", "plates/sea.png", f"seed={seed}", f"prompt={prompt}")
        film.git("tag", f"{branch}-end", film.commit(branch))
        if branch == "side":
            film.git("checkout", "-q", "main")
    assert film.run("git", "merge", "-q", "side", check=False).returncode == 1
    return film


def test_a_conflict_is_resolved_by_side_or_by_value(conflict: Checkout) -> None:
    said = conflict.regenstore("status")
    assert "the sides differ in" in said and "params.seed" in said and "--ours FIELD" in said
    done = conflict.run("regenstore", "set", "plates/sea.png", "--theirs", "steps", check=False)
    assert done.returncode == 2 and b"in conflict: params.prompt" in done.stderr
    said = conflict.regenstore("set", "plates/sea.png", "--theirs", "prompt", "--ours", "about")
    assert "still in conflict: params.seed" in said
    conflict.regenstore("set", "plates/sea.png", "seed=9")
    conflict.git("add", "-A")
    found = recipe(conflict, "plates/sea.png")
    assert (found["params"]["prompt"], found["params"]["seed"], found["about"]["rating"]) == ("calm", 9, 3)
    assert "digest" in found["output"]
    done = conflict.run("regenstore", "set", "plates/sea.png", "--ours", "seed", check=False)
    assert done.returncode == 2 and b"not in conflict" in done.stderr


def test_a_side_that_was_chosen_whole_keeps_its_take(conflict: Checkout) -> None:
    conflict.regenstore("set", "plates/sea.png", "--theirs", "*")
    conflict.git("add", "-A")
    assert conflict.blob("plates/sea.png") == conflict.blob("plates/sea.png", "side-end")


def test_edit_opens_a_conflict_and_an_invalid_text(conflict: Checkout) -> None:
    ours = "sed -i -e '/^<<<<<<</d' -e '/^=======$/,/^>>>>>>>/d'"
    conflict.regenstore("edit", "plates/sea.png", GIT_EDITOR=ours)
    conflict.git("add", "-A")
    assert conflict.blob("plates/sea.png") == conflict.blob("plates/sea.png", "main-end")
    conflict.regenstore("drop", "plates/sea.png")
    conflict.write("plates/sea.png", conflict.read("plates/sea.png").replace(b"seed = 2", b"seed = "))
    conflict.regenstore("edit", "plates/sea.png", GIT_EDITOR="sed -i 's/^seed = $/seed = 2/'")
    assert not conflict.is_recipe("plates/sea.png")


def test_stores_and_remotes_among_the_worktree_s_files(film: Checkout) -> None:
    """A store there is refused, a remote warned about; doctor names both. In Git's own folder they are safe."""
    for store in ("", "media", "."):
        done = film.run("regenstore", "init", "--store", store, check=False)
        assert done.returncode == 2 and b"--store" in done.stderr
    film.regenstore("init", "--store", ".git/regenstore")
    assert film.run("regenstore", "clone", "--store", "", ".", "../x", check=False).returncode == 2
    film.git("config", "regenstore.store", "media")
    film.regenstore("fsck")
    told = film.run("regenstore", "remote", "add", "m", "shared", "--create").stderr
    assert b"inside the worktree" in told
    said = film.run("regenstore", "doctor", check=False).stdout.decode()
    assert "media is inside the worktree" in said and "shared) is inside the worktree" in said


def test_only_what_was_made_counts_as_made(film: Checkout) -> None:
    film.write(
        "regenstore.toml",
        '[generators.none]\nversion = "1"\ncommand = ["false", "{output}"]\nmedia_type = "image/png"\n',
    )
    film.regenstore("trust", "--yes")
    film.regenstore("new", "none.png", "-g", "none", "--no-generate")
    assert film.run("regenstore", "get", check=False).stdout.decode() == "0 placed, 0 made\n"
