"""What people see of fsck, and its exit codes."""

from __future__ import annotations

import json
from pathlib import Path

from regenstore.objects.hashing import hash_file
from tests.conftest import Checkout
from tests.doctor.gallery import cut, digest_of, flip, snapshot


def stored(film: Checkout, name: str) -> Path:
    line = next(line for line in film.blob(name).decode().splitlines() if line.startswith("digest = "))
    digest = line.removeprefix('digest = "blake3:').rstrip('"')
    return film.store / "vault" / digest[:2] / digest[2:]


def test_all_is_well(film: Checkout) -> None:
    assert film.regenstore("fsck") == "2 contents match their names, 2 recipes checked; all is well\n"


def test_damage_is_shown_then_repaired(film: Checkout) -> None:
    plate, photo = stored(film, "plates/sea.png"), stored(film, "refs/photo.png")
    flip(plate, 70)
    cut(photo, 10)
    (film.path / "plates/sea.png").unlink()
    (film.path / "refs/photo.png").unlink()
    before = snapshot(film.store)
    planned = film.run("regenstore", "fsck", "--dry-run", check=False)
    said = planned.stdout.decode()
    assert planned.returncode == 1 and snapshot(film.store) == before
    assert f"bad: {plate}: wrong bytes; moved to the quarantine" in said
    assert "missing: plates/sea.png (" in said and "last seen in Git's index and HEAD): make it again" in said
    assert "missing: refs/photo.png (" in said and "lost: it is imported media" in said
    assert "0 contents match their names, 2 recipes checked; 2 bad, 2 missing" in said
    done = film.run("regenstore", "fsck", check=False)
    assert done.returncode == 1
    assert "made again: plates/sea.png" in done.stdout.decode()
    assert "lost: refs/photo.png: last seen in Git's index and HEAD; it is imported media" in done.stderr.decode()
    assert "1 brought back, 1 lost or left" in done.stdout.decode()
    film.git("checkout", "--", "plates/sea.png")
    assert not film.is_recipe("plates/sea.png")


def test_what_was_repaired_gives_exit_code_0(film: Checkout) -> None:
    flip(stored(film, "plates/sea.png"), 70)
    assert film.run("regenstore", "fsck", "--no-repair", check=False).returncode == 1
    assert film.run("regenstore", "fsck", "--dry-run").returncode == 0
    assert film.run("regenstore", "fsck").returncode == 0
    assert film.run("regenstore", "fsck", "--no-repair").returncode == 0


def test_what_was_placed_from_damaged_bytes_is_placed_again(film: Checkout) -> None:
    sea, right = "plates/sea.png", film.read("plates/sea.png")
    film.git("worktree", "add", "-q", "../second", "-b", "second")
    second = Checkout(film.path.parent / "second", film.environment)
    flip(stored(film, sea), 70)
    for each in (film, second):
        each.regenstore("drop", sea)
        each.regenstore("get", sea)
        assert each.read(sea) != right and each.status() == ""
    film.regenstore("new", "mine.png", "-g", "procedural.image", "-p", "prompt=x", "-p", "width=16", "-p", "height=16")
    edited = film.read("mine.png") + b"by hand"
    film.write("mine.png", edited)
    said = film.regenstore("fsck", "--dry-run")
    assert f"worktree: {sea}: wrong bytes from the store" in said and film.read(sea) != right
    assert f"replaced: {sea}" in film.regenstore("fsck")
    assert (film.read(sea), film.read("mine.png")) == (right, edited)
    assert film.git("status", "--porcelain", "--", sea).strip() == ""
    # The store is sound by now; what the quarantine still has tells about the other worktree.
    assert second.run("regenstore", "fsck", "--no-repair", check=False).returncode == 1
    assert json.loads(second.regenstore("fsck", "--json"))["wrong_copies"] == [sea]
    assert second.read(sea) == right and second.status() == ""
    assert "all is well" in second.regenstore("fsck")


def test_json_is_one_record(film: Checkout) -> None:
    stored(film, "plates/sea.png").unlink()
    data = json.loads(film.regenstore("fsck", "--json"))
    assert (data["type"], data["version"], data["well"]) == ("regenstore.fsck", 1, True)
    assert [(m["path"], m["repair"]) for m in data["missing"]] == [("plates/sea.png", "copy")]
    assert [(d["what"], d["ok"]) for d in data["done"]] == [("restored", True)]


DECLARED = """
[generators.dice]
version = "1"
command = ["tools/dice", "{output}"]
media_type = "image/png"
"""


def test_a_generator_that_is_not_trusted_or_gives_other_bytes(film: Checkout) -> None:
    film.write("regenstore.toml", DECLARED)
    film.write("tools/dice", "#!/bin/sh\nhead -c 50 /dev/urandom > $1\n").chmod(0o755)
    film.regenstore("trust", "--yes")
    film.regenstore("new", "dice.png", "-g", "dice")
    film.commit("dice")
    film.regenstore("drop", "dice.png")
    path = stored(film, "dice.png")
    path.unlink()
    film.regenstore("trust", "--revoke", "dice")
    done = film.run("regenstore", "fsck", check=False)
    assert done.returncode == 1 and b"blocked: dice.png" in done.stderr and b"not trusted yet" in done.stderr
    film.regenstore("trust", "--yes")
    assert film.run("regenstore", "fsck", "--dry-run").returncode == 0  # it can be tried
    done = film.run("regenstore", "fsck", check=False)
    assert done.returncode == 1
    assert b"lost: dice.png" in done.stderr and b"the generator gave other bytes" in done.stderr
    assert not path.exists()
    assert film.is_recipe("dice.png") and film.status() == ""


def test_another_branch_and_a_conflict(film: Checkout) -> None:
    film.git("checkout", "-q", "-b", "ben")
    film.regenstore("set", "plates/sea.png", "seed=1")
    film.commit("ben")
    film.git("checkout", "-q", "main")
    film.regenstore("set", "plates/sea.png", "seed=2")
    film.commit("main")
    assert film.run("git", "merge", "ben", check=False).returncode
    done = film.run("regenstore", "fsck", check=False)
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()
    film.git("merge", "--abort")
    contents = sorted((film.store / "vault").glob("*/*"))
    assert len(contents) == 4  # three seeds, and the photo
    for path in contents:
        flip(path, 5)
    done = film.run("regenstore", "fsck", check=False)
    assert done.returncode == 0 and b"4 brought back" in done.stdout, done.stdout.decode() + done.stderr.decode()
    assert [hash_file(str(path))[0] for path in contents] == [digest_of(path) for path in contents]
