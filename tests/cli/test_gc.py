"""gc, undo and du as users meet them: what is shown, what is asked, what comes back."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from tests.conftest import Checkout, built_on, copied
from tests.terminal import on_terminal

SEA = "plates/sea.png"
MORE = ("-g", "procedural.image", "-p", "prompt=fog", "-p", "width=64", "-p", "height=48")


@pytest.fixture(scope="session")
def proven_template(film_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    def build(film: Checkout) -> None:
        film.regenstore("verify", "--all")
        film.regenstore("set", SEA, "seed=7")
        film.commit("another sea")
        film.regenstore("verify", "--all")

    return built_on(tmp_path_factory, "proven-template", film_template, Checkout, build)


@pytest.fixture
def proven(proven_template: Path, tmp_path: Path) -> Checkout:
    """The plate has an older take in history; both are proven. The photo is imported."""
    return copied(proven_template, tmp_path, Checkout)


def plan(film: Checkout, *options: str) -> dict[str, object]:
    done = film.run("regenstore", "gc", "--dry-run", "--json", *options, check=False)
    told = json.loads(done.stdout)
    assert done.returncode == (1 if told["short"] else 0)
    return told


def du(film: Checkout, *options: str) -> dict[str, object]:
    return json.loads(film.regenstore("du", "--json", *options))


@pytest.mark.heavy
def test_order_space_and_return(proven):
    shown = plan(proven)
    (old,) = shown["evict"]
    assert (old["rule"], old["standing"], old["paths"]) == ("proven", "superseded", [SEA])
    assert shown["seconds"] > 0 and shown["kept"]["imported"]["contents"] == 1
    text = proven.regenstore("gc", "--dry-run")
    assert SEA in text and "superseded" in text and "to bring back" in text
    assert plan(proven) == shown
    assert "undo" in proven.regenstore("gc", "--yes")
    assert du(proven)["trash"]["contents"] == 1
    (run,) = json.loads(proven.regenstore("undo", "--list", "--json"))["runs"]
    assert run["in_trash"]["contents"] == 1 and run["run"] in proven.regenstore("undo", "--list")
    assert "1 restored" in proven.regenstore("undo")
    assert du(proven)["trash"]["contents"] == 0
    proven.regenstore("gc", "--yes", "--purge")
    assert json.loads(proven.regenstore("undo", "--list", "--json"))["runs"][0]["deleted"]
    sea = proven.read(SEA)
    done = proven.run("regenstore", "gc", "--yes", "--free", "1g", check=False)
    assert done.returncode == 1 and b"less than requested" in done.stderr
    assert du(proven)["states"]["evictable"]["contents"] == 0
    proven.git("checkout", "-q", "HEAD~1")
    old_sea = proven.read(SEA)
    assert old_sea != sea and not proven.is_recipe(SEA)
    proven.git("checkout", "-q", "main")
    assert proven.read(SEA) == sea
    assert proven.status() == ""


def test_bare_repositories(proven: Checkout) -> None:
    """gc, undo, du and doctor work where there is no worktree; nothing else is said to be wrong there."""
    mirror = Checkout(proven.path.parent / "mirror.git", proven.environment)
    proven.git("clone", "-q", "--mirror", ".", str(mirror.path))
    mirror.git("config", "regenstore.store", str(proven.path / ".git/regenstore"))
    bare = Checkout(proven.path.parent / "bare.git", proven.environment)
    proven.git("init", "-q", "--bare", str(bare.path))
    assert plan(mirror) == plan(proven) and du(mirror) == du(proven)
    assert "undo" in mirror.regenstore("gc", "--yes") and "1 restored" in mirror.regenstore("undo")
    for each in (mirror, bare):
        told = json.loads(each.regenstore("doctor", "--json"))["findings"]
        assert {found["level"] for found in told} <= {"ok", "note"}
    assert "nothing to do" in bare.regenstore("gc", "-n") and not (bare.path / "regenstore").exists()
    assert b"not inside a Git worktree" in bare.run("regenstore", "status", check=False).stderr


def test_nobody_is_asked_nothing_goes(proven):
    done = proven.run("regenstore", "gc", check=False)
    assert done.returncode == 5 and b"--dry-run" in done.stderr and b"--yes" in done.stderr
    assert proven.run("regenstore", "gc", "--json", check=False).returncode == 5
    assert plan(proven)["evict"]
    assert not (proven.store / "trash").exists()


@pytest.mark.parametrize("answer", ["n", "y"])
def test_a_terminal_asks(proven, answer):
    code, said = on_terminal(proven, "regenstore", "gc", typed=f"{answer}\n".encode())
    assert b"Do this?" in said
    assert (code == 0) == (answer == "y")
    assert (proven.store / "trash").exists() == (answer == "y")


def test_nothing_to_do(film):
    film.regenstore("gc", "--dry-run")
    assert "nothing to do" in film.regenstore("gc")
    done = film.run("regenstore", "undo", check=False)
    assert done.returncode == 3


@pytest.mark.parametrize("options", [["--free", "much"], ["--max-size", "-3"], ["--older-than", "soon"]])
def test_bad_options(film, options):
    done = film.run("regenstore", "gc", *options, check=False)
    assert done.returncode == 2 and b"expected" in done.stderr and b"Traceback" not in done.stderr


def test_how_much_is_said_once(film):
    done = film.run("regenstore", "gc", "--free", "1k", "--max-size", "1g", check=False)
    assert done.returncode == 2 and b"--max-size" in done.stderr and b"hint: Use one" in done.stderr


def test_a_dry_run_ends_as_the_real_one(proven):
    for size, short in (("1", False), ("1g", True)):
        tried = proven.run("regenstore", "gc", "--dry-run", "--free", size, check=False)
        done = proven.run("regenstore", "gc", "--yes", "--free", size, check=False)
        assert tried.returncode == done.returncode == short
        assert (b"less than requested" in done.stdout) == short


@pytest.mark.heavy
def test_what_lists_of_runs_count(proven):
    """A content counts once: where it lies, or with the last run that took it."""

    def listed() -> list[tuple[int, int]]:
        runs = json.loads(proven.regenstore("undo", "--list", "--json"))["runs"]
        return [(run["in_trash"]["contents"], len(run["deleted"])) for run in runs]

    proven.regenstore("gc", "--yes", "--purge")
    assert listed() == [(0, 1)]
    proven.git("checkout", "-q", "HEAD~1")  # it comes back
    proven.git("checkout", "-q", "main")
    assert listed() == [(0, 0)]
    proven.regenstore("gc", "--yes")
    assert listed() == [(1, 0), (0, 0)]
    proven.regenstore("gc", "--yes", "--purge")
    assert listed() == [(0, 1), (0, 0)]


def aged(film: Checkout, store: Path, days: float) -> None:
    """Nobody used anything of a store for so long."""
    then = time.time() - days * 86400
    for folder in ("cache", "vault", "uses", "leases"):
        for path in (store / folder).rglob("*"):
            if path.is_file():
                os.utime(path, (then, then))


def suggestion(film: Checkout) -> dict[str, object] | None:
    return json.loads(film.regenstore("status", "--json"))["suggestion"]


@pytest.mark.heavy
def test_status_suggests_what_a_full_disk_can_do_without(proven, small):
    store = small / "store"
    shutil.move(proven.store, store)
    proven.git("config", "regenstore.store", str(store))
    assert suggestion(proven) is None and "space is low" not in proven.regenstore("status")
    left = os.statvfs(small).f_bavail * os.statvfs(small).f_frsize
    (small / "footage").write_bytes(bytes(left - 200_000))
    found = suggestion(proven)
    assert found["bytes"] == 0 and found["command"] is None
    assert "nothing evictable was unused for 7 days" in proven.regenstore("status")
    aged(proven, store, 8)
    found = suggestion(proven)
    assert found["contents"] == 2 and 0 < found["bytes"] < found["lacking_bytes"] < 4 << 20
    assert found["command"] in proven.regenstore("status")
    before = sum(path.stat().st_size for path in store.rglob("*") if path.parent.parent.name in ("cache", "vault"))
    proven.run(*found["command"].split(), "--yes")
    after = sum(path.stat().st_size for path in store.rglob("*") if path.parent.parent.name in ("cache", "vault"))
    assert before - after == found["bytes"]


@pytest.mark.heavy
def test_status_suggests_only_what_was_not_used_for_a_week(proven):
    total = du(proven)["contents"]["bytes"]
    proven.git("config", "regenstore.maxSize", str(total))
    assert suggestion(proven) is None
    proven.git("config", "regenstore.maxSize", str(total - 1))
    assert suggestion(proven)["bytes"] == 0
    aged(proven, proven.store, 6)
    assert suggestion(proven)["bytes"] == 0
    aged(proven, proven.store, 8)
    found = suggestion(proven)
    assert found["contents"] == 1 and found["bytes"] >= found["lacking_bytes"] > 0
    (gone,) = plan(proven, *found["command"].split()[2:])["evict"]
    assert gone["standing"] == "superseded"


def test_status_plans_nothing_while_there_is_room(proven, tmp_path):
    def plans(**config: str) -> bool:
        trace = tmp_path / "trace"
        trace.write_bytes(b"")
        proven.run("regenstore", "status", GIT_TRACE=str(trace), **config)
        return b"--missing=allow-any --all --reflog" in trace.read_bytes()  # the names in a plan

    assert not plans()
    assert plans(REGENSTORE_MAX_SIZE="1k")


@pytest.mark.heavy
def test_a_pending_recipe_ends_with_its_commit(film, tmp_path):
    """Also in another worktree; what is only added, or was changed since, goes on being pending."""
    side = Checkout(tmp_path / "side", film.environment)
    film.git("worktree", "add", "-q", "-b", "side", str(side.path))

    def pending() -> list[int]:
        folders = [film.path / ".git", film.path / ".git/worktrees/side"]
        return [len(list(folder.glob("regenstore-pending/*.base"))) for folder in folders]

    for each, name in ((film, "plates/new.png"), (side, "plates/ü new.png")):
        each.regenstore("new", name, *MORE)
        each.git("add", name)
    film.regenstore("new", "plates/not added.png", *MORE, "-p", "seed=3")
    film.regenstore("gc", "--yes")
    assert pending() == [2, 1]
    for each in (film, side):
        each.git("commit", "-q", "-m", "a new one")
    film.regenstore("gc", "--dry-run")
    assert pending() == [2, 1]
    film.regenstore("gc", "--yes")
    assert pending() == [1, 0]
    film.regenstore("verify", "plates/new.png")
    film.git("rm", "-q", "plates/new.png")
    film.git("commit", "-q", "-m", "not needed")
    side.git("rm", "-q", "plates/ü new.png")
    side.git("commit", "-q", "-m", "not needed")
    (gone,) = plan(film)["evict"]
    assert gone["standing"] == "superseded"


def test_selected(proven):
    assert plan(proven, "--select", "shots/*")["evict"] == []
    assert plan(proven, "--select", "plates/*")["evict"]
    assert plan(proven, "--older-than", "1d")["evict"] == []


@pytest.mark.heavy
def test_unreachable(film):
    film.regenstore("set", SEA, "seed=5")
    film.regenstore("set", SEA, "seed=6")
    assert plan(film, "--unreachable")["unreachable"] == []
    shown = plan(film, "--unreachable", "--older-than", "0")
    assert len(shown["unreachable"]) == 1  # seed 5; seed 6 is pending, and the committed one is in history
    assert du(film)["states"]["unreachable"]["contents"] == 1
    film.regenstore("gc", "--unreachable", "--older-than", "0", "--yes")
    assert du(film)["trash"]["contents"] == 1
    film.regenstore("set", SEA, "seed=5")
    assert du(film)["trash"]["contents"] == 0
    film.commit("five it is")
    assert plan(film, "--unreachable", "--older-than", "0", "--purge")["unreachable"] != []


def test_du_adds_up_as_du_does(proven):
    proven.regenstore("gc", "--yes")
    found = du(proven, "--by", "branch")
    listing = subprocess.run(
        ["du", "-sb", "--files0-from=-"],
        input=b"\0".join(os.fsencode(path) for path in proven.store.rglob("*") if path.is_file()),
        capture_output=True,
        check=True,
    ).stdout
    real = sum(int(line.split(b"\t")[0]) for line in listing.splitlines())
    assert abs(found["total_bytes"] - real) <= 64 << 10  # the database's log comes and goes
    stored = [path for tree in ("cache", "vault") for path in (proven.store / tree).rglob("*") if path.is_file()]
    assert found["contents"] == {"contents": len(stored), "bytes": sum(path.stat().st_size for path in stored)}
    assert sum(row["bytes"] for row in found["states"].values()) == found["contents"]["bytes"]
    assert set(found["rows"]) == {"main"}
    rows = {
        "state": {"kept", "evictable"},
        "type": {"image/png"},
        "generator": {"procedural.image", "(imported)"},
        "proof": {"proven", "imported"},
    }
    for by, names in rows.items():
        grouped = du(proven, "--by", by)["rows"]
        assert set(grouped) == names
        assert sum(row["bytes"] for row in grouped.values()) == found["contents"]["bytes"]
    assert " total" in proven.regenstore("du", "--by", "generator")


def test_a_pin_keeps(proven):
    assert plan(proven)["evict"]
    proven.git("checkout", "-q", "HEAD~1")
    proven.regenstore("pin", SEA)
    proven.git("checkout", "-q", "main")
    assert plan(proven)["evict"] == []
    assert plan(proven)["kept"]["pinned"]["contents"] == 1


def test_a_gc_at_work_keeps_another_one_out(proven):
    from regenstore.gc.collect import alone

    with alone(str(proven.store)):
        for command in (["gc", "--yes"], ["undo"]):
            done = proven.run("regenstore", *command, check=False)
            assert done.returncode in (3, 4)
        assert proven.run("regenstore", "gc", "--yes", check=False).returncode == 4
        proven.regenstore("gc", "--dry-run")


def settled(film: Checkout, limit: int) -> int:
    """The bytes of all contents, once they are at most the limit, or after a while."""
    deadline = time.monotonic() + 60
    while True:
        try:
            found = [path for tree in ("cache", "vault", "trash") for path in (film.store / tree).rglob("*")]
            total = sum(path.stat().st_size for path in found if path.is_file())
        except FileNotFoundError:
            continue  # gc took something just while we looked
        if total <= limit or time.monotonic() > deadline:
            return total
        time.sleep(0.1)


@pytest.mark.parametrize("way", ["verb", "filter"])
def test_a_store_keeps_to_its_size_by_itself(proven, way):
    total = du(proven)["contents"]["bytes"]
    proven.git("config", "regenstore.maxSize", str(total + 100))
    if way == "verb":
        proven.regenstore("new", "plates/more.png", *MORE)
    else:
        proven.write("refs/other.png", proven.read("refs/photo.png")[::-1])
        proven.git("add", "refs/other.png")
    assert settled(proven, int((total + 100) * 0.9)) <= (total + 100) * 0.9
    left = plan(proven)
    assert left["kept"]["imported"]["contents"] == (1 if way == "verb" else 2)
    deadline = time.monotonic() + 30
    while (proven.store / "leases" / "gc").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    proven.regenstore("gc", "--auto")
    assert proven.git("diff", "--stat") == ""


def test_without_a_limit_nothing_happens_by_itself(proven):
    proven.regenstore("new", "plates/more.png", *MORE)
    time.sleep(0.5)
    assert not (proven.store / "evicted").exists()
    assert proven.run("regenstore", "gc", "--auto", check=False).returncode == 2


def test_what_cannot_be_freed_is_not_tried_again_and_again(film, tmp_path):
    def asks_git() -> bool:
        trace = tmp_path / "trace"
        trace.write_bytes(b"")
        done = film.run("regenstore", "gc", "--auto", GIT_TRACE=str(trace))
        assert done.stdout == done.stderr == b""
        return b"for-each-ref" in trace.read_bytes()

    film.git("config", "regenstore.maxSize", "100")
    assert asks_git()
    assert not asks_git()
    film.write("refs/large.png", b"\x89PNG" + bytes(range(256)) * 100)
    film.git("-c", "regenstore.maxSize=", "add", "refs/large.png")
    assert asks_git()
    film.git("config", "regenstore.maxSize", "90")
    assert asks_git()


@pytest.mark.heavy
def test_a_repository_that_is_gone_can_be_forgotten(film, tmp_path):
    shared = tmp_path / "shared"
    other = Checkout(tmp_path / "other", film.environment)
    other.path.mkdir()
    other.git("init", "-q")
    for each in (film, other):
        each.git("config", "regenstore.store", str(shared))
        each.regenstore("init")
    other.regenstore("track", "*.png")
    other.regenstore("new", "a.png", *MORE)
    other.commit()
    other.regenstore("verify", "--all")
    film.regenstore("get")
    film.regenstore("verify", "--all")
    assert plan(film, "--free", "1g")["kept"].keys() <= {"imported"}
    assert len(plan(film, "--free", "1g")["evict"]) == 2
    other.path.rename(tmp_path / "unmounted")
    found = plan(film, "--free", "1g")
    assert found["complete"] and len(found["evict"]) == 2
    for left in shared.glob("repositories/*.held"):
        left.unlink()
    found = plan(film, "--free", "1g")
    assert not found["complete"] and found["evict"] == [] and str(other.path) in found["problems"][0]
    assert film.run("regenstore", "gc", "--forget-repository", "/nowhere", check=False).returncode == 3
    assert "forgotten" in film.regenstore("gc", "--forget-repository", str(other.path))
    found = plan(film, "--free", "1g")
    assert found["complete"] and {row["standing"] for row in found["evict"]} == {"dead", "working"}


@pytest.mark.heavy
def test_what_gc_took_comes_back_without_database_and_branch(proven):
    """Eviction survives both: the manifest has the recipe, and the proof."""
    proven.git("checkout", "-q", "-b", "side")
    proven.regenstore("set", SEA, "seed=11")
    proven.regenstore("new", "plates/fog.png", "-g", "derive.image", "-i", f"source={SEA}", "-p", "width=32")
    proven.commit("a source and what is made from it")
    proven.regenstore("verify", "--all")
    fog, recipe = proven.read("plates/fog.png"), proven.blob("plates/fog.png")
    proven.git("checkout", "-q", "main")
    proven.run("regenstore", "gc", "--yes", "--free", "1g", check=False)
    proven.git("branch", "-q", "-D", "side")
    proven.git("reflog", "expire", "--expire=now", "--all")
    proven.git("gc", "-q", "--prune=now")
    for path in proven.store.glob("results.sqlite*"):
        path.unlink()
    proven.write("plates/fog.png", recipe)  # somebody mails the recipe; its source is known by digest alone
    proven.regenstore("get", "plates/fog.png")
    assert proven.read("plates/fog.png") == fog
    told = json.loads(proven.regenstore("doctor", "--rebuild", "--json"))
    assert told["evicted"] == 4
    (proven.path / "plates/fog.png").unlink()
    assert json.loads(proven.regenstore("takes", SEA, "--json"))["takes"][0]["recorded"]
    assert json.loads(proven.regenstore("why", SEA, "--json"))["proof"]["holds"]
