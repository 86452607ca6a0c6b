"""fsck and doctor read what gc wrote down: what it took counts as known, and damage to it is told and left."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.doctor.gallery import Gallery

pytestmark = pytest.mark.heavy

MADE_OF = ("-g", "derive.image", "-i", "source=made/03.png", "-p", "width=16")


@pytest.fixture
def evicted(gallery: Gallery) -> Gallery:
    """gc took ``small.png`` and what it was made from, whose recipe is nowhere in Git; the database is gone."""
    gallery.regenstore("set", "made/03.png", "seed=50")
    gallery.git("checkout", "-q", "-b", "side")
    gallery.git("add", "made/03.png")
    gallery.regenstore("new", "small.png", *MADE_OF)
    gallery.commit("small, and its source")
    gallery.regenstore("verify", "made/03.png", "small.png")
    gallery.run("regenstore", "gc", "--free", "1g", "--yes", check=False)
    small = gallery.blob("small.png")
    gallery.git("checkout", "-q", "-f", "main")
    gallery.git("branch", "-q", "-D", "side")
    gallery.git("reflog", "expire", "--expire=now", "--all")
    gallery.git("gc", "-q", "--prune=now")
    for path in gallery.store.glob("results.sqlite*"):
        path.unlink()
    gallery.write("small.png", small)
    gallery.git("add", "small.png")
    gallery.git("commit", "-q", "-m", "small again")
    return gallery


def manifest(gallery: Gallery) -> Path:
    (path,) = (gallery.store / "evicted").iterdir()
    return path


def test_what_gc_took_is_known_without_the_database(evicted: Gallery) -> None:
    contents = sorted(p.name for p in (evicted.store / "vault").rglob("*"))
    code, told = evicted.fsck()
    assert (code, told["missing"], told["manifests"]) == (0, [], [])
    assert told["can_be_made_again"] == 2
    assert sorted(p.name for p in (evicted.store / "vault").rglob("*")) == contents
    manifest(evicted).unlink()
    code, told = evicted.fsck("--dry-run")
    assert code == 1 and "lost" in [m["repair"] for m in told["missing"]]


def test_without_a_proof_that_holds_here_its_recipe_is_run(evicted: Gallery) -> None:
    path = manifest(evicted)
    records = [json.loads(line) for line in path.read_bytes().splitlines()]
    path.write_text("".join(json.dumps({**record, "proof": None}) + "\n" for record in records))
    code, told = evicted.fsck()
    assert code == 0 and {m["repair"] for m in told["missing"]} == {"generate"}


@pytest.mark.parametrize(
    ("damage", "quickly"),
    [
        (lambda line: line[:-20], True),
        (lambda line: b"\xff" + line, True),
        (lambda line: b"[]", True),
        (lambda line: line.replace(b'"size": ', b'"size": "', 1).replace(b', "standing', b'x", "standing', 1), True),
        (
            lambda line: line.replace(b"generator = ", b"generator  = ", 1).replace(b"derive.image", b"derive.other"),
            False,
        ),
    ],
)
def test_damaged_lines_are_told_and_left(evicted: Gallery, damage: Callable[[bytes], bytes], quickly: bool) -> None:
    path = manifest(evicted)
    lines = path.read_bytes().splitlines()
    at = next(n for n, line in enumerate(lines) if b"derive.image" in line)
    lines[at] = damage(lines[at])
    path.write_bytes(b"\n".join(lines))
    code, told = evicted.fsck()
    assert code == 1 and told["manifests"] == [f"{path}, line {at + 1}"]
    assert path.read_bytes() == b"\n".join(lines)
    said = evicted.run("regenstore", "fsck", check=False).stdout.decode()
    assert f"manifest: {path}, line {at + 1}: cannot be read; left unchanged" in said
    doctor = evicted.run("regenstore", "doctor", check=False).stdout.decode()
    assert ("a manifest of gc cannot be read" in doctor) == quickly


def test_what_later_versions_write_is_no_damage(evicted: Gallery) -> None:
    path = manifest(evicted)
    path.write_bytes(path.read_bytes() + b'{"remote": "s3://x"}\n')
    assert evicted.fsck()[1]["manifests"] == []
    assert "of gc can be read" in evicted.regenstore("doctor")
