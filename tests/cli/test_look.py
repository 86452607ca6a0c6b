"""show, status, check, generators, track, install and the command group itself."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from pathlib import Path

import pytest

from regenstore.cli.main import COMMANDS
from tests.conftest import Checkout


def test_show_here_at_a_revision_and_for_scripts(film: Checkout) -> None:
    text = film.regenstore("show", "plates/sea.png")
    assert text.encode() == film.blob("plates/sea.png", "HEAD")
    assert " s to make, " in film.regenstore("set", "plates/sea.png", "seed=43")
    assert ", made before, " in film.regenstore("set", "plates/sea.png", "seed=42")
    film.regenstore("set", "plates/sea.png", "seed=43")
    assert "seed = 43" in film.regenstore("show", "plates/sea.png")
    assert "seed = 42" in film.regenstore("show", "HEAD:plates/sea.png")
    data = json.loads(film.regenstore("show", "--json", "HEAD:plates/sea.png"))
    assert (data["type"], data["version"], data["params"]["seed"]) == ("regenstore.recipe", 1, 42)
    assert film.regenstore("show", "--key", "HEAD:plates/sea.png").strip() == data["key"]
    assert film.regenstore("show", "--canonical", "HEAD:plates/sea.png").startswith(
        "t6:s9:generators16:procedural.image"
    )


def test_show_from_a_folder_below(film: Checkout) -> None:
    inside = Checkout(film.path / "plates", film.environment)
    assert inside.regenstore("show", "sea.png") == film.regenstore("show", "plates/sea.png")
    assert inside.regenstore("show", "HEAD:sea.png") == film.regenstore("show", "HEAD:plates/sea.png")


@pytest.mark.parametrize(
    ("name", "code"),
    [("nowhere.png", 3), ("HEAD:nowhere.png", 3), ("HEAD:.gitattributes", 3), ("nope:plates/sea.png", 3)],
)
def test_show_says_what_is_not_there(film: Checkout, name: str, code: int) -> None:
    done = film.run("regenstore", "show", name, check=False)
    assert done.returncode == code and b"Traceback" not in done.stderr


def states(film: Checkout) -> dict[str, str]:
    found = json.loads(film.regenstore("status", "--json"))
    assert found["type"] == "regenstore.status"
    return {row["path"]: row["state"] for row in found["paths"]}


def test_status_names_every_state(film: Checkout) -> None:
    assert states(film) == {"plates/sea.png": "placed", "refs/photo.png": "imported"}
    film.regenstore("drop")
    assert states(film) == {"plates/sea.png": "recipe", "refs/photo.png": "recipe"}
    assert film.status() == ""
    film.regenstore("get")
    film.regenstore("set", "plates/sea.png", "seed=1")
    film.write("refs/photo.png", b"other bytes")
    assert states(film) == {"plates/sea.png": "changed", "refs/photo.png": "edited"}
    os.unlink(film.path / "refs/photo.png")
    assert states(film)["refs/photo.png"] == "missing"
    film.git("checkout", "-q", "--", ".")
    film.regenstore("set", "plates/sea.png", "seed=2", "--no-generate")
    film.git("add", "-A")
    assert states(film)["plates/sea.png"] == "wanted"


def test_status_says_what_is_kept_and_what_could_go(film: Checkout) -> None:
    def said() -> dict[str, tuple[str, str]]:
        rows = json.loads(film.regenstore("status", "--json"))["paths"]
        return {row["path"]: (row["eviction"], row["rule"]) for row in rows}

    assert said() == {"plates/sea.png": ("kept", "unproven"), "refs/photo.png": ("kept", "imported")}
    assert "evictable:" not in film.regenstore("status")
    film.regenstore("verify", "plates/sea.png")
    assert said() == {"plates/sea.png": ("evictable", "proven"), "refs/photo.png": ("kept", "imported")}
    told = film.regenstore("status", "--all")
    assert "1 take kept, 1 evictable: " in told and " s to make again" in told
    assert [line.split()[3] for line in told.splitlines()[:2]] == ["evictable", "kept"]
    for tree in ("vault", "cache"):
        shutil.rmtree(film.store / tree)
    assert said() == {"plates/sea.png": (None, None), "refs/photo.png": (None, None)}


def test_status_limits_itself_to_paths_and_refuses_unknown_ones(film: Checkout) -> None:
    assert "refs/photo.png" not in film.regenstore("status", "-a", "plates")
    done = film.run("regenstore", "status", "nowhere", check=False)
    assert done.returncode == 3 and b"nowhere" in done.stderr


def test_get_tells_its_plan_and_places_without_making(film: Checkout) -> None:
    film.regenstore("drop")
    plan = json.loads(film.regenstore("get", "--dry-run", "--json"))
    assert plan["present"] == 2 and plan["make"] == []
    done = json.loads(film.regenstore("get", "--no-generate", "--json"))
    assert sorted(done["placed"]) == ["plates/sea.png", "refs/photo.png"] and not done["failed"]
    assert film.status() == ""


def test_drop_keeps_what_was_edited(film: Checkout) -> None:
    film.write("plates/sea.png", b"painted over")
    done = film.run("regenstore", "drop")
    assert b"kept plates/sea.png" in done.stderr
    assert film.read("plates/sea.png") == b"painted over"
    assert film.is_recipe("refs/photo.png")


def test_drop_keeps_what_only_a_pending_recipe_needs(film: Checkout) -> None:
    film.regenstore("set", "plates/sea.png", "seed=8")
    sea = film.read("plates/sea.png")
    film.regenstore("drop", "plates/sea.png")
    assert b"seed = 8" in film.read("plates/sea.png")
    for _ in range(2):
        film.regenstore("gc", "--unreachable", "--older-than", "0", "--purge", "--yes")
    film.regenstore("get", "--no-generate", "plates/sea.png")
    assert film.read("plates/sea.png") == sea
    film.commit("seed 8")
    film.regenstore("drop", "plates/sea.png")
    assert not list((film.path / ".git/regenstore-pending").iterdir())


def test_check_finds_what_must_not_be_committed(film: Checkout) -> None:
    good = film.git("rev-parse", "HEAD")
    assert film.regenstore("check").strip() == "Nothing wrong"
    film.git("config", "--unset", "filter.regenstore.required")
    for name in ("process", "clean", "smudge"):
        film.git("config", "--unset", f"filter.regenstore.{name}")
    film.write("raw.png", b"\x89PNG raw")
    film.write("bad.png", b'regenstore = 1\ngenerator = "x"\n')
    film.write("merge.png", b"regenstore = 1\n<<<<<<< ours\na = 1\n=======\na = 2\n>>>>>>> theirs\n")
    film.commit("bad things")
    done = film.run("regenstore", "check", f"{good}..HEAD", "--json", check=False)
    found = {row["path"]: row["kind"] for row in json.loads(done.stdout)["findings"]}
    assert done.returncode == 1
    assert found == {"raw.png": "raw-media", "bad.png": "bad-recipe", "merge.png": "conflict-markers"}
    bare = Checkout(film.path.parent / "bare.git", film.environment)
    film.git("clone", "-q", "--bare", ".", str(bare.path))
    assert bare.run("regenstore", "check", f"{good}..HEAD", check=False).returncode == 1
    assert bare.run("regenstore", "check", "nonsense..HEAD", check=False).returncode == 3


def test_the_pre_commit_hook_refuses_conflict_markers(film: Checkout) -> None:
    hook = film.write(".git/hooks/pre-commit", (film_hooks() / "pre-commit").read_bytes())
    hook.chmod(0o755)
    film.write("merge.png", b"regenstore = 1\n<<<<<<< ours\na = 1\n=======\na = 2\n>>>>>>> theirs\n")
    film.git("add", "-A")
    done = film.run("git", "commit", "-m", "markers", check=False)
    assert done.returncode != 0 and b"conflict markers" in done.stderr
    film.git("rm", "-qf", "merge.png")
    film.write("fine.png", b"\x89PNG\r\n\x1a\n fine")
    film.commit("passes")


def film_hooks():
    from pathlib import Path

    return Path(__file__).resolve().parents[2] / "hooks"


def test_generators_are_listed_and_described(film: Checkout) -> None:
    listed = film.regenstore("generators")
    for name in (
        "procedural.image",
        "procedural.video",
        "procedural.audio",
        "derive.image",
        "derive.video",
        "derive.audio",
    ):
        assert name in listed
    shown = film.regenstore("generators", "procedural.video")
    assert "frames" in shown and re.search("frames +integer 1..100000 +96 ", shown) and ".mp4" in shown
    data = json.loads(film.regenstore("generators", "derive.video", "--json"))["generators"][0]
    assert data["inputs"]["source"]["kinds"]
    outside = Checkout(film.path.parent, film.environment)
    assert "procedural.image" in outside.regenstore("generators")


def test_track_lists_adds_and_removes_patterns(film: Checkout) -> None:
    assert film.regenstore("track").split() == ["*.png", "*.wav", "*.mp4"]
    film.regenstore("track", "with space/*.exr")
    assert '"with space/*.exr" filter=regenstore' in film.read(".gitattributes").decode()
    assert film.git("check-attr", "filter", "with space/a.exr").endswith("filter: regenstore")
    film.regenstore("untrack", "with space/*.exr", "*.wav")
    assert film.regenstore("track").split() == ["*.png", "*.mp4"]
    before = film.read(".gitattributes")
    film.regenstore("track", "*.tif", "--dry-run")
    assert film.read(".gitattributes") == before


def test_install_and_uninstall_in_every_scope(film: Checkout) -> None:
    film.regenstore("uninstall", "--local")
    assert film.git("config", "--local", "--get-regexp", "regenstore", check=False) == ""
    assert "would set" in film.regenstore("install", "--dry-run")
    assert film.git("config", "--global", "--get-regexp", "regenstore", check=False) == ""
    film.regenstore("install")
    assert film.git("config", "--global", "filter.regenstore.required") == "true"
    assert "Already installed" in film.regenstore("install")
    film.git("config", "extensions.worktreeConfig", "true")
    film.regenstore("install", "--worktree")
    assert film.git("config", "--worktree", "filter.regenstore.required") == "true"
    film.regenstore("uninstall", "--worktree")
    film.regenstore("uninstall")
    assert film.git("config", "--get-regexp", r"filter\.regenstore", check=False) == ""


def test_install_leaves_a_foreign_filter_alone(film: Checkout) -> None:
    film.regenstore("uninstall", "--local")
    film.git("config", "filter.regenstore.process", "somebody-elses")
    done = film.run("regenstore", "install", "--local", check=False)
    assert done.returncode == 4 and b"somebody-elses" in done.stderr
    film.regenstore("install", "--local", "--force")
    assert "regenstore.cli.filter_entry" in film.git("config", "filter.regenstore.process")


def test_a_program_path_with_blanks_works(film: Checkout) -> None:
    folder = film.path.parent / "my 'programs'"
    folder.symlink_to(Path(sys.executable).parent.parent)
    from regenstore.gitfilter.install import git_values
    from regenstore.gitfilter.launch import Starter

    for name, value in git_values(Starter(str(folder / "bin" / "python"))).items():
        film.git("config", name, value)
    film.regenstore("drop")
    film.write("x.png", b"\x89PNG\r\n\x1a\n x")
    film.commit("through the quoted path")
    assert film.blob("x.png", "HEAD").startswith(b"regenstore = 1\n")


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_has_help_with_an_example(name: str, film_environment: Checkout) -> None:
    said = film_environment.regenstore(name, "--help")
    assert "Example" in said
    assert f"regenstore {name}" in said


@pytest.fixture(scope="session")
def film_environment(film_template) -> Checkout:
    from tests.conftest import hermetic_environment

    return Checkout(film_template / "film", hermetic_environment(film_template / "home"))


def test_the_command_group(film: Checkout) -> None:
    assert "storm at dusk" in film.regenstore("--help")
    done = film.run("regenstore", "statsu", check=False)
    assert done.returncode == 2 and b"Did you mean 'status'" in done.stderr
    outside = Checkout(film.path.parent, film.environment)
    done = outside.run("regenstore", "status", check=False)
    assert done.returncode == 3 and b"not inside a Git worktree" in done.stderr


def test_bad_settings_are_named(film: Checkout) -> None:
    for name, value in {
        "smudge": "always",
        "budget": "soon",
        "jobs": "-1",
        "inline": "maybe",
        "maxOutput": "much",
    }.items():
        film.git("config", f"regenstore.{name}", value)
        done = film.run("regenstore", "status", check=False)
        assert done.returncode == 2, name
        assert f"regenstore.{name.lower()}".encode() in done.stderr and value.encode() in done.stderr
        film.git("config", "--unset", f"regenstore.{name}")
